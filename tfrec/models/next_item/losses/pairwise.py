"""Losses over sampled negatives other than the softmax: gBCE and BPR."""

from __future__ import annotations

import tensorflow as tf


def generalised_bce(
    logits: tf.Tensor, labels: tf.Tensor, log_weights: tf.Tensor, num_items: int, calibration: float = 0.75
) -> tf.Tensor:
    """Binary cross-entropy without the overconfidence that few sampled negatives cause (gBCE, Petrov & Macdonald 2023,
    https://arxiv.org/abs/2308.07192).

    The probability of the positive is raised to the power β = α(t(1 − 1/α) + 1/α), where α is the share of the
    catalogue's other items that are negatives and t the calibration: 0 is plain binary cross-entropy, 1 is calibrated
    like a full softmax.

    Args:
        logits: float32 `[n, m]`, one column a candidate.
        labels: int32 `[n]`, the column of each row's label.
        log_weights: float32 `[m]`, `Candidates.log_weights`. A candidate with −inf was not drawn and is no negative;
            neither is the label.
        num_items: int. Items in the catalogue.
        calibration: float in [0, 1].

    Returns:
        float32 `[n]`.

    Example:
        >>> logits, labels, drawn = tf.constant([[2.0, -1.0]]), tf.constant([0]), tf.zeros([2])
        >>> plain = generalised_bce(logits, labels, drawn, num_items=2, calibration=0.0)
        >>> bool(abs(plain[0] - tf.math.softplus(-2.0) - tf.math.softplus(-1.0)) < 1e-6)
        True
    """
    negative = _negatives(logits, labels, log_weights)
    counts = tf.reduce_sum(tf.cast(negative, tf.float32), axis=1)
    rate = counts / max(num_items - 1, 1)
    power = 1 - calibration * (1 - rate)  # α(t(1 − 1/α) + 1/α), written so that it is defined for α = 0
    positive = tf.gather(logits, labels, axis=1, batch_dims=1)
    return power * tf.math.softplus(-positive) + tf.reduce_sum(
        tf.where(negative, tf.math.softplus(logits), 0.0), axis=1
    )


def bpr(logits: tf.Tensor, labels: tf.Tensor, log_weights: tf.Tensor) -> tf.Tensor:
    """Mean over the negatives of −log σ(positive − negative) (BPR, Rendle et al. 2009, https://arxiv.org/abs/1205.2618).

    Args:
        logits, labels, log_weights: As for `generalised_bce`.

    Returns:
        float32 `[n]`; 0 for a row without a negative.

    Example:
        >>> loss = bpr(tf.constant([[3.0, 3.0]]), tf.constant([0]), tf.zeros([2]))
        >>> bool(abs(loss[0] - tf.math.log(2.0)) < 1e-6)
        True
    """
    negative = _negatives(logits, labels, log_weights)
    positive = tf.gather(logits, labels, axis=1, batch_dims=1)[:, None]
    each = tf.where(negative, tf.math.softplus(logits - positive), 0.0)
    return tf.math.divide_no_nan(tf.reduce_sum(each, axis=1), tf.reduce_sum(tf.cast(negative, tf.float32), axis=1))


def _negatives(logits: tf.Tensor, labels: tf.Tensor, log_weights: tf.Tensor) -> tf.Tensor:
    """Whether each candidate is a negative of each row, bool `[n, m]`."""
    label = tf.one_hot(labels, tf.shape(logits)[1], on_value=True, off_value=False)
    return (log_weights > -float("inf"))[None, :] & ~label
