"""`tfrec explain`: writes why the items of lists are in them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec.cli.load_tensorflow import load_tensorflow
from tfrec.cli.shared_options import Assignments, Data, Force, Ranker, RunFolder
from tfrec.errors import InvalidInput


def explain(  # noqa: PLR0913  a command's options are its parameters
    run: RunFolder,
    data: Data,
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write (.parquet or .jsonl); with --faithfulness or --surrogate .json, by default in the "
            "run's folder."
        ),
    ] = None,
    users: Annotated[
        str | None, typer.Option(help="List of user ids, one a line or a column user_id. Default: all users.")
    ] = None,
    item: Annotated[
        list[str] | None, typer.Option(help="Item to explain, in the list or not; may be repeated. Default: the list.")
    ] = None,
    k: Annotated[int, typer.Option(min=1, help="Items for each user.")] = 10,
    counterfactuals: Annotated[
        int, typer.Option(min=0, help="Largest set of events searched for without which an item leaves the list.")
    ] = 5,
    faithfulness: Annotated[
        int | None,
        typer.Option(
            "--faithfulness",
            metavar="USERS",
            min=1,
            help="Measure instead how true the explanations of so many users are, beside those of other methods.",
        ),
    ] = None,
    surrogate: Annotated[
        int | None,
        typer.Option(
            "--surrogate",
            metavar="USERS",
            min=2,
            help="Write instead rules such as “people with … get …”, made from half of so many users and measured on "
            "the others.",
        ),
    ] = None,
    ranker: Ranker = None,
    assignments: Assignments = None,
    force: Force = False,
) -> None:
    """Write why the top items of each user are in the list: the events without which their scores would be lower."""
    if faithfulness is not None and surrogate is not None:
        raise InvalidInput("Expected --faithfulness or --surrogate, received both. Call the command once for each.")
    if out is None and faithfulness is None and surrogate is None:
        raise InvalidInput("Expected --out FILE, --faithfulness USERS or --surrogate USERS; received none of them.")
    load_tensorflow(pool=True)
    import tfrec

    if faithfulness is not None and ranker is not None:
        raise InvalidInput("Faithfulness is measured for one model. Leave --ranker out, or pass it as --run.")
    trained = tfrec.load_run(run).with_values(assignments) if assignments else run
    if faithfulness is not None:
        from tfrec.explanation import measure_faithfulness
        from tfrec.workflows.console_tables import print_faithfulness

        print_faithfulness(measure_faithfulness(trained, data, users=faithfulness, k=k, out=out, force=force))
        typer.echo(f"Wrote {out or run / 'faithfulness.json'}")
        return
    if surrogate is not None:
        from tfrec.explanation import surrogate_rules
        from tfrec.workflows.console_tables import print_rules

        print_rules(surrogate_rules(trained, data, users=surrogate, k=k, ranker=ranker, out=out, force=force))
        typer.echo(f"Wrote {out or run / 'surrogate.json'}")
        return
    frame = tfrec.explain(
        trained,
        data,
        k,
        users=users,
        items=item,
        counterfactuals=counterfactuals,
        ranker=ranker,
        out=out,
        force=force,
    )
    typer.echo(f"Wrote {frame.height} rows for {frame['user_id'].n_unique()} users to {out}")
