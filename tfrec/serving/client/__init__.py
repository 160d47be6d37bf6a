"""A client of TensorFlow Serving, by REST or gRPC."""
