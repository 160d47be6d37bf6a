"""`tfrec tune`: searches hyper-parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec.cli.load_tensorflow import load_tensorflow
from tfrec.cli.shared_options import Assignments, ConfigFile, Data, run_config


def tune(
    data: Data,
    space: Annotated[Path, typer.Option(help="YAML file: an option and its {low, high, log} or {choices}.")],
    out: Annotated[Path, typer.Option(help="Folder of the study; an existing study is continued.")],
    trials: Annotated[int, typer.Option(min=1, help="Total number of trials, pruned ones included.")] = 20,
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> None:
    """Search hyper-parameters with Optuna and keep the run with the best validation."""
    settings = run_config(config, assignments)
    from tfrec.data import load_dataset

    dataset = load_dataset(data)
    load_tensorflow(pool=True)
    from tfrec.workflows.tune import tune as search

    result = search(dataset, space, out, settings, trials=trials)
    typer.echo(f"{result['trials']} trials, {result['pruned']} pruned; validation ndcg@10 {result['value']:.4f} with:")
    for option, value in result["options"].items():
        typer.echo(f"  {option}: {value}")
    typer.echo(f"Wrote {out / 'best.yaml'}, {out / 'report.html'} and the run {out / 'best'}")
