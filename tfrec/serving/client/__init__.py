"""A client for TensorFlow Serving over REST or gRPC."""
