"""Baselines: counted (popularity, co-occurrence, text) and trained in closed form (EASE, ALS)."""
