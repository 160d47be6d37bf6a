"""The transformers of the encoders: configs, layers, the language-model head, adapters and fast inference."""
