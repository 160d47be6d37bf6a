"""The fixtures of whatever fits a model."""

from tests.fits import cache, dies_at, text_file, traces  # noqa: F401
