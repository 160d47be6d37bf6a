"""What is in a SavedModel: ops, signatures, warm-up, safety, size."""
