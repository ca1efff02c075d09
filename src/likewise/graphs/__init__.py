"""The candidate graph of an event: built, written, read."""
