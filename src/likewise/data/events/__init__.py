"""Collision events: reading, writing, cutting and generating them, and their true edges."""
