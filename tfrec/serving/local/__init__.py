"""A model server with TF Serving's REST routes and gRPC services, for development and machines without docker."""
