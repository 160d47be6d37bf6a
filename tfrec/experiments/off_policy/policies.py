"""Policies: how scores become chances of showing an item, so that what is logged can be evaluated later.

A policy that shows the best item always teaches nothing about the others; these show each action with a known chance,
the propensity, which off-policy evaluation divides by. Log it with the action.
"""

from __future__ import annotations

import numpy as np

from tfrec.errors import InvalidInput


def softmax_policy(scores: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Chances in proportion to exp(score / temperature).

    Args:
        scores: float `[rows, actions]`; −inf is never shown.
        temperature: Above 0; lower is greedier.

    Returns:
        float64 `[rows, actions]`, rows sum to 1.

    Example:
        >>> softmax_policy(np.array([[0.0, np.log(3.0)]])).round(2)
        array([[0.25, 0.75]])
    """
    scores = _checked(scores)
    if temperature <= 0:
        raise InvalidInput(f"Expected a temperature above 0, received {temperature}.")
    best = scores.max(axis=1, keepdims=True)
    weights = np.exp((scores - best) / temperature)
    return weights / weights.sum(axis=1, keepdims=True)


def epsilon_greedy_policy(scores: np.ndarray, epsilon: float = 0.1) -> np.ndarray:
    """The best action, and with chance `epsilon` one of all (finite) actions at random.

    Args:
        scores: float `[rows, actions]`; −inf is never shown. Ties go to the first.
        epsilon: In 0…1.

    Example:
        >>> epsilon_greedy_policy(np.array([[1.0, 5.0]]), 0.2)
        array([[0.1, 0.9]])
    """
    scores = _checked(scores)
    if not 0 <= epsilon <= 1:
        raise InvalidInput(f"Expected epsilon in 0…1, received {epsilon}.")
    allowed = np.isfinite(scores)
    chances = epsilon * allowed / allowed.sum(axis=1, keepdims=True)
    chances[np.arange(len(scores)), scores.argmax(axis=1)] += 1 - epsilon
    return chances


def thompson_policy(
    clicks: np.ndarray, shown: np.ndarray, *, draws: int = 1000, prior: tuple[float, float] = (1.0, 1.0), seed: int = 0
) -> np.ndarray:
    """Chance of each action to be the best, by draws from Beta(prior + clicks, prior + shown − clicks).

    Thompson (1933): showing one draw's best action is showing actions with these chances, which are the propensities to
    log. Estimated from `draws`; every action gets half a draw more, so that none has chance 0.

    Args:
        clicks, shown: int `[actions]`, clicks at most shown.
        draws: int. prior: Clicks and misses assumed before any data. seed: int.

    Returns:
        float64 `[actions]`, sums to 1.

    Example:
        >>> chances = thompson_policy(np.array([50, 5]), np.array([100, 100]))
        >>> bool(chances[0] > 0.99)
        True
    """
    clicks, shown = np.asarray(clicks, np.float64), np.asarray(shown, np.float64)
    if clicks.shape != shown.shape or clicks.ndim != 1 or not len(clicks) or (clicks < 0).any():
        raise InvalidInput(f"Expected clicks and shown [actions], received {clicks.shape} and {shown.shape}.")
    if (clicks > shown).any():
        raise InvalidInput(f"{int((clicks > shown).sum())} actions have more clicks than they were shown. Count both.")
    rng = np.random.default_rng(seed)
    values = rng.beta(prior[0] + clicks, prior[1] + shown - clicks, (draws, len(clicks)))
    best = np.bincount(values.argmax(axis=1), minlength=len(clicks)) + 0.5
    return best / best.sum()


def sample_actions(probabilities: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draws an action a row; returns actions int64 `[rows]` and their propensities float64 `[rows]`.

    Example:
        >>> actions, propensities = sample_actions(np.array([[0.0, 1.0]]), np.random.default_rng(0))
        >>> actions.tolist(), propensities.tolist()
        ([1], [1.0])
    """
    chances = np.asarray(probabilities, np.float64)
    cumulative = chances.cumsum(axis=1)
    draws = rng.random(len(chances))[:, None] * cumulative[:, -1:]
    actions = (cumulative <= draws).sum(axis=1)
    return actions, chances[np.arange(len(chances)), actions]


def _checked(scores: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or not scores.shape[1]:
        raise InvalidInput(f"Expected scores [rows, actions], received shape {scores.shape}.")
    if np.isnan(scores).any() or np.isposinf(scores).any() or (np.isneginf(scores).all(axis=1)).any():
        raise InvalidInput("Expected a finite score in each row, and none that is NaN or +inf. Is the model broken?")
    return scores
