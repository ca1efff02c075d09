"""The encoded image formats that are read: what each says of itself, and whether it is whole."""
