"""A surrogate in words: rules on what users have that say what their lists hold, with how often that is so."""

SURROGATE_FILE = "surrogate.json"
"""The rules of a run, in its folder. Its name stands here so that reports find it without TensorFlow."""
