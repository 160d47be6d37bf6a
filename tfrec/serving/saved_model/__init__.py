"""Contents of a SavedModel: allowed ops, safety, signatures, example and warm-up requests, size."""
