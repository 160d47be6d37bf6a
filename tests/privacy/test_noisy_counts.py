"""Noisy counts: a person adds a vector of norm 1, and the noise is that of the multiplier."""

import numpy as np
import pytest

from tfrec.data import Histories
from tfrec.privacy.noise_source import NoiseSource
from tfrec.privacy.noisy_counts import bounded_counts, noisy_counts

pytest.importorskip("cryptography")
SOURCE = NoiseSource(bytes(32))


def histories(*rows):
    items = np.concatenate([np.asarray(row, np.int32) for row in rows])
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    nothing = np.zeros(len(items), np.int64)
    return Histories(np.arange(len(rows)).astype(str), offsets, items, nothing, nothing, nothing, nothing == 0)


def test_a_person_adds_a_vector_of_norm_one():
    rows = [[3, 3, 3, 7], [*range(50), *range(50)], [], [3]]
    expected = np.full(50, 50**-0.5)
    expected[3] += 2**-0.5 + 1
    expected[7] += 2**-0.5
    np.testing.assert_allclose(bounded_counts(histories(*rows), 50), expected)
    for row in (rows[0], rows[1]):
        assert np.square(bounded_counts(histories(row), 50)).sum() == pytest.approx(1)


def test_the_noise_has_the_deviation_of_the_ledger():
    counts = noisy_counts(histories(*[[0]] * 4000, *[[20_000]] * 4000), 20_001, 3.0, SOURCE)
    assert counts[0] == pytest.approx(4000, abs=15) and counts[-1] == pytest.approx(4000, abs=15) and counts.min() == 0
    empty = counts[1:-1]  # the positive half of the noise
    assert empty[empty > 0].std() == pytest.approx(3.0 * np.sqrt(1 - 2 / np.pi), rel=0.05)
    assert (empty == 0).mean() == pytest.approx(0.5, abs=0.05)
