"""Noisy counts: what a person adds is bounded, and the noise is that of the multiplier."""

import numpy as np
import pytest

from tfrec.data import Histories
from tfrec.privacy.noise_source import NoiseSource
from tfrec.privacy.noisy_counts import MOST_ITEMS, bounded_items, noisy_counts

pytest.importorskip("cryptography")
SOURCE = NoiseSource(bytes(32))


def histories(*rows):
    items = np.concatenate([np.asarray(row, np.int32) for row in rows])
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    nothing = np.zeros(len(items), np.int64)
    return Histories(np.arange(len(rows)).astype(str), offsets, items, nothing, nothing, nothing, nothing == 0)


def test_a_person_adds_one_for_each_of_a_bounded_number_of_items():
    many = np.concatenate([np.arange(50), np.arange(50)])
    counted = bounded_items(histories([3, 3, 3, 7], many, []), 50, SOURCE)
    counts = np.bincount(counted, minlength=50)
    assert len(counted) == 2 + MOST_ITEMS and counts.max() <= 2
    assert counts[3] >= 1 and counts[7] >= 1  # of the short history all, once each
    other = bounded_items(histories([3, 3, 3, 7], many, []), 50, NoiseSource(bytes([1] * 32)))
    assert set(counted) != set(other)  # of the long one a random part


def test_the_noise_has_the_deviation_of_the_ledger():
    counts = noisy_counts(histories(*[[0]] * 4000, *[range(20_000, 20_001)] * 4000), 20_001, 3.0, SOURCE)
    deviation = 3.0 * np.sqrt(MOST_ITEMS)
    assert counts[0] == pytest.approx(4000, abs=5 * deviation) and counts.min() == 0 and counts.dtype == np.int64
    empty = counts[1:-1]  # the positive half of the noise
    assert empty[empty > 0].std() == pytest.approx(deviation * np.sqrt(1 - 2 / np.pi), rel=0.05)
    assert (empty == 0).mean() == pytest.approx(0.5, abs=0.05)
