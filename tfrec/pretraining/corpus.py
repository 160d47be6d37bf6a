"""Texts to pre-train on: a shop's catalogue and behaviour, and text files, in an order that can be repeated."""

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

_BUFFER = 10_000  # texts shuffled at a time
_SHARE = 1 << 16


class Corpus:
    """Texts of a PreparedDataset and of files, one a line, in which a text is either learnt from or held out.

    From the dataset: each distinct item text, and each user's training history as one behaviour text, so nothing of
    the validation and test events is seen. Which texts are held out depends on their own hash alone: equal texts go
    the same way, in every run. A title that is held out may still stand in somebody's history that is learnt from, so
    the perplexity on a dataset is that of a known shop's language, not of new words. Files are read line by line; empty
    lines are skipped.

    Args:
        dataset: Or None.
        files: UTF-8 text files.
        held_out: Share of the texts that are held out.

    Raises:
        InvalidInput: A file is not there; when read, a line of it is not UTF-8 or holds control characters.
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
        """Of the dataset's fingerprint and the bytes of the files."""
        digest = hashlib.sha256()
        if self.dataset is not None:
            digest.update(str(self.dataset.manifest["fingerprint"]).encode())
        for file in self.files:
            digest.update(file_sha256(file).encode())
        return digest.hexdigest()

    def texts(self, held_out: bool = False) -> Iterator[str]:
        """The texts to learn from, or those that are held out, in the order in which they stand."""
        for text in chain(self._catalogue(), self._behaviour(), *map(_lines, self.files)):
            number = int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=2).digest(), "big")
            if (number < self._cut) == held_out:
                yield text

    def shuffled(self, seed: int) -> Iterator[str]:
        """The texts to learn from, again and again, each round in another order; the same for the same seed.

        No more than 10,000 texts are held: each is drawn from a buffer that the stream refills.

        Raises:
            InvalidInput: There is no text.
        """
        for epoch in range(1 << 62):
            rng = np.random.default_rng([seed, epoch])
            buffer: list[str] = []
            for text in self.texts():
                if len(buffer) < _BUFFER:
                    buffer.append(text)
                    continue
                at = int(rng.integers(_BUFFER))
                yield buffer[at]
                buffer[at] = text
            if epoch == 0 and not buffer:
                raise InvalidInput("There is no text to learn from. Give a dataset whose items have text, or a file.")
            yield from (buffer[at] for at in rng.permutation(len(buffer)))

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
                raise InvalidInput(f"{file}, line {number} is not UTF-8 text ({error.reason}). Is it text?") from None
            junk = next((char for char in text if (ord(char) < 32 and char not in "\t\f\v\r") or char == "\x7f"), None)
            if junk is not None:
                raise InvalidInput(f"{file}, line {number} holds the control character {junk!r}. Is it text?")
            if text:
                yield text
