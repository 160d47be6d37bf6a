"""`compress_encoder`: makes a small encoder of a large one for a catalogue, and measures what it lost."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset, load_dataset
from tfrec.encoders import TextEncoder, load_encoder
from tfrec.encoders.checkpoints.resume_from import load_starting_point
from tfrec.encoders.checkpoints.save_encoder import save_encoder
from tfrec.encoders.compression.build_student import build_student
from tfrec.encoders.compression.parts import Part, parse_parts
from tfrec.encoders.compression.student import Lesson, Student
from tfrec.encoders.folder_layout import ENCODER_OUTPUT
from tfrec.encoders.hub_handles import PAIR_SIGN
from tfrec.errors import InvalidInput
from tfrec.files import atomic_folder, check_output_folder, write_json, write_text
from tfrec.models.shared.item_features import text_vectors_of
from tfrec.pretraining.corpus import Corpus
from tfrec.progress import say
from tfrec.retrieval.unit_vectors import unit_vectors
from tfrec.version import __version__
from tfrec.workflows.cooccurrence_targets import with_cooccurrence
from tfrec.workflows.encoder_card import CARD_JSON, CARD_PAGE, Fidelity, FidelityReport, card_page, fidelity_fields
from tfrec.workflows.text_recommender import folder_bytes, texts_per_second

HELD_OUT = 0.1
"""Share of the texts that the measured student has not seen."""
SLOW = ("layers",)
"""Parts that train for minutes: with them, the student that was measured on held-out texts is the one that is kept."""


@dataclass(frozen=True)
class _Job:
    """What stays the same while students are made: data, teacher, texts, and options."""

    dataset: PreparedDataset
    teacher: TextEncoder
    start: Student
    parts: list[Part]
    texts: list[str]
    targets: np.ndarray
    seq_length: int
    cooccurrence: float
    seed: int
    minutes: float

    def measured(self, folder: Path, held_out: np.ndarray, keep: float | None) -> tuple[TextEncoder, dict[str, Any]]:
        """Makes a student, measures it on held-out texts, and makes it again of all texts if that is quick.

        Args:
            folder: An empty folder to work in.
            held_out: bool `[texts]`.
            keep: As in `compress_encoder`.

        Returns:
            The student, whose folder is in `folder`, and its card.
        """
        new = {text for text, held in zip(self.texts, held_out, strict=True) if held}
        items = np.array([row for row, text in enumerate(self.dataset.texts) if text.strip()])
        new_items = np.array([row for row in items if self.dataset.texts[row] in new])
        report = FidelityReport(self.dataset, self._teacher_vectors())
        student = self._make(folder / "measured", ~held_out)
        on_new = report.compare(self._encode(student), new_items)
        _refuse_below(keep, on_new)
        quick = not any(part.name in SLOW for part in self.parts)
        if quick:
            student = self._make(folder / "all", np.ones(len(held_out), bool))
        on_all = report.compare(self._encode(student), items)
        return student, {
            "to": "+".join(map(str, self.parts)),
            "teacher_sha256": self.teacher.hash,
            "sha256": student.hash,
            "data_fingerprint": str(self.dataset.manifest["fingerprint"]),
            "texts": len(self.texts),
            "cooccurrence": self.cooccurrence,
            "seed": self.seed,
            "tfrec": __version__,
            "catalogue": fidelity_fields(on_all),
            "new_texts": fidelity_fields(on_new),
            "note": _AGAIN if quick else _ONCE,
        }

    def _make(self, folder: Path, chosen: np.ndarray) -> TextEncoder:
        """Makes a student of the texts marked in bool `[texts]`, writes it to `folder` and loads it."""
        texts = [text for text, use in zip(self.texts, chosen, strict=True) if use]
        lesson = Lesson(texts, self._lesson_targets[chosen], self.seq_length, self.seed, self.minutes)
        student = build_student(self.start, self.parts, lesson)
        source = "compressed to " + "+".join(map(str, self.parts))
        save_encoder(folder, student.config, student.vocabulary, student.model, source=source)
        return load_encoder(folder)

    @cached_property
    def _lesson_targets(self) -> np.ndarray:
        """What students learn: the teacher's vectors, moved towards what is taken together if that is asked for."""
        if not self.cooccurrence:
            return self.targets
        moved = with_cooccurrence(self.dataset, self._teacher_vectors(), self.cooccurrence)
        by_text = dict(zip(self.dataset.texts, moved))
        return np.stack([by_text.get(text, target) for text, target in zip(self.texts, self.targets)])

    def _encode(self, encoder: TextEncoder) -> np.ndarray:
        return encoder.encode(self.dataset.texts, seq_length=self.seq_length)

    def _teacher_vectors(self) -> np.ndarray:
        """The teacher's vectors of the catalogue, float32 `[num_items, dim]`; 0 for an item without text."""
        known, nothing = dict(zip(self.texts, self.targets)), np.zeros(self.targets.shape[1], np.float32)
        return np.stack([known.get(text, nothing) for text in self.dataset.texts])


def compress_encoder(
    source: str | Path,
    data: PreparedDataset | str | Path,
    out: str | Path,
    to: str,
    *,
    files: Sequence[str | Path] = (),
    keep: float | None = None,
    cooccurrence: float = 0.0,
    minutes: float = 8.0,
    seed: int = 0,
    force: bool = False,
) -> Path:
    """Compresses an encoder for a catalogue, and writes it as an encoder folder with a card.

    A tenth of the catalogue's texts is held out first. The student made of the others is measured on them: that is how
    it will do with new texts. Then the student is made again of all texts, unless that would take minutes (`layers`).
    `card.json` and `CARD.md` in the folder hold both measurements, sizes, speeds and the hashes of teacher and data.

    Args:
        source: The teacher: a preset or an encoder folder.
        data: Prepared data, or its folder. Its item texts are learned from; its validation queries measure the result.
        out: Folder to write, atomically.
        to: Parts joined by "+": "static", "layers=N", "ffn=SHARE", "heads=SHARE", "vocabulary", "int8", "bfloat16".
        files: Text files to learn from as well, one text a line.
        keep: float in 0…1. The least share of the teacher's NDCG@10 on held-out items that must be left; if less is,
            nothing is written. None accepts anything.
        cooccurrence: float. Weight of what users take together, as a second target beside the teacher's vectors: 0 for
            the teacher alone.
        minutes: float. Time for the training of `layers`.
        seed: int. Seed of the held-out texts and of everything random.
        force: Whether to replace an existing `out`.

    Returns:
        `out`.

    Raises:
        InvalidInput: `out` exists; a part is unknown or does not work for this encoder; the encoder's layers are not
            known; the catalogue has fewer than ten texts; or less than `keep` is left, with what was measured.
        Unavailable: A download is needed but not possible.

    Example:
        >>> tfrec.compress_encoder("minilm-l6", "data/shop", "encoders/shop", "static+vocabulary")  # doctest: +SKIP
    """
    parts, dataset, out = parse_parts(to), load_dataset(data), Path(out)
    check_output_folder(out, ENCODER_OUTPUT, force)
    if not cooccurrence >= 0:
        raise InvalidInput(f"Expected a weight of co-occurrence of at least 0; received {cooccurrence}.")
    if keep is not None and not 0 <= keep <= 1:
        raise InvalidInput(f"Expected keep in 0…1, the share of the teacher's NDCG@10 to keep; received {keep}.")
    teacher, student = _teacher(str(source))
    seq_length = min(RunConfig().encoder.seq_length, teacher.max_seq_length)
    texts, held_out = _texts(dataset, files, seed)
    say(f"Encoding {len(texts)} texts with the teacher")
    options = RunConfig().with_values({"encoder.seq_length": seq_length})
    targets = unit_vectors(text_vectors_of(texts, teacher, options))
    job = _Job(dataset, teacher, student, parts, texts, targets, seq_length, cooccurrence, seed, minutes)
    with tempfile.TemporaryDirectory() as work:
        made, card = job.measured(Path(work), held_out, keep)
        card |= {"teacher": Path(source).name, **_speeds(job, made)}
        with atomic_folder(out, ENCODER_OUTPUT, force) as folder:
            shutil.copytree(Path(made.encoder_handle).parent, folder, dirs_exist_ok=True)
            write_json(folder / CARD_JSON, card)
            write_text(folder / CARD_PAGE, card_page(card))
    return out


def _teacher(source: str) -> tuple[TextEncoder, Student]:
    if PAIR_SIGN in source:
        raise InvalidInput(
            f"{source!r} is a pair of TF-Hub handles, whose layers and vocabulary are not known. Compress a preset, "
            "or a folder that `tfrec encoder import` made from a checkpoint."
        )
    return load_encoder(source), Student(*load_starting_point(source))


def _texts(dataset: PreparedDataset, files: Sequence[str | Path], seed: int) -> tuple[list[str], np.ndarray]:
    """The distinct texts to learn from, and bool `[texts]`: which of the catalogue's are held out.

    Held out is the tenth of the catalogue with the smallest hashes, so that it depends little on what else is in it.
    """
    catalogue = list(dict.fromkeys(text for text in dataset.texts if text.strip()))
    if len(catalogue) * HELD_OUT < 1:
        raise InvalidInput(f"Expected a catalogue of at least ten different texts; it has {len(catalogue)}.")
    hashes = [hashlib.blake2b(f"{seed} {text}".encode("utf-8", "replace")).hexdigest() for text in catalogue]
    cut = sorted(hashes)[int(HELD_OUT * len(catalogue))]
    corpus = Corpus(None, files)
    texts = list(dict.fromkeys([*catalogue, *corpus.texts(), *corpus.texts(held_out=True)]))
    held_out = np.zeros(len(texts), bool)
    held_out[: len(catalogue)] = [number < cut for number in hashes]
    return texts, held_out


def _refuse_below(keep: float | None, measured: Fidelity) -> None:
    if keep is not None and np.isnan(measured.kept):
        raise InvalidInput(
            f"Whether {keep:.1%} of the NDCG@10 on held-out items is left cannot be measured: the teacher finds none "
            f"of the targets of {measured.queries} validation queries. Nothing was written. Leave out --keep."
        )
    if keep is not None and measured.kept < keep:
        raise InvalidInput(
            f"On held-out items the compressed encoder has an NDCG@10 of {measured.ndcg:.4f}, the teacher "
            f"{measured.teacher_ndcg:.4f}: {measured.kept:.1%} is left, and --keep asks for {keep:.1%}. Nothing was "
            "written. Compress less, give more texts (--text), or accept less (--keep)."
        )


def _speeds(job: _Job, student: TextEncoder) -> dict[str, Any]:
    before, after = texts_per_second([job.teacher, student], job.dataset.texts, job.seq_length)
    sizes = {"bytes": folder_bytes(student), "teacher_bytes": folder_bytes(job.teacher)}
    return {**sizes, "texts_per_second": after, "teacher_texts_per_second": before, "speed_ratio": after / before}


_AGAIN = (
    "New texts were measured with a student made without them; then this one was made of all texts, which it therefore "
    "knows. Expect the second line for items that come later."
)
_ONCE = "New texts were left out of the training. Expect the second line for items that come later."
