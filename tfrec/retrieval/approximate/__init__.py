"""Approximate indexes: inverted lists, 8-bit vectors, and their recall."""
