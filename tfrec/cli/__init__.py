"""The command line: one file a command, each a thin call of the library."""

from tfrec.cli.main import main

__all__ = ["main"]
