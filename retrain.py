"""The nightly job: `python retrain.py …` is `tfrec retrain …`, over `tfrec.workflows.retrain`."""

import sys

from tfrec.cli import main

sys.argv.insert(1, "retrain")
main()
