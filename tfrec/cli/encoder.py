"""`tfrec encoder`: imports, pre-trains, adapts, compresses, compares and describes text encoders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec.cli.encoder_compression import compare, compress
from tfrec.cli.load_tensorflow import load_tensorflow
from tfrec.cli.shared_options import Assignments, ConfigFile, Data, Force, run_config

app = typer.Typer(
    help="Import, pre-train, adapt, compress, compare or describe text encoders.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("import")
def import_(
    source: Annotated[
        str, typer.Argument(metavar="NAME|FOLDER|HANDLE", help="A preset such as minilm-l6, or a Hugging Face folder.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    pooling: Annotated[
        str, typer.Option(metavar="auto|mean|cls|last", help="How token vectors become one text vector.")
    ] = "auto",
    tokens: Annotated[
        str, typer.Option(metavar="exact|tf-text", help="Hugging Face's tokens, or those of tf-text as in old folders.")
    ] = "exact",
    force: Force = False,
) -> None:
    """Convert a preset or a Hugging Face folder (BERT and kin, GPT-2, Model2Vec) to a TF-Hub pair."""
    load_tensorflow()
    import tfrec

    typer.echo(f"Wrote {tfrec.import_encoder(source, out, pooling=pooling, tokens=tokens, force=force)}")


@app.command()
def pretrain(
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    data: Annotated[Path | None, typer.Option(help="Prepared data; its texts are trained on.")] = None,
    text: Annotated[
        list[Path] | None, typer.Option(help="Text file to train on, one text a line; may be repeated.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="NAME|FOLDER", help="Start from a preset, a Hugging Face folder or an encoder folder."
        ),
    ] = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted training.")] = False,
    force: Force = False,
) -> None:
    """Pre-train an encoder on unlabelled text, as a masked (bert) or causal (gpt) language model."""
    settings = run_config(config, assignments)
    from tfrec.data import load_dataset

    dataset = load_dataset(data) if data else None
    load_tensorflow(pool=True)
    from tfrec.pretraining import pretrain_encoder

    pretrain_encoder(out, settings, data=dataset, files=text or [], source=source, resume=resume, force=force)
    typer.echo(f"Wrote {out}")


@app.command()
def adapt(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    source: Annotated[
        str, typer.Option("--from", metavar="NAME|FOLDER", help="Preset or encoder folder to start from.")
    ] = "minilm-l6",
    config: ConfigFile = None,
    assignments: Assignments = None,
    force: Force = False,
) -> None:
    """Fine-tune an encoder contrastively on pairs of items that users take one after the other."""
    settings = run_config(config, assignments)
    from tfrec.data import load_dataset

    dataset = load_dataset(data)
    load_tensorflow(pool=True)
    from tfrec.pretraining import adapt_encoder

    typer.echo(f"Wrote {adapt_encoder(dataset, out, settings, source=source, force=force)}")


app.command()(compress)
app.command()(compare)


@app.command()
def info(folder: Annotated[Path, typer.Argument(metavar="DIR", help="Encoder folder.")]) -> None:
    """Print the width, pooling, source and hash of an encoder folder."""
    from tfrec.encoders import describe_encoder

    for name, value in describe_encoder(folder).items():
        typer.echo(f"{name}: {value}")
