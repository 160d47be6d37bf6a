"""Baselines: untrained (popularity, co-occurrence, text) and trained (EASE, ALS)."""
