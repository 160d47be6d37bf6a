"""Erasure: people removed from the prepared data, runs and exports of a folder, with a signed receipt."""

from tfrec.workflows.forget.forget import forget
from tfrec.workflows.forget.receipt import verify_receipt

__all__ = ["forget", "verify_receipt"]
