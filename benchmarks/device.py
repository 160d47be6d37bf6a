"""How large and how fast is an export for devices, beside the export for servers, and are its lists the same?

Trains a model on MovieLens-100K for one epoch (neither size nor speed depends on how good it is) with a static encoder
(`--to static+vocabulary`), or takes `--run`, and exports it in each format. Lists are those of the data's test
histories; requests of one history take turns. Prints one JSON line; a ratio above 1 means that LiteRT is faster than
the SavedModel in the same process.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from peers import machine

FORMATS = ("litert", "litert-int8")


def trained(place: Path) -> Any:
    """A run of MovieLens-100K, of one epoch."""
    import tfrec
    from tfrec.data.datasets.movielens import read_movielens_100k
    from tfrec.downloads import movielens_100k_folder

    data = tfrec.prepare(*read_movielens_100k(movielens_100k_folder()), place / "data", split="leave-one-out")
    encoder = tfrec.compress_encoder("minilm-l6", data, place / "encoder", "static+vocabulary")
    return tfrec.train(data, place / "run", {"encoder.name": str(encoder), "training.epochs": 1})


def histories(run: Any, count: int) -> np.ndarray:
    """Seeded histories of 1 to 40 items: int32 `[count, 40]`, −1 is padding."""
    rng = np.random.default_rng(0)
    rows = np.full((count, 40), -1, np.int32)
    for row in rows:
        length = rng.integers(1, 41)
        row[:length] = rng.integers(0, len(run.item_ids), length)
    return rows


def calls(run: Any, version: Path, device: Path, rows: np.ndarray) -> dict[str, Any]:
    """Contestant to a function from the number of a history to its list of ids."""
    import tensorflow as tf

    from tfrec.encoders.litert import LiteRTProgram

    sizes = json.loads((device / "tfrec_device.json").read_text())["sizes"]
    serve = tf.saved_model.load(str(version)).signatures["recommend"]
    recommend = LiteRTProgram(device / "recommender.tflite").runner("recommend")
    length, ids = sizes["history_length"], [str(item) for item in run.item_ids]

    def saved_model(number: int) -> list[str]:
        known = [ids[item] for item in rows[number] if item >= 0]
        given = {"history_item_ids": known, "history_events": [run.event_kinds[0]] * len(known), "exclude_item_ids": []}
        widths = {"exclude_item_ids": sizes["exclude_length"]}
        padded = {name: [row + [""] * (widths.get(name, length) - len(row))] for name, row in given.items()}
        answer = serve(**{name: tf.constant(row) for name, row in padded.items()})
        return [item.decode() for item in answer["item_ids"].numpy()[0]]

    def litert(number: int) -> list[str]:
        items = np.full((1, length), -1, np.int32)
        items[0, : rows.shape[1]] = rows[number]
        kinds = np.where(items >= 0, 0, -1).astype(np.int32)
        nothing = np.full((1, sizes["exclude_length"]), -1, np.int32)
        answer = recommend(history_items=items, history_events=kinds, exclude_items=nothing)
        return [ids[item] if item >= 0 else "" for item in answer["items"][0]]

    return {"saved_model": saved_model, "litert": litert}


def megabytes(folder: Path, *names: str) -> float:
    """Size of a folder, or of some of its files."""
    files = [folder / name for name in names] if names else [path for path in folder.rglob("*") if path.is_file()]
    return round(sum(path.stat().st_size for path in files) / 1e6, 2)


def measure(run: Any, place: Path, seconds: float) -> dict[str, Any]:
    """Sizes, equal lists, and times of both exports."""
    from serve_timing import in_turns, summary

    import tfrec

    version = tfrec.export(run, place / "saved_models" / "shop")
    devices = {name: tfrec.export(run, place / name, format=name) for name in FORMATS}
    rows = histories(run, 200)
    answers = calls(run, version, devices["litert"], rows)
    lists = {name: [answer(number) for number in range(len(rows))] for name, answer in answers.items()}
    equal = np.mean([one == other for one, other in zip(*lists.values(), strict=True)])
    top = np.mean([one[:10] == other[:10] for one, other in zip(*lists.values(), strict=True)])
    timings = {
        name: summary(each)
        for name, each in in_turns({n: lambda a=a: a(0) for n, a in answers.items()}, seconds).items()
    }
    programs = ("recommender.tflite", "encoder.tflite")
    return {
        "ratio": round(timings["saved_model"]["p50_ms"] / timings["litert"]["p50_ms"], 2),
        "same_lists": round(float(equal), 4),
        "same_top_10": round(float(top), 4),
        "p50_ms": {name: round(each["p50_ms"], 3) for name, each in timings.items()},
        "megabytes": {
            "saved_model": megabytes(version),
            **{name: {part: megabytes(folder, part) for part in programs} for name, folder in devices.items()},
        },
        "lowest_cosine": {
            name: json.loads((folder / "tfrec_device.json").read_text())["encoder"]["lowest_cosine"]
            for name, folder in devices.items()
        },
    }


def main() -> None:
    """Parses the command line, measures, and prints the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", help="a next-item run of text, instead of training one")
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds of requests")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        import tfrec

        place = Path(folder)
        run = tfrec.load_run(options.run) if options.run else trained(place)
        figures = measure(run, place, options.seconds)
    ratio = figures.pop("ratio")
    from importlib.metadata import version

    versions = {name: version(name) for name in ("tensorflow", "ai-edge-litert")}
    line = {"benchmark": "device", "ratios": {"saved_model": ratio}, "figures": figures}
    print(json.dumps({**line, "machine": machine(), "versions": versions}))


if __name__ == "__main__":
    main()
