"""The one command that developers and CI run: `python -m tfrec.dev check`."""
