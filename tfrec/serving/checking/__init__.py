"""An export loaded and called as TensorFlow Serving does it, without our Python."""
