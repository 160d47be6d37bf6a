"""The design of an experiment: its specification, the assignment to arms, and an OpenFeature provider."""
