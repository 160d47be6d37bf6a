"""Errors a user can act on: what was expected, what was received, what to do."""


class TfrecError(Exception):
    """Base of every error that tfrec raises on purpose. `exit_code` is what the command line returns for it."""

    exit_code = 1


class InvalidInput(TfrecError):
    """The input, an argument or an artefact on disk is not what it has to be. Nothing was written."""

    exit_code = 2


class Unavailable(TfrecError):
    """Something outside is needed and cannot be had: a download while offline, an extra that is not installed."""

    exit_code = 2
