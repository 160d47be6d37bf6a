"""`tfrec encoder compress` and `tfrec encoder compare`: small encoders, and which one suits the data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec.cli.load_tensorflow import load_tensorflow
from tfrec.cli.shared_options import Assignments, ConfigFile, Data, Force, run_config


def compress(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    to: Annotated[
        str,
        typer.Option(
            metavar="PART[+PART]",
            help="static, layers=N, ffn=SHARE, heads=SHARE, vocabulary, int8, bfloat16; join by +.",
        ),
    ],
    source: Annotated[
        str, typer.Option("--from", metavar="NAME|FOLDER", help="Preset or encoder folder to compress.")
    ] = "minilm-l6",
    text: Annotated[
        list[Path] | None, typer.Option(help="Text file to learn from as well, one text a line; may be repeated.")
    ] = None,
    keep: Annotated[
        float | None,
        typer.Option(help="Least share of the NDCG@10 on held-out items to keep; if less is left, nothing is written."),
    ] = None,
    cooccurrence: Annotated[
        float, typer.Option(min=0, help="Weight of what users take together, beside the teacher's vectors.")
    ] = 0.0,
    minutes: Annotated[float, typer.Option(min=0, help="Time for the training of layers=N.")] = 8.0,
    seed: Annotated[int, typer.Option(help="Seed of the held-out texts and of the training.")] = 0,
    force: Force = False,
) -> None:
    """Make a small, fast encoder of a large one for a catalogue, with a card of what it lost."""
    from tfrec.data import load_dataset

    dataset = load_dataset(data)
    load_tensorflow()
    import tfrec

    tfrec.compress_encoder(
        source,
        dataset,
        out,
        to,
        files=text or [],
        keep=keep,
        cooccurrence=cooccurrence,
        minutes=minutes,
        seed=seed,
        force=force,
    )
    typer.echo((out / "CARD.md").read_text(encoding="utf-8"))
    typer.echo(f"Wrote {out}")


def compare(
    data: Data,
    encoders: Annotated[
        list[str], typer.Option(metavar="NAME|DIR|HANDLE...", help="Encoders to compare; the first is the baseline.")
    ],
    more: Annotated[list[str] | None, typer.Argument(metavar="[NAME|DIR|HANDLE]...", help="More encoders.")] = None,
    split: Annotated[str, typer.Option(help="Queries to compare on: valid or test.")] = "valid",
    runs: Annotated[
        Path | None, typer.Option(help="Folder for a trained model of each encoder, which are then compared too.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trained models of each encoder.")] = 1,
    table: Annotated[Path | None, typer.Option(help="Table to write (.csv, .parquet or .jsonl).")] = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    force: Force = False,
) -> None:
    """Say which encoder suits the data: its untrained text recommender, paired intervals, speed and size."""
    settings = run_config(config, assignments)
    from tfrec.data import load_dataset
    from tfrec.reporting.table_files import check_output, write_frame

    if table is not None:
        check_output(table, force)
    dataset = load_dataset(data)
    load_tensorflow(pool=True)
    from tfrec.workflows.compare_encoders import compare_encoders
    from tfrec.workflows.console_tables import print_frame

    names = [*encoders, *(more or [])]
    found = compare_encoders(dataset, names, split=split, runs=runs, seeds=range(seeds), config=settings)
    print_frame(found)
    if table is not None:
        write_frame(found, table)
        typer.echo(f"Wrote {table}")
