"""The fixtures of whatever fits a model."""

from tests.fits import cache, dies_at, text_file, traces  # noqa: F401
from tests.unfitted_run import small_config, small_data, small_run  # noqa: F401
