"""Images to vectors: decoding, image encoders, and conversion of their weights."""
