"""Arrays in, frozen results out."""
