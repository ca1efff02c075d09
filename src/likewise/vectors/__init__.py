"""Items to vectors, once."""
