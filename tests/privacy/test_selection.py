"""The choice between two models, asked with noise: who is asked, and when a gain is more than noise."""

import numpy as np
import pytest

from tfrec.privacy import selection
from tfrec.privacy.noise_source import NoiseSource

pytest.importorskip("cryptography")
SOURCE = NoiseSource(bytes(32))


class People(np.ndarray):
    """Queries, as far as who is asked matters."""

    def take(self, rows):
        return self[rows]


def asked(people, num_items):
    return selection.queries_asked(np.arange(people).view(People), num_items, SOURCE)


def test_of_too_many_queries_a_sample_is_asked_in_which_everybody_has_the_same_probability(monkeypatch):
    monkeypatch.setattr(selection, "MOST_SCORES", 10_000)
    assert len(asked(100, 100)) == 100 and len(asked(0, 100)) == 0
    some = asked(2000, 10)
    assert len(some) == pytest.approx(1000, abs=4 * np.sqrt(500))
    assert some.tolist() == asked(2000, 10).tolist()  # both models of a comparison, and both comparisons


def test_each_person_counts_for_at_most_one():
    """With noise of a deviation far below one, a sum of gains of .5 is enough, and of −1 and 5, cut to 1, is not."""
    assert selection.surely_better(np.array([0.2, 0.3]), 1e-3, SOURCE)
    assert not selection.surely_better(np.array([-1.0, 5.0]), 1e-3, NoiseSource(bytes(32)), number=quiet())


def quiet():
    """A comparison whose noise is below the threshold by itself, as 19 of 20 are."""
    return next(number for number in range(99) if SOURCE.gaussian("selection", number, 1)[0] < 1.6)
