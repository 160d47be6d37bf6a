"""A log with everything that cleaning looks at, and what preparing it gives: what several engines are compared by."""

import numpy as np
import polars as pl

from tfrec.data import prepare
from tfrec.errors import InvalidInput
from tfrec.files import folder_sha256

DAY = 86_400


def messy_log(rows: int = 400, seed: int = 0) -> pl.DataFrame:
    """A log with everything that cleaning looks at, in no order."""
    rng = np.random.default_rng(seed)
    users = rng.choice(["ann", " bob ", "0012", "12", "12.0", "NA", "", None, "Zoë", "eve"], rows).tolist()
    items = rng.choice(["x", "y", "007", "7.0", "lamp", "null", "new", None, " z"], rows).tolist()
    kinds = rng.choice(["view", "Buy", "add_to_cart", "rating", "tag", None], rows).tolist()
    times = 1_700_000_000 + rng.integers(0, 90, rows) * DAY // 9 // 3600 * 3600
    times = np.where(rng.random(rows) < 0.01, rng.choice([0, 99_999_999_999], rows), times)
    return pl.DataFrame(
        {
            "user_id": users,
            "item_id": items,
            "event": kinds,
            "timestamp": pl.Series(times).set(pl.Series(rng.random(rows) < 0.02), None),
            "value": pl.Series(rng.choice([-1.0, 0.0, 1.0, 5.0], rows)).cast(pl.Float32),
            "context_page": rng.choice(["home", "search"], rows),
            "split": "train",
        },
        strict=False,
    )


ITEMS = pl.DataFrame(
    {"item_id": ["z", "x", "7", "y", "lamp"], "title": ["Zither", "Xylophone", "Bond", "Yoke", "Lamp"]}
)


def prepared(events, items, out, capsys, **options):
    """The hash of a prepared folder, or the error, and what the console said."""
    try:
        prepare(events, items, out, **options)
        result = folder_sha256(out)
    except InvalidInput as error:
        result = str(error)
    return result, capsys.readouterr().err


def written_as(log, folder, form):
    """The log in three files, which differ in their columns and types."""
    folder.mkdir()
    rows = -(-log.height // 3)
    pieces = [log.slice(start, rows) for start in range(0, log.height, rows)]
    pieces[1] = pieces[1].drop("context_page").with_columns(pl.col("value").cast(pl.Float64))
    for number, piece in enumerate(pieces):
        path = folder / f"part-{number}.{form}"
        {"parquet": piece.write_parquet, "jsonl": piece.write_ndjson, "csv": log.slice(number * rows, rows).write_csv}[
            form
        ](path)
    return folder
