"""Imports Hugging Face checkpoints, and writes and loads encoder folders."""
