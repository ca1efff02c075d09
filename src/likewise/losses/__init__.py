"""One loss per file: a pure function and what it returns."""
