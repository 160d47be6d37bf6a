"""Vocabularies, in-graph tokenisers, and masking for masked language modelling."""
