"""The store encodes only what is new, and keeps nothing that is half-written."""

import errno
import os
import time

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from tfrec.encoders import EmbeddingStore
from tfrec.errors import InvalidInput


class Counting:
    """Stands for a TextEncoder: a vector by the text's length, and a note of what was asked."""

    def __init__(self, hash="a" * 64, dim=3):
        self.hash, self.dim, self.asked = hash, dim, []

    def encode(self, texts, *, batch_size, seq_length):
        self.asked.append(list(texts))
        return np.array([[len(text), seq_length, i] for i, text in enumerate(texts)], np.float32)[:, : self.dim]


def test_only_new_texts_are_encoded_and_repeated_ones_once(tmp_path):
    encoder = Counting()
    first = EmbeddingStore(tmp_path).encode(["red", "blue", "red"], encoder)
    assert_array_equal(first, [[3, 64, 0], [4, 64, 1], [3, 64, 0]])
    again = EmbeddingStore(tmp_path).encode(["blue", "", "red"], encoder)
    assert_array_equal(again, [[4, 64, 1], [0, 64, 0], [3, 64, 0]])
    assert encoder.asked == [["red", "blue"], [""]]
    assert again.dtype == np.float32


def test_another_encoder_or_length_shares_nothing(tmp_path):
    store, one, other = EmbeddingStore(tmp_path), Counting(), Counting(hash="b" * 64)
    store.encode(["red"], one)
    assert_array_equal(store.encode(["red"], one, seq_length=8), [[3, 8, 0]])
    store.encode(["red"], other)
    assert (len(one.asked), len(other.asked)) == (2, 1)


def test_no_texts_give_no_vectors(tmp_path):
    assert EmbeddingStore(tmp_path).encode([], Counting()).shape == (0, 3)


def test_a_text_that_is_no_string_is_named(tmp_path):
    with pytest.raises(InvalidInput, match="number 1"):
        EmbeddingStore(tmp_path).encode(["red", None], Counting())


def test_the_default_folder_is_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TFREC_CACHE", str(tmp_path))
    assert EmbeddingStore().folder == tmp_path / "embeddings"


def files_below(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("error", "raised", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), InvalidInput, "No space left"),
        (OSError("requested and 0 written"), InvalidInput, "No space left"),
        (OSError(errno.EACCES, "Permission denied"), InvalidInput, "Permission denied"),
        (KeyboardInterrupt(), KeyboardInterrupt, "^$"),
    ],
)
def test_a_write_that_fails_leaves_no_file(tmp_path, monkeypatch, error, raised, words):
    def half(file, array, **kwargs):
        file.write(b"half")
        raise error

    monkeypatch.setattr(np, "save", half)
    with pytest.raises(raised, match=words):
        EmbeddingStore(tmp_path).encode(["red"], Counting())
    assert files_below(tmp_path) == []


def test_a_failure_keeps_the_parts_that_were_complete(tmp_path, monkeypatch):
    monkeypatch.setattr("tfrec.encoders.store._BLOCK", 2)

    class Breaks(Counting):
        def encode(self, texts, **kwargs):
            if "third" in texts:
                raise KeyboardInterrupt
            return super().encode(texts, **kwargs)

    with pytest.raises(KeyboardInterrupt):
        EmbeddingStore(tmp_path).encode(["first", "second", "third"], Breaks())
    after = Counting()
    EmbeddingStore(tmp_path).encode(["first", "second", "third"], after)
    assert after.asked == [["third"]]


@pytest.mark.parametrize(
    "damage", [lambda data: data[:100], lambda data: data[:-1], lambda data: b"", lambda data: b"x"]
)
def test_a_damaged_part_is_encoded_again(tmp_path, damage):
    store, encoder = EmbeddingStore(tmp_path), Counting()
    expected = store.encode(["red"], encoder)
    (part,) = files_below(tmp_path)
    part.write_bytes(damage(part.read_bytes()))
    assert_array_equal(store.encode(["red"], encoder), expected)
    assert len(encoder.asked) == 2


def test_what_a_killed_process_left_is_swept_but_not_what_one_is_writing(tmp_path):
    store, encoder = EmbeddingStore(tmp_path), Counting()
    store.encode(["red"], encoder)
    (part,) = files_below(tmp_path)
    old, young = part.with_name(".old.tmp"), part.with_name(".young.tmp")
    old.write_bytes(b"half")
    young.write_bytes(b"half")
    os.utime(old, (0, time.time() - 7200))
    store.encode(["blue"], encoder)
    assert young.exists() and not old.exists()
