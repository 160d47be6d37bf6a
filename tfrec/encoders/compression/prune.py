"""`ffn=SHARE` and `heads=SHARE`: fewer hidden units or attention heads, chosen and refitted by least squares.

What leaves a layer is a linear map of its hidden units (or of its heads' outputs). Units are removed where the best
linear map of the others loses least, as in the optimal brain surgeon (Hassibi & Stork 1992), and the map of those that
stay is fitted anew to what the whole layer gave. Nothing is trained.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.encoders.compression.student import Lesson, Student, require_bert, tokenise
from tfrec.encoders.transformers.build import build_backbone
from tfrec.encoders.transformers.config import BackboneConfig
from tfrec.encoders.transformers.layers import activate
from tfrec.keras import keras

TOKENS = 40_000
"""Tokens on which the maps are fitted: about 26 for each hidden unit of a MiniLM."""
_ROUNDS = 8  # hidden units leave in so many groups; after each the others are fitted anew
_DAMPING = 1e-4  # added to the variances, relative to their mean
_ROWS = 64  # texts at a time
_SEED = np.zeros(2, np.int32)  # of dropout, which is off


def prune_ffn(student: Student, lesson: Lesson, share: float) -> Student:
    """Keeps a share of the hidden units of each feed-forward network.

    Args:
        student: The student, a BERT.
        lesson: Texts, of which a sample is read.
        share: float. Share of the units to keep.

    Raises:
        InvalidInput: The student is no BERT.
    """
    require_bert(student, f"ffn={share:g}")
    config = replace(student.config, inner_width=max(1, round(share * student.config.inner_width)))
    return _pruned(student, lesson, config, _prune_units)


def prune_heads(student: Student, lesson: Lesson, share: float) -> Student:
    """Keeps a share of the attention heads of each layer; arguments and errors as in `prune_ffn`."""
    require_bert(student, f"heads={share:g}")
    old = student.config
    config = replace(old, heads=max(1, round(share * old.heads)), head_width=old.attention_width // old.heads)
    return _pruned(student, lesson, config, _prune_attention)


def _pruned(student: Student, lesson: Lesson, config: BackboneConfig, prune: Any) -> Student:
    """Makes the layers one after the other: each is fitted on what the new layers below it give."""
    model = build_backbone(config)
    for name in ("embeddings", "pooling"):
        model.get_layer(name).set_weights(student.model.get_layer(name).get_weights())
    batches = list(_embedded(student, lesson))
    for index in range(config.layers):
        old, new = student.model.get_layer(f"layer_{index}"), model.get_layer(f"layer_{index}")
        new.set_weights(prune(old, batches, config))
        batches = [(new(hidden, mask_ids=mask, seed=_SEED), mask) for hidden, mask in batches]
    return Student(config, student.vocabulary, model)


def _embedded(student: Student, lesson: Lesson) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
    """Embeddings and masks of a sample of texts with about `TOKENS` tokens, batch by batch."""
    texts = np.random.default_rng(lesson.seed).permutation(len(lesson.texts))
    read = 0
    for start in range(0, len(texts), _ROWS):
        if read >= TOKENS:
            return
        ids, lengths = tokenise(
            student.preprocessor, [lesson.texts[row] for row in texts[start : start + _ROWS]], lesson.seq_length
        )
        mask = np.arange(lengths.max()) < lengths[:, None]
        words = np.zeros(mask.shape, np.int32)
        words[mask] = ids
        hidden, _ = student.model.get_layer("embeddings")(words, np.zeros_like(words))
        read += len(ids)
        yield hidden, tf.constant(mask, tf.int32)


def _prune_units(block: keras.layers.Layer, batches: list[Any], config: BackboneConfig) -> list[np.ndarray]:
    def units(hidden: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        attended = block.attention_out(block.attend(hidden, mask, _SEED, 0, False))
        return activate(block.inner(block.attention_norm(hidden + attended)), config.activation)

    gram, mean = _moments(units, batches)
    kept, kernel, bias = select_and_refit(
        gram, mean, block.outer.kernel.numpy(), block.outer.bias.numpy(), keep=config.inner_width, rounds=_ROUNDS
    )
    return _weights(
        block, inner=(block.inner.kernel.numpy()[:, kept], block.inner.bias.numpy()[kept]), outer=(kernel, bias)
    )


def _prune_attention(block: keras.layers.Layer, batches: list[Any], config: BackboneConfig) -> list[np.ndarray]:
    gram, mean = _moments(lambda hidden, mask: block.attend(hidden, mask, _SEED, 0, False), batches)
    size = config.attention_width // config.heads
    kept, kernel, bias = select_and_refit(
        gram, mean, block.attention_out.kernel.numpy(), block.attention_out.bias.numpy(), config.heads * size, size
    )
    places = np.concatenate([part * len(gram) + kept for part in range(3)])  # of query, key and value
    qkv = block.qkv.kernel.numpy()[:, places], block.qkv.bias.numpy()[places]
    changed: dict[str, tuple[np.ndarray, ...]] = {"qkv": qkv, "attention_out": (kernel, bias)}
    if block.relative is not None:  # of MPNet, a column a head
        changed["relative"] = (block.relative.numpy()[:, kept[::size] // size],)
    return _weights(block, **changed)


def _weights(block: keras.layers.Layer, **changed: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    """The block's weights in the order of `get_weights`, with new values for those of some of its parts."""
    parts = {name: getattr(block, name) for name in changed}
    new = {
        id(weight): value
        for name, part in parts.items()
        for weight, value in zip(getattr(part, "weights", [part]), changed[name], strict=True)
    }
    return [new.get(id(weight), weight.numpy()) for weight in block.weights]


def _moments(units: Any, batches: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Covariance `[units, units]` and mean `[units]` of the units at real tokens."""
    gram: Any = 0.0
    total: Any = 0.0
    count = 0
    for hidden, mask in batches:
        values = tf.boolean_mask(units(hidden, mask), mask > 0).numpy().astype(np.float64)
        gram, total, count = gram + values.T @ values, total + values.sum(axis=0), count + len(values)
    mean = total / count
    return gram / count - np.outer(mean, mean), mean


def select_and_refit(
    gram: np.ndarray, mean: np.ndarray, kernel: np.ndarray, bias: np.ndarray, keep: int, size: int = 1, rounds: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Chooses groups of units whose best linear map comes closest to that of all units.

    Args:
        gram: float `[units, units]`, covariance of the units.
        mean: float `[units]`, their means.
        kernel: float `[units, width]`, the linear map.
        bias: float `[width]`.
        keep: int. Units to keep, a multiple of `size`.
        size: int. Units of a group, which stay or leave together.
        rounds: int. In how many rounds groups leave; 0 for one group a round.

    Returns:
        kept: int `[keep]`, ascending. kernel: float32 `[keep, width]`. bias: float32 `[width]`.
    """
    gram = gram + _DAMPING * np.trace(gram) / len(gram) * np.eye(len(gram))
    kept, excess = np.arange(len(gram)), (len(gram) - keep) // size
    at_once = 1 if not rounds else max(1, -(-excess // rounds))
    fitted = kernel.astype(np.float64)
    while len(kept) > keep:
        inverse = np.linalg.inv(gram[np.ix_(kept, kept)])
        groups = len(kept) // size
        blocks = np.einsum("gigj->gij", inverse.reshape(groups, size, groups, size))
        rows = fitted.reshape(groups, size, -1)
        loss = np.einsum("gid,gij,gjd->g", rows, np.linalg.inv(blocks), rows)
        leave = np.argsort(loss, kind="stable")[: min(at_once, groups - keep // size)]
        kept = np.delete(kept.reshape(groups, size), leave, axis=0).ravel()
        fitted = np.linalg.solve(gram[np.ix_(kept, kept)], gram[kept] @ kernel)
    return kept, fitted.astype(np.float32), (bias + mean @ kernel - mean[kept] @ fitted).astype(np.float32)
