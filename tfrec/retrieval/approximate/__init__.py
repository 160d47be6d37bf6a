"""Approximate indexes: inverted lists, 8-bit vectors, and how much they find."""
