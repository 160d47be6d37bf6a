"""Stochastic policies: turn scores into probabilities of showing each action.

A policy that always shows the best item reveals nothing about the others. These policies show each action with a known
probability, the propensity. Log it with the action: off-policy evaluation divides by it.
"""

from __future__ import annotations

import numpy as np

from tfrec.errors import InvalidInput


def softmax_policy(scores: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities in proportion to exp(score / temperature).

    Args:
        scores: float `[rows, actions]`. An action with −inf is never shown.
        temperature: float above 0. A lower temperature is greedier.

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
    """Shows the best action, or with probability `epsilon` a random action.

    Args:
        scores: float `[rows, actions]`. An action with −inf is never shown. Ties go to the first action.
        epsilon: float in 0…1.

    Returns:
        float64 `[rows, actions]`, rows sum to 1.

    Example:
        >>> epsilon_greedy_policy(np.array([[1.0, 5.0]]), 0.2)
        array([[0.1, 0.9]])
    """
    scores = _checked(scores)
    if not 0 <= epsilon <= 1:
        raise InvalidInput(f"Expected epsilon in 0…1, received {epsilon}.")
    allowed = np.isfinite(scores)
    probabilities = epsilon * allowed / allowed.sum(axis=1, keepdims=True)
    probabilities[np.arange(len(scores)), scores.argmax(axis=1)] += 1 - epsilon
    return probabilities


def thompson_policy(
    clicks: np.ndarray, shown: np.ndarray, *, draws: int = 1000, prior: tuple[float, float] = (1.0, 1.0), seed: int = 0
) -> np.ndarray:
    """The probability of each action to be the best, from draws of Beta(prior + clicks, prior + shown − clicks).

    Thompson sampling (Thompson, 1933) shows the best action of one draw, so it shows actions with these probabilities:
    they are the propensities to log. Every action gets half a draw extra, so that none has probability 0.

    Args:
        clicks: int `[actions]`, at most `shown`.
        shown: int `[actions]`, how often each action was shown.
        draws: int. Number of draws to estimate the probabilities from.
        prior: Assumed numbers of clicks and of misses before any data.
        seed: int. The same seed gives the same probabilities.

    Returns:
        float64 `[actions]`, sums to 1.

    Example:
        >>> probabilities = thompson_policy(np.array([50, 5]), np.array([100, 100]))
        >>> bool(probabilities[0] > 0.99)
        True
    """
    clicks, shown = np.asarray(clicks, np.float64), np.asarray(shown, np.float64)
    if clicks.shape != shown.shape or clicks.ndim != 1 or not len(clicks) or (clicks < 0).any():
        raise InvalidInput(f"Expected clicks and shown [actions], received {clicks.shape} and {shown.shape}.")
    if (clicks > shown).any():
        raise InvalidInput(
            f"{int((clicks > shown).sum())} actions have more clicks than they were shown. Count both in the same log."
        )
    rng = np.random.default_rng(seed)
    values = rng.beta(prior[0] + clicks, prior[1] + shown - clicks, (draws, len(clicks)))
    best = np.bincount(values.argmax(axis=1), minlength=len(clicks)) + 0.5
    return best / best.sum()


def sample_actions(probabilities: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draws one action per row.

    Args:
        probabilities: float `[rows, actions]`, rows sum to 1.
        rng: Random generator.

    Returns:
        actions: int64 `[rows]`. propensities: float64 `[rows]`, the probability of each drawn action.

    Example:
        >>> actions, propensities = sample_actions(np.array([[0.0, 1.0]]), np.random.default_rng(0))
        >>> actions.tolist(), propensities.tolist()
        ([1], [1.0])
    """
    probabilities = np.asarray(probabilities, np.float64)
    cumulative = probabilities.cumsum(axis=1)
    draws = rng.random(len(probabilities))[:, None] * cumulative[:, -1:]
    actions = (cumulative <= draws).sum(axis=1)
    return actions, probabilities[np.arange(len(probabilities)), actions]


def _checked(scores: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or not scores.shape[1]:
        raise InvalidInput(f"Expected scores [rows, actions], received shape {scores.shape}.")
    if np.isnan(scores).any() or np.isposinf(scores).any() or (np.isneginf(scores).all(axis=1)).any():
        raise InvalidInput(
            "Expected a finite score in each row and no NaN or +inf, received others. Check the model that scored."
        )
    return scores
