"""Makes small encoders of large ones: static tables, fewer or narrower layers, smaller vocabularies and weights."""
