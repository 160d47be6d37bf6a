"""The fit loop shared by all model families, and its parts. Nothing here depends on a particular model."""
