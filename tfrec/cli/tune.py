"""`tfrec tune`: search knobs by validation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec.cli.load_tensorflow import load_tensorflow
from tfrec.cli.shared_options import Assignments, ConfigFile, Data, run_config


def tune(
    data: Data,
    space: Annotated[Path, typer.Option(help="YAML: a knob to {low, high, log} or {choices}.")],
    out: Annotated[Path, typer.Option(help="Folder of the study; an existing one is taken up.")],
    trials: Annotated[int, typer.Option(min=1, help="Finished trials in all, pruned ones too.")] = 20,
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> None:
    """Search knobs with Optuna and keep the run that validates best."""
    settings = run_config(config, assignments)
    from tfrec.data import PreparedDataset
    from tfrec.workflows.tune import read_space, tune

    dataset, chosen = PreparedDataset.load(data), read_space(space)
    load_tensorflow(pool=True)
    found = tune(dataset, chosen, out, settings, trials=trials)
    typer.echo(f"{found['trials']} trials, {found['pruned']} pruned; validation ndcg@10 {found['value']:.4f} with:")
    for knob, value in found["knobs"].items():
        typer.echo(f"  {knob}: {value}")
    typer.echo(f"Wrote {out / 'best.yaml'}, {out / 'report.html'} and the run {out / 'best'}")
