"""What other tools open."""
