"""What needs the accountant of dp-accounting."""

import pytest


@pytest.fixture(scope="session")
def dp_accounting():
    return pytest.importorskip("dp_accounting", reason="dp-accounting is not installed: install the extra `privacy`")
