"""`tfrec encoder`: import an encoder, look at one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec.cli.options import Force
from tfrec.cli.quiet import load_tensorflow

app = typer.Typer(help="Import a text encoder, or look at one.", no_args_is_help=True, rich_markup_mode=None)


@app.command("import")
def import_(
    source: Annotated[
        str, typer.Argument(metavar="NAME|FOLDER|HANDLE", help="E.g. minilm-l6, or a Hugging Face folder.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    pooling: Annotated[str, typer.Option(metavar="auto|mean|cls|last", help="How tokens become one vector.")] = "auto",
    force: Force = False,
) -> None:
    """Turn a preset or a Hugging Face folder (BERT, DistilBERT, GPT-2) into a TF-Hub encoder pair."""
    load_tensorflow()
    from tfrec.encoders import import_encoder

    typer.echo(f"Wrote {import_encoder(source, out, pooling=pooling, force=force)}")


@app.command()
def info(folder: Annotated[Path, typer.Argument(metavar="DIR", help="An encoder folder.")]) -> None:
    """Print what an encoder folder says about itself."""
    from tfrec.errors import InvalidInput
    from tfrec.files import read_json

    described = folder / "tfrec_encoder.json"
    if not described.is_file():
        raise InvalidInput(
            f"{folder} is not an encoder folder: there is no {described.name}. Make one with `tfrec encoder import`."
        )
    for name, value in read_json(described).items():
        typer.echo(f"{name}: {value}")
