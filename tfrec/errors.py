"""Errors that a user can act on. Each message says what was expected, what was received and what to do."""


class TfrecError(Exception):
    """Base class of every error that tfrec raises on purpose. The command line exits with its `exit_code`."""

    exit_code = 1


class InvalidInput(TfrecError):
    """An input, an argument or a file on disk is invalid. Nothing was written."""

    exit_code = 2


class Unavailable(TfrecError):
    """An external resource is missing: a download while offline, or an optional extra that is not installed."""

    exit_code = 2
