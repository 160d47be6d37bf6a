"""The store encodes only new texts, and keeps no half-written files."""

import errno
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from tfrec.encoders import EmbeddingStore
from tfrec.errors import InvalidInput


class Counting:
    """A stand-in for a TextEncoder: a vector from the text's length, and a record of the requested texts."""

    def __init__(self, hash="a" * 64, dim=3, precision="float32"):
        self.hash, self.dim, self.precision, self.asked = hash, dim, precision, []

    def encode(self, texts, *, batch_size, seq_length=0):
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


def test_encoders_lengths_and_precisions_share_no_vectors(tmp_path):
    store, one, other = EmbeddingStore(tmp_path), Counting(), Counting(hash="b" * 64)
    store.encode(["red"], one)
    assert_array_equal(store.encode(["red"], one, seq_length=8), [[3, 8, 0]])
    store.encode(["red"], other)
    store.encode(["red"], Counting(precision="int8"))
    store.encode(["red"], one)
    assert (len(one.asked), len(other.asked)) == (2, 1)
    assert len(list(tmp_path.iterdir())) == 4


def test_no_texts_give_no_vectors(tmp_path):
    assert EmbeddingStore(tmp_path).encode([], Counting()).shape == (0, 3)


def test_a_text_that_is_not_a_string_is_named(tmp_path):
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
def test_a_failed_write_leaves_no_file(tmp_path, monkeypatch, error, raised, words):
    def half(file, array, **kwargs):
        file.write(b"half")
        raise error

    monkeypatch.setattr(np, "save", half)
    with pytest.raises(raised, match=words):
        EmbeddingStore(tmp_path).encode(["red"], Counting())
    assert files_below(tmp_path) == []


def parts_below(folder):
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix == ".json"]


@pytest.mark.parametrize("kind", ["_BLOCK", "_IMAGE_BLOCK"])
def test_a_failure_keeps_complete_shards(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(f"tfrec.encoders.embedding_store.store.{kind}", 2)
    length = {"seq_length": None} if kind == "_IMAGE_BLOCK" else {}

    class Breaks(Counting):
        def encode(self, texts, **kwargs):
            if "third" in texts:
                raise KeyboardInterrupt
            return super().encode(texts, **kwargs)

    with pytest.raises(KeyboardInterrupt):
        EmbeddingStore(tmp_path).encode(["first", "second", "third"], Breaks(), **length)
    after = Counting()
    EmbeddingStore(tmp_path).encode(["first", "second", "third"], after, **length)
    assert after.asked == [["third"]]


@pytest.mark.parametrize("suffix", [".json", ".keys.npy", ".values.npy"])
@pytest.mark.parametrize(
    "damage", [lambda data: data[:100], lambda data: data[:-1], lambda data: b"", lambda data: b"x", None]
)
def test_a_damaged_shard_is_encoded_again(tmp_path, damage, suffix):
    store, encoder = EmbeddingStore(tmp_path), Counting()
    expected = store.encode(["red", "a"], encoder)
    (path,) = (path for path in files_below(tmp_path) if path.name.endswith(suffix))
    data = path.read_bytes()
    path.unlink() if damage is None else path.write_bytes(damage(data))
    again = store.encode(["red", "a"], encoder)
    assert_array_equal(again, expected)
    assert len(encoder.asked) == (1 if path.exists() and path.read_bytes() == data else 2)


def test_abandoned_files_are_deleted_but_not_files_in_progress(tmp_path):
    store, encoder = EmbeddingStore(tmp_path), Counting()
    store.encode(["red"], encoder)
    (part,) = parts_below(tmp_path)
    old = [part.with_name(f"part-old{end}") for end in (".keys.npy", ".values.npy", ".json.tmp")]
    young = part.with_name("part-young.keys.npy")
    for path in [*old, young]:
        path.write_bytes(b"half")
    for path in old:
        os.utime(path, (0, time.time() - 7200))
    store.encode(["blue"], encoder)
    assert young.exists() and not any(path.exists() for path in old)


WRITER = """
import sys, os
import numpy as np
from tfrec.encoders import EmbeddingStore

class Endless:
    hash, dim, precision = "a" * 64, 3, "float32"
    def encode(self, texts, *, batch_size, seq_length):
        return np.array([[len(text), int(text), 1] for text in texts], np.float32)

save, count = np.save, [0]
def dies(file, array, **kwargs):
    count[0] += 1
    if count[0] == int(sys.argv[2]):
        file.write(b"half of it")
        file.flush()
        os._exit(9)
    save(file, array, **kwargs)
np.save = dies
store = EmbeddingStore(sys.argv[1])
for start in range(0, 100, 10):
    store.encode([str(n) for n in range(start, start + 10)], Endless())
"""


@pytest.mark.slow
@pytest.mark.parametrize("at", [2, 7])
def test_a_killed_writer_loses_only_the_shard_in_progress(tmp_path, at):
    run = subprocess.run([sys.executable, "-c", WRITER, str(tmp_path), str(at)], capture_output=True, text=True)
    assert run.returncode == 9, run.stderr
    texts = [str(n) for n in range(100)]
    encoder = Counting()
    vectors = EmbeddingStore(tmp_path).encode(texts, encoder)
    whole = (at - 1) // 2 * 10
    assert encoder.asked == [texts[whole:]]
    assert vectors[:whole, 1].tolist() == list(range(whole))


class Random(Counting):
    """A random vector for each text, always the same for the same text."""

    def encode(self, texts, *, batch_size, seq_length=0):
        self.asked.append(list(texts))
        rows = [np.random.default_rng(len(text) * 1000 + ord(text[0])) for text in texts]
        return np.array([rng.normal(size=self.dim) * rng.exponential() for rng in rows], np.float32)


@pytest.mark.parametrize(("storage", "bits", "most"), [("float32", 32, 0), ("float16", 16, 1e-3), ("int8", 8, 2e-2)])
def test_narrow_storage_is_smaller_and_reports_its_error(tmp_path, storage, bits, most):
    texts = ["abcdefghij"[n % 10] * (n + 1) for n in range(300)]
    encoder = Random(dim=384)
    exact = encoder.encode(texts, batch_size=1, seq_length=1).astype(np.float64)
    store = EmbeddingStore(tmp_path, storage)
    found = [store.encode(texts[:100], encoder), store.encode(texts, encoder)[100:]]
    again = EmbeddingStore(tmp_path, storage).encode(texts, encoder)
    assert_array_equal(np.concatenate(found), again)
    errors = [np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(again, exact)]
    said = store.error(encoder)
    assert said["vectors"] == 300
    np.testing.assert_allclose([said["max_error"], said["mean_error"]], [max(errors), np.mean(errors)], rtol=1e-3)
    assert said["max_error"] <= most and (said["max_error"] > 0) == (most > 0)
    size = sum(path.stat().st_size for path in files_below(tmp_path) if ".values." in path.name)
    assert abs(size / (300 * 384 * bits / 8) - 1) < 0.02


def test_zeros_stay_zeros_in_int8(tmp_path):
    class Zeros(Counting):
        def encode(self, texts, **kwargs):
            return np.zeros((len(texts), 3), np.float32)

    store = EmbeddingStore(tmp_path, "int8")
    assert_array_equal(store.encode(["red"], Zeros()), [[0, 0, 0]])
    assert store.error(Zeros())["max_error"] == 0


@pytest.mark.parametrize(("storage", "value"), [("float16", 1e6), ("float32", np.nan), ("int8", np.inf)])
def test_values_that_the_storage_cannot_represent_are_refused(tmp_path, storage, value):
    class Huge(Counting):
        def encode(self, texts, **kwargs):
            return np.full((len(texts), 3), value, np.float32)

    with pytest.raises(InvalidInput, match=storage):
        EmbeddingStore(tmp_path, storage).encode(["red"], Huge())
    assert files_below(tmp_path) == []


def test_an_unknown_storage_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="bfloat16"):
        EmbeddingStore(tmp_path, "bfloat16")


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["float32", "int8"])
def test_many_small_shards_are_merged(tmp_path, storage):
    store, encoder = EmbeddingStore(tmp_path, storage), Counting()
    texts = ["x" * (n + 1) for n in range(40)]
    expected = np.concatenate([store.encode([text], encoder) for text in texts])
    assert len(parts_below(tmp_path)) < 20
    assert_array_equal(EmbeddingStore(tmp_path, storage).encode(texts, encoder), expected)
    assert len(encoder.asked) == 40 and store.error(encoder)["vectors"] == 40


def test_a_shard_that_another_process_removed_is_encoded_again(tmp_path, monkeypatch):
    store, encoder = EmbeddingStore(tmp_path), Counting()
    expected = store.encode(["red", "a"], encoder)
    calls, lookup = [], EmbeddingStore._lookup
    monkeypatch.setattr(
        EmbeddingStore, "_lookup", lambda *args: lookup(*args) if not calls and not calls.append(1) else []
    )
    assert_array_equal(store.encode(["red", "a"], encoder), expected)


def test_add_returns_the_number_of_new_texts(tmp_path):
    store, encoder = EmbeddingStore(tmp_path), Counting()
    assert store.add(["red", "blue", "red"], encoder) == 2
    assert store.add(["red", "green"], encoder) == 1
    assert encoder.asked == [["red", "blue"], ["green"]]


@pytest.mark.slow
def test_looking_up_a_hundred_thousand_texts_is_fast(tmp_path):
    class Quick(Counting):
        def encode(self, texts, **kwargs):
            self.asked.append(len(texts))
            return np.array([[int(text), 0, 0] for text in texts], np.float32)

    texts = [str(n) for n in range(100_000)]
    encoder = Quick()
    store = EmbeddingStore(tmp_path)
    store.add(texts, encoder)
    assert encoder.asked == [32768, 32768, 32768, 1696]
    order = np.random.default_rng(0).permutation(100_000)
    assert_array_equal(store.encode([texts[n] for n in order], encoder)[:, 0], order)
    assert len(encoder.asked) == 4
