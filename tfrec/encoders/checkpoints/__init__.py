"""Encoders from Hugging Face folders, and encoder folders written and read again."""
