"""The stored, searchable thing."""
