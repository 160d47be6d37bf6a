"""Vocabularies, tokenisers in the graph, and the masks of masked language modelling."""
