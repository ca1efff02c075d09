"""What to learn to push away."""
