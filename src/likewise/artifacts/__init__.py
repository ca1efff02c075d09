"""How anything is written: files whole or not at all, folders with a manifest, stages that run once."""
