"""The names of the files in an encoder folder."""

from __future__ import annotations

from tfrec.files import OutputKind

PREPROCESSOR, ENCODER, ABOUT = "preprocessor", "encoder", "tfrec_encoder.json"
VOCABULARY = "vocabulary.json"

ENCODER_OUTPUT = OutputKind("an encoder folder", {ABOUT: ("dim", "sha256")})
