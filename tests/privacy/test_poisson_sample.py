"""Poisson samples, against counts of who is drawn."""

import numpy as np
import pytest

from tfrec.privacy.noise_source import NoiseSource
from tfrec.privacy.poisson_sample import PoissonSample

pytest.importorskip("cryptography")


def test_everybody_is_drawn_alike_and_brings_each_example_alike():
    people = np.array([4, 2, 4, 9, 4, 2])
    sample = PoissonSample(people, 0.3, NoiseSource(bytes(32)))
    assert len(sample) == 3
    steps = [sample.examples(step) for step in range(3000)]
    assert all(len(set(people[step])) == len(step) for step in steps)
    times = np.bincount(np.concatenate(steps), minlength=6) / 3000
    np.testing.assert_allclose(times, [0.1, 0.15, 0.1, 0.3, 0.1, 0.15], atol=0.03)
    both = np.mean([len(step) == 3 for step in steps])
    assert both == pytest.approx(0.3**3, abs=0.01)  # independently of each other
