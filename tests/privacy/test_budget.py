"""How ε is spent on the mechanisms of a training."""

import pytest

from tfrec.config import PrivacyConfig
from tfrec.errors import InvalidInput
from tfrec.privacy import Mechanism, epsilon_of, noise_for
from tfrec.privacy.budget import COUNTS, GRADIENTS, NEIGHBOURS, SELECTION, planned_mechanisms

pytestmark = pytest.mark.usefixtures("dp_accounting")


@pytest.mark.slow
def test_all_mechanisms_together_keep_to_epsilon_and_use_it_up():
    planned = planned_mechanisms(PrivacyConfig(epsilon=4, delta=1e-4), people=500, batch=100, steps=20)
    assert list(planned) == [GRADIENTS, COUNTS, NEIGHBOURS, SELECTION]
    assert planned[SELECTION].times == 2  # of the starts, and of the trained weights
    assert planned[GRADIENTS].sampling == 0.2 and planned[GRADIENTS].times == 20
    assert 3.9 < epsilon_of(list(planned.values()), 1e-4) <= 4.0
    assert epsilon_of([planned[COUNTS]], 1e-4) == pytest.approx(4 * 0.3, rel=0.02)


def test_what_is_off_spends_nothing():
    options = PrivacyConfig(noise=2.0, counts=0, selection=0.1, neighbours=0)
    planned = planned_mechanisms(options, people=500, batch=500, steps=2, validated=False)
    assert planned == {GRADIENTS: Mechanism(GRADIENTS, 2.0, 1.0, 2)}


def test_noise_that_is_too_little_for_epsilon_is_refused():
    with pytest.raises(InvalidInput, match=r"privacy.noise=1, ε is \d.*not privacy.epsilon=0.5"):
        planned_mechanisms(PrivacyConfig(epsilon=0.5, noise=1.0), people=500, batch=500, steps=1)


def test_a_delta_of_a_person_or_more_is_refused():
    with pytest.raises(InvalidInput, match="one of 500 people. Set it below 1/500"):
        planned_mechanisms(PrivacyConfig(epsilon=1, delta=0.01), people=500, batch=50, steps=1)


@pytest.mark.slow
@pytest.mark.parametrize("epsilon", [1, 8])
def test_neighbours_alone_have_nearly_all_of_epsilon(epsilon):
    """So that a run is no worse than private co-occurrence, which has all of it."""
    options = PrivacyConfig(epsilon=epsilon, delta=1e-4, neighbours=1)
    planned = planned_mechanisms(options, people=500, batch=100, steps=20)
    assert list(planned) == [NEIGHBOURS, COUNTS, SELECTION] and planned[SELECTION].times == 1
    assert 0.99 * epsilon < epsilon_of(list(planned.values()), 1e-4) <= epsilon
    assert planned[NEIGHBOURS].multiplier < 1.1 * noise_for(epsilon, 1e-4, Mechanism(NEIGHBOURS, 1e4))


@pytest.mark.parametrize("options", [{"epsilon": None, "noise": 2.0}, {"epsilon": 4.0, "noise": 2.0}])
def test_neighbours_alone_have_no_gradients_that_noise_could_be_for(options):
    with pytest.raises(InvalidInput, match="trains nothing, so there are no gradients"):
        planned_mechanisms(PrivacyConfig(**options, delta=1e-4, neighbours=1), people=500, batch=50, steps=1)


def test_neighbours_alone_without_neighbours_are_refused():
    options = PrivacyConfig(epsilon=4, delta=1e-4, neighbours=1)
    with pytest.raises(InvalidInput, match="but there are none: the catalogue is too large, or model.neighbours is 0"):
        planned_mechanisms(options, people=500, batch=50, steps=1, paired=False)
