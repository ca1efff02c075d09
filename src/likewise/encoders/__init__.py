"""What turns items into vectors."""
