"""The command line. Each command has a file, parses its options and calls the library."""

from tfrec.cli.main import main

__all__ = ["main"]
