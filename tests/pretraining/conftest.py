"""Fixtures for tests that train models."""

from tests.fits import cache, dies_at, text_file, traces  # noqa: F401
