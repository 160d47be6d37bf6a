"""From a run to a version that TensorFlow Serving loads, with the files beside it."""
