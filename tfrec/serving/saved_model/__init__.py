"""Contents of a SavedModel: signatures, example and warm-up requests, size."""
