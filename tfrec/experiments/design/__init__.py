"""Who is in which arm: the specification, the assignment, and an OpenFeature provider."""
