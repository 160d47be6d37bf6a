"""Scheduled retraining from a checkout: `python retrain.py …` is `tfrec retrain …`."""

import sys

from tfrec.cli import main

sys.argv.insert(1, "retrain")
main()
