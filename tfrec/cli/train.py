"""`tfrec train`: a PreparedDataset to a Run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec.cli.load_tensorflow import load_tensorflow
from tfrec.cli.shared_options import Assignments, ConfigFile, Data, Force, run_config


def train(
    data: Data,
    out: Annotated[Path, typer.Option(help="Run folder to write.")],
    model: Annotated[
        str | None, typer.Option(metavar="next-item|behaviour-text|click-ranker", help="Which model.")
    ] = None,
    head: Annotated[str | None, typer.Option(metavar="sigmoid|softmax", help="behaviour-text: which head.")] = None,
    encoder: Annotated[str | None, typer.Option(metavar="NAME|DIR|HANDLE", help="What reads the text.")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same data: same run.")] = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")] = False,
    force: Force = False,
) -> None:
    """Train a model and write its run folder."""
    flags = {
        ("model", "kind"): model,
        ("model", "head"): head,
        ("encoder", "name"): encoder,
        ("training", "seed"): seed,
    }
    settings = run_config(config, assignments, flags)
    from tfrec.data import PreparedDataset

    dataset = PreparedDataset.load(data)
    load_tensorflow(pool=True)
    from tfrec.runs import train as train_run

    train_run(dataset, out, settings, resume=resume, force=force)
    typer.echo(f"Wrote {out}")
