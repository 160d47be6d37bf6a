"""An on-disk cache of text vectors, so that each text is encoded only once."""
