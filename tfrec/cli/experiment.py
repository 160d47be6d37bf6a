"""`tfrec experiment`: plans, assigns, analyses and reports A/B tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec.cli.report_option import check_page
from tfrec.cli.shared_options import Force

app = typer.Typer(help="Plan, assign, analyse and report A/B tests.", no_args_is_help=True, rich_markup_mode=None)

Spec = Annotated[Path, typer.Option("--spec", help="YAML file of the experiment.")]
Outcomes = Annotated[
    str, typer.Option(help="Log with user_id, event, timestamp, value: a file, or FILE.duckdb::QUERY.")
]
Exposures = Annotated[str, typer.Option(help="Log with user_id, arm, timestamp: a file, or FILE.duckdb::QUERY.")]
Users = Annotated[str | None, typer.Option(help="File with user_id and the columns of the segments.")]


@app.command("plan")
def plan(
    spec: Spec,
    outcomes: Outcomes,
    effect: Annotated[
        float | None, typer.Option(help="Relative effect that the test should detect, e.g. 0.02.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Table to write (.csv, .parquet or .jsonl).")] = None,
    force: Force = False,
) -> None:
    """Say how long the test must run, from a log of past outcomes."""
    from tfrec.experiments import ExperimentSpec
    from tfrec.experiments import plan as plan_experiment
    from tfrec.reporting.table_files import check_output, write_frame

    if out is not None:
        check_output(out, force)
    table = plan_experiment(ExperimentSpec.load(spec), outcomes, effect=effect)
    for row in table.to_dicts():
        effect_size = row["minimum_effect"]
        if effect_size is None:
            smallest = "does not vary, so no change can be detected"
        else:
            smallest = f"detects a change of {effect_size:.2%} or more"
        needed = row.get("users_needed")
        more = "" if needed is None else f"; {needed:,} users detect {effect:.2%}"
        typer.echo(f"{row['days']} days, {row['users']:,} users: {row['metric']} {smallest}{more}")
    if out is not None:
        write_frame(table, out, force)
        typer.echo(f"Wrote {out}")


@app.command("assign")
def assign(
    spec: Spec,
    users: Annotated[str, typer.Option(help="List of user ids, one a line or a column user_id.")],
    out: Annotated[Path, typer.Option(help="File to write (.parquet, .csv or .jsonl).")],
    force: Force = False,
) -> None:
    """Write the arm of each user; null for users outside the experiment."""
    from tfrec.data.reading import read_ids
    from tfrec.experiments import ExperimentSpec, assign_users
    from tfrec.reporting.table_files import check_output, write_frame

    check_output(out, force)
    table = assign_users(ExperimentSpec.load(spec), read_ids(users, "--users"))
    write_frame(table, out, force)
    counts = table["arm"].fill_null("(not in the experiment)").value_counts(sort=True)
    typer.echo(f"{', '.join(f'{arm} {count:,}' for arm, count in counts.iter_rows())}. Wrote {out}")


@app.command("analyse")
def analyse(
    spec: Spec,
    exposures: Exposures,
    outcomes: Outcomes,
    users: Users = None,
    out: Annotated[Path | None, typer.Option(help="Table of effects to write (.csv, .parquet or .jsonl).")] = None,
    force: Force = False,
) -> None:
    """Print the decision on each arm, with the reasons."""
    from tfrec.experiments import ExperimentSpec, decide
    from tfrec.experiments import analyse as analyse_experiment
    from tfrec.reporting.table_files import check_output, write_frame

    if out is not None:
        check_output(out, force)
    result = analyse_experiment(ExperimentSpec.load(spec), exposures, outcomes, users)
    if result.spec.simulated:
        typer.echo("These logs were SIMULATED.")
    for decision in decide(result):
        typer.echo(f"{decision.arm}: {decision.verdict}")
        for reason in decision.reasons:
            typer.echo(f"  {reason}")
    typer.echo("Data: " + ", ".join(f"{name} {count:,}" for name, count in result.counts.items()))
    if result.missing_days:
        typer.echo(f"Days without any outcome: {', '.join(result.missing_days)}")
    if out is not None:
        write_frame(result.effects, out, force)
        typer.echo(f"Wrote {out}")


@app.command("report")
def report(
    spec: Spec,
    exposures: Exposures,
    outcomes: Outcomes,
    out: Annotated[Path, typer.Option(help="Report to write (.html).")],
    users: Users = None,
    force: Force = False,
) -> None:
    """Write a report with the decision in words and all the evidence for it."""
    from tfrec.experiments import ExperimentSpec, experiment_report
    from tfrec.experiments import analyse as analyse_experiment
    from tfrec.files import write_text

    check_page(out, force)
    result = analyse_experiment(ExperimentSpec.load(spec), exposures, outcomes, users)
    write_text(out, experiment_report(result), replace=force)
    typer.echo(f"Wrote {out}")
