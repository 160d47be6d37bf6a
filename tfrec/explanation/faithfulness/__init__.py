"""Faithfulness: how true explanations are, measured by deleting what they name."""

FAITHFULNESS_FILE = "faithfulness.json"
"""The measure of a run, in its folder. Its name stands here so that reports find it without TensorFlow."""
