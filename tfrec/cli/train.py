"""`tfrec train`: trains a model on prepared data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec.cli.load_tensorflow import load_tensorflow
from tfrec.cli.shared_options import Assignments, ConfigFile, Force, run_config


def train(
    data: Annotated[
        list[Path],
        typer.Option(help="Prepared data. Repeated: one model of all, which reads items by text alone."),
    ],
    out: Annotated[Path, typer.Option(help="Run folder to write.")],
    model: Annotated[
        str | None, typer.Option(metavar="next-item|behaviour-text|click-ranker", help="Model family.")
    ] = None,
    head: Annotated[str | None, typer.Option(metavar="sigmoid|softmax", help="Head of behaviour-text.")] = None,
    encoder: Annotated[
        str | None,
        typer.Option(metavar="NAME|DIR|HANDLE", help="Text encoder: a preset, an encoder folder or TF-Hub handles."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed. The same seed and data give the same run.")] = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
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
    import tfrec

    datasets = [tfrec.load_dataset(each) for each in data]
    load_tensorflow(pool=True)
    tfrec.train(datasets, out, settings, resume=resume, force=force)
    typer.echo(f"Wrote {out}")
