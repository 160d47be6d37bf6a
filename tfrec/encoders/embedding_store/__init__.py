"""Text vectors kept on disk by their text, so that each text is encoded once."""
