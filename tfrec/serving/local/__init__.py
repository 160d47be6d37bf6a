"""A model server for development and for machines without docker, with TF Serving's REST routes and gRPC services."""
