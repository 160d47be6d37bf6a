"""An audit of the code that clips and adds noise, with gradients made to be found."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfrec.privacy.accountant import epsilon_of
from tfrec.privacy.clipped_gradients import CHUNK, clipped_sum
from tfrec.privacy.lower_bound import epsilon_lower_bound, guesses_of
from tfrec.privacy.mechanism import Mechanism
from tfrec.privacy.noise_source import NoiseSource, with_noise
from tfrec.privacy.person_gradients import Explicit

_NORM = 100.0
"""Norm of a canary's gradient over the clip norm: without clipping, no noise would hide it."""
CANARIES = 64 * CHUNK


def audit_clipping(
    delta: float, *, clip: float = 1.0, multiplier: float = 2.0, source: NoiseSource
) -> dict[str, float | bool]:
    """One release of a sum of gradients by the code that training uses, and the ε that an auditor proves of it.

    Half of the canaries, drawn by lot, have a gradient in a direction of their own, a hundred times as long as the clip
    norm; the others have none. If the clip or the noise were broken, the release would show who has one.

    Args:
        delta: float. The δ of ε.
        clip: float. The clip norm.
        multiplier: float. The noise multiplier. At 2, ε is low enough to be exceeded by what 1,024 canaries can prove.
        source: Draws the lots and the noise.

    Returns:
        epsilon (by the accountant), lower_bound (proven, with 95% confidence), and passed, whether it is below.
    """
    included = source.uniform("canaries", 0, CANARIES) < 0.5
    gradients = np.diag(np.where(included, clip * _NORM, 0.0)).astype(np.float32)
    (sums,) = clipped_sum(lambda chunk: [Explicit(chunk)], tf.constant(gradients), [tf.TensorShape([CANARIES])], clip)
    released = with_noise(sums.numpy(), source.gaussian("audited noise", 0, CANARIES), clip * multiplier)
    epsilon = epsilon_of([Mechanism("gradients", multiplier)], delta)
    bound = epsilon_lower_bound(*guesses_of(released, included), CANARIES, delta)
    return {"epsilon": epsilon, "lower_bound": bound, "passed": bound <= epsilon}
