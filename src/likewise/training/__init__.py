"""How an encoder is trained."""
