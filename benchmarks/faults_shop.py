"""Parts of `faults.py`: a small shop, the commands that write to it, and what is whole of what they wrote."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SMALL = (
    "--set training.epochs=1 --set training.batch_size=64 --set training.balance=false --set model.dim=8 "
    "--set model.heads=2 --set model.layers=1 --set model.max_history=8 --set evaluation.bootstrap=20 "
    "--set export.max_k=5 --set export.exclude_length=4 --set export.candidates_length=2 --set export.allow_length=1"
)
NO_TEXT = f"{SMALL} --set model.use_text=false --set model.neighbours=0"
TEXT = f"{SMALL} --encoder encoder"
JOB = "retrain --home home --out model --events events.csv --items items.csv --force --set retrain.check=false "
# Everything that was taken is among the first 50 of 12 items, so each night is as good as the last, and is promoted.
JOB += "--set retrain.metric=recall@50 --set retrain.guardrails=[] --set retrain.beat_popularity=false "
JOB += f"--set retrain.min_users=1 --set retrieval.exclude_seen=false {NO_TEXT}"
PREPARE = "prepare --events events.csv --items items.csv --out data"
RECOMMEND = "recommend --run run --data data --out recs.csv"
SETUP = (
    f"{PREPARE} --split global-time",
    f"train --data data --out run {NO_TEXT}",
    f"{RECOMMEND} --k 2",
    "export --run run --out served",
    f"train --data data --out with-text {TEXT}",
    JOB,
)


@dataclass(frozen=True)
class Command:
    """A command that writes.

    Args:
        line: Its arguments.
        outputs: Its outputs, as patterns below the shop.
        share: Of the trials; dear commands get fewer, so that 300 kills take 20 minutes on two cores.
        codes: Exit codes of success.
        steps: How many lines of SETUP it needs.
        is_exact: Whether the same input gives the same bytes.
    """

    line: str
    outputs: Sequence[str]
    share: int
    codes: Sequence[int] = (0,)
    steps: int = len(SETUP)
    is_exact: bool = False


COMMANDS = {
    "prepare": Command(f"{PREPARE} --split leave-one-out --force", ["data"], 10, steps=1, is_exact=True),
    "train": Command(f"train --data data --out run --force --seed 1 {NO_TEXT}", ["run"], 3, steps=2),
    "recommend": Command(f"{RECOMMEND} --k 3 --force", ["recs.csv"], 5, steps=3, is_exact=True),
    "export": Command("export --run run --out served", ["served/[0-9]*"], 3, steps=4),
    "index": Command("index add --run with-text --items more.csv --out served", ["served/[0-9]*"], 1, steps=5),
    "retrain": Command(JOB, ["model/[0-9]*"], 1, codes=(0, 3)),
}  # fmt: skip
FOREIGN = (
    "letter.txt",
    "data.partial/letter.txt",
    ".run.tmp-notes/letter.txt",
    "served/notes/letter.txt",
    "served/.9.old/x",
)
LEFTOVER = re.compile(r"\..+\.(tmp|old)(-[a-z0-9_]{8})?")


def write_shop(folder: Path, with_encoder: bool) -> None:
    """Logs of people who walk round a ring of items, a tiny encoder, and things that are none of tfrec's."""
    folder.mkdir()
    events = [
        f"u{u},i{(7 * u + 2 * day) % 12},view,{1_700_000_000 + 86_400 * day + u}"
        for u in range(40)
        for day in range(10)
    ]
    (folder / "events.csv").write_text("user_id,item_id,event,timestamp\n" + "\n".join(events) + "\n")
    for name, ids in (("items.csv", range(12)), ("more.csv", range(12, 14))):
        rows = [f"i{i},{'red green blue'.split()[i % 3]} shoe" for i in ids]
        (folder / name).write_text("item_id,title\n" + "\n".join(rows) + "\n")
    for name in FOREIGN:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("not tfrec's\n")
    if with_encoder:
        from tfrec.encoders.checkpoints.save_encoder import save_encoder
        from tfrec.encoders.tokenization.vocabulary import WordPieces
        from tfrec.encoders.transformers.build import build_backbone
        from tfrec.encoders.transformers.config import BertConfig

        words = WordPieces("[PAD] [UNK] [CLS] [SEP] [MASK] red green blue shoe".split(), lower_case=True)
        shape = BertConfig(len(words), 16, 1, 2, 32, max_positions=128)
        save_encoder(folder / "encoder", shape, words, build_backbone(shape), source="random")


def digest(path: Path) -> str:
    """Hash of a file, or of the names and contents below a folder."""
    total = hashlib.sha256()
    for file in sorted(p for p in [path, *path.rglob("*")] if p.is_file()):
        total.update(f"{file.relative_to(path.parent)}\0".encode() + file.read_bytes())
    return total.hexdigest()


def names(path: Path) -> list[str]:
    """The files below an output; those of tf.summary, whose names are random, are left out."""
    return sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file() and "tfevents" not in p.name)


def leftovers(shop: Path) -> list[Path]:
    """Temporary names that are still there, but those of FOREIGN."""
    paths = [p.relative_to(shop) for p in shop.rglob("*") if LEFTOVER.fullmatch(p.name) or p.name == "run.partial"]
    return [path for path in paths if not any(foreign.startswith(f"{path}/") for foreign in FOREIGN)]


def damage(path: Path) -> str:
    """What is not whole about a file of an output; "" for nothing."""
    for file in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]:
        content = file.read_bytes()
        if file.suffix == ".parquet" and not (content[:4] == content[-4:] == b"PAR1"):
            return f"{file} is no Parquet file"
        if file.suffix == ".json":
            try:
                json.loads(content)
            except ValueError:
                return f"{file} is no JSON"
    return ""
