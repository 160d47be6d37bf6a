"""`tfrec audit`: tries to prove that a run tells more than its ledger says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec.cli.load_tensorflow import load_tensorflow
from tfrec.cli.shared_options import Data, Force, RunFolder
from tfrec.errors import TfrecError


def audit(
    run: RunFolder,
    data: Data,
    out: Annotated[Path, typer.Option(help="JSON file to write.")],
    canaries: Annotated[int, typer.Option(min=8, help="Made-up people, half of whom are put into the log.")] = 500,
    seed: Annotated[int, typer.Option(help="Seed of the canaries.")] = 0,
    force: Force = False,
) -> None:
    """Train once more with made-up people in the log, and guess who was there: a lower bound on ε, and the AUC."""
    load_tensorflow(pool=True)
    from tfrec.workflows.audit import audit

    report = audit(run, data, out, canaries=canaries, seed=seed, force=force)
    for name, found in report["membership"].items():
        typer.echo(f"Membership by {name}: AUC {found['auc']:.3f} ({found['low']:.3f} to {found['high']:.3f})")
    if (found := report["memorised"])["sequences"]:
        share = found["memorised"]
        typer.echo(
            f"Of {found['sequences']} items that one person alone had, {share['share']:.1%} are listed after that "
            f"person's events and for no other reason ({share['low']:.1%} to {share['high']:.1%})"
        )
    for name in ("clipping", "training"):
        if name in report:
            typer.echo(f"{name}: ε of {report[name]['lower_bound']:.2f} proven, {report[name]['epsilon']:.2f} promised")
    if not report["passed"]:
        raise TfrecError(
            f"The audit proves more than the ledger promises. Do not publish {run}; {out} has the figures."
        )
    typer.echo(f"Nothing is proven against the run. Wrote {out}")
