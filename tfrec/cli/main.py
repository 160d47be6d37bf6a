"""The application: its commands, and what each kind of failure looks like to a person."""

from __future__ import annotations

import errno
import logging
import os
import sys
import traceback
import warnings

import typer

from tfrec.cli import (
    check,
    compare,
    encoder,
    evaluate,
    experiment,
    explore,
    export,
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

# Rich markup stays off and rich unloaded: `tfrec --help` has to be quick.
app = typer.Typer(
    name="tfrec",
    help="Recommenders in TensorFlow from what items say and what people do.",
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
app.command("export")(export.export)
app.add_typer(index.app, name="index")
app.command("check")(check.check)
app.command("label")(label.label)
app.command("serve")(serve.serve)
app.command("explore")(explore.explore)
app.command("retrain")(retrain.retrain)

_THEIRS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}
"""What the file system refuses for reasons that only the person at the keyboard can change."""


def main() -> None:
    """Runs the command line and exits: 0 on success, 2 on bad input, 1 on an internal failure.

    A `TfrecError` is one message on standard error. So is any other exception; its traceback is shown when the
    environment variable `TFREC_DEBUG` is set.
    """
    _quiet()
    try:
        app(prog_name="tfrec")
    except TfrecError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        _fail(str(error), 2 if error.errno in _THEIRS else 1)
    except Exception as error:
        _fail(f"Internal failure: {type(error).__name__}: {error}\nSet TFREC_DEBUG=1 to see where.", 1)


def _fail(message: str, code: int) -> None:
    if os.environ.get("TFREC_DEBUG"):
        traceback.print_exc()
    print(f"tfrec: {message}", file=sys.stderr)
    sys.exit(code)


def _quiet() -> None:
    """Hides what TensorFlow and its family say about themselves; warnings of ours still show."""
    if os.environ.get("TFREC_DEBUG"):
        return
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    for name in ("tensorflow", "absl", "h5py"):
        logging.getLogger(name).setLevel(logging.ERROR)
