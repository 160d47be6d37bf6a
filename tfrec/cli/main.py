"""The `tfrec` application: its commands, and how it reports failures."""

from __future__ import annotations

import errno
import logging
import os
import sys
import traceback
import warnings

import typer

from tfrec.cli import (
    audit,
    check,
    compare,
    encoder,
    evaluate,
    experiment,
    explain,
    explore,
    export,
    forget,
    index,
    label,
    prepare,
    quickstart,
    recommend,
    retrain,
    serve,
    train,
    tune,
)
from tfrec.errors import TfrecError
from tfrec.files.disk_full import is_disk_full

# Without rich markup, rich is not imported and `tfrec --help` stays quick.
app = typer.Typer(
    name="tfrec",
    help="Train recommenders on item texts and behaviour logs, and serve them with TensorFlow Serving.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("quickstart")(quickstart.quickstart)
app.command("prepare")(prepare.prepare)
app.add_typer(encoder.app, name="encoder")
app.command("train")(train.train)
app.command("tune")(tune.tune)
app.command("evaluate")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.add_typer(experiment.app, name="experiment")
app.command("recommend")(recommend.recommend)
app.command("explain")(explain.explain)
app.command("audit")(audit.audit)
app.command("forget")(forget.forget)
app.command("export")(export.export)
app.add_typer(index.app, name="index")
app.command("check")(check.check)
app.command("label")(label.label)
app.command("serve")(serve.serve)
app.command("explore")(explore.explore)
app.command("retrain")(retrain.retrain)

_USER_ERRNOS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}
"""Errors of the file system that only the user can fix; they count as bad input (exit code 2)."""


def main() -> None:
    """Runs the command line and exits: 0 on success, 2 on bad input, 1 on an internal failure.

    Every exception becomes one message on standard error. With the environment variable `TFREC_DEBUG` set, its
    traceback is printed too.
    """
    _silence_logs()
    try:
        app(prog_name="tfrec")
    except TfrecError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        _fail(str(error), 2 if error.errno in _USER_ERRNOS or is_disk_full(error) else 1)
    except Exception as error:
        if is_disk_full(error):
            _fail(f"No space left: {error}", 2)
        _fail(f"Internal failure: {type(error).__name__}: {error}\nSet TFREC_DEBUG=1 to see the traceback.", 1)


def _fail(message: str, code: int) -> None:
    if os.environ.get("TFREC_DEBUG"):
        traceback.print_exc()
    print(f"tfrec: {message}", file=sys.stderr)
    sys.exit(code)


def _silence_logs() -> None:
    """Hides messages and warnings of TensorFlow and its libraries, but none of tfrec's."""
    if os.environ.get("TFREC_DEBUG"):
        return
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    for name in ("tensorflow", "absl", "h5py"):
        logging.getLogger(name).setLevel(logging.ERROR)
