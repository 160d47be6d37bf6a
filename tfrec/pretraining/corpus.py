"""Corpus: texts to pre-train on, from a catalogue, behaviour and text files, in a reproducible order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from tfrec.data.behaviour_text import behaviour_text
from tfrec.data.dataset import PreparedDataset
from tfrec.errors import InvalidInput
from tfrec.files import file_sha256

_BUFFER = 10_000  # texts in the shuffle buffer
_SHARE = 1 << 16  # number of distinct two-byte hashes


class Corpus:
    """The texts of a PreparedDataset and of text files, split into training and held-out texts.

    From the dataset come each distinct item text, and each user's training history as one behaviour text; validation
    and test events are not used. Whether a text is held out depends only on its own hash, so equal texts always go the
    same way. A held-out title may still occur in a behaviour text that is trained on, so the perplexity on a dataset
    measures a known catalogue's language rather than new words. Files have one text per line; empty lines are skipped.

    Args:
        dataset: The dataset, or None.
        files: UTF-8 text files.
        held_out: float. Share of the texts to hold out.

    Raises:
        InvalidInput: A file does not exist; or, while reading, a line is not UTF-8 or contains control characters.
    """

    def __init__(
        self, dataset: PreparedDataset | None, files: Sequence[str | Path] = (), held_out: float = 0.02
    ) -> None:
        self.dataset, self.files, self._cut = dataset, [Path(file) for file in files], int(held_out * _SHARE)
        missing = [file for file in self.files if not file.is_file()]
        if missing:
            raise InvalidInput(f"There is no text file {missing[0]}. Check its name.")

    @property
    def sha256(self) -> str:
        """Hash of the dataset's fingerprint and of the files."""
        digest = hashlib.sha256()
        if self.dataset is not None:
            digest.update(str(self.dataset.manifest["fingerprint"]).encode())
        for file in self.files:
            digest.update(file_sha256(file).encode())
        return digest.hexdigest()

    def texts(self, held_out: bool = False) -> Iterator[str]:
        """The training texts, or the held-out texts, in their original order."""
        for text in chain(self._catalogue(), self._behaviour(), *map(_lines, self.files)):
            number = int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=2).digest(), "big")
            if (number < self._cut) == held_out:
                yield text

    def shuffled(self, seed: int) -> Iterator[str]:
        """Yields the training texts endlessly, each round in another order that depends only on the seed.

        Texts are drawn from a buffer of 10,000 that the stream refills, so memory is bounded.

        Raises:
            InvalidInput: There are no training texts.
        """
        for epoch in range(1 << 62):
            rng = np.random.default_rng([seed, epoch])
            buffer: list[str] = []
            for text in self.texts():
                if len(buffer) < _BUFFER:
                    buffer.append(text)
                    continue
                slot = int(rng.integers(_BUFFER))
                yield buffer[slot]
                buffer[slot] = text
            if epoch == 0 and not buffer:
                raise InvalidInput(
                    "There is no text to train on. Pass a dataset whose items have text, or a text file."
                )
            yield from (buffer[slot] for slot in rng.permutation(len(buffer)))

    def _catalogue(self) -> Iterator[str]:
        if self.dataset is not None:
            yield from dict.fromkeys(text for text in self.dataset.texts if text.strip())

    def _behaviour(self) -> Iterator[str]:
        if self.dataset is None:
            return
        histories, texts, kinds = self.dataset.training(), self.dataset.texts, self.dataset.event_kinds
        for index in range(len(histories)):
            row = histories.row(index)
            text = behaviour_text(
                [kinds[kind] for kind in histories.events[row]], [texts[item] for item in histories.items[row]]
            )
            if text:
                yield text


def _lines(file: Path) -> Iterator[str]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                text = line.decode("utf-8").strip()
            except UnicodeDecodeError as error:
                raise InvalidInput(
                    f"{file}, line {number} is not UTF-8 text ({error.reason}). Is it a text file?"
                ) from None
            junk = next((char for char in text if (ord(char) < 32 and char not in "\t\f\v\r") or char == "\x7f"), None)
            if junk is not None:
                raise InvalidInput(f"{file}, line {number} contains the control character {junk!r}. Is it a text file?")
            if text:
                yield text
