"""The transformers of the encoders: configurations, layers, training heads and fast inference."""
