"""Faithfulness: how true explanations are, measured by deleting what they name."""
