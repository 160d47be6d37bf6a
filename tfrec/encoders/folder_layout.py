"""The names of the files in an encoder folder."""

from __future__ import annotations

PREPROCESSOR, ENCODER, ABOUT = "preprocessor", "encoder", "tfrec_encoder.json"
VOCABULARY = "vocabulary.json"
