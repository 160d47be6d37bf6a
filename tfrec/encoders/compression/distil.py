"""`layers=N`: some of the teacher's layers, trained until the text vectors are close to the teacher's again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import tensorflow as tf

from tfrec.encoders.compression.student import Lesson, Student, require_bert, tokenise
from tfrec.encoders.transformers.build import build_backbone
from tfrec.errors import InvalidInput
from tfrec.keras import keras
from tfrec.progress import say, track
from tfrec.schema import INPUT_MASK, INPUT_TYPE_IDS, INPUT_WORD_IDS, POOLED_OUTPUT
from tfrec.training.schedules import warm_cosine

# Steps and rate are those of a first trial on Amazon Scientific, where 150 seconds of two cores were enough to be level
# with the teacher as a text recommender; nobody searched them.
STEPS = 500
BATCH = 64
RATE = 2e-4
WARMUP = 0.05


def fewer_layers(student: Student, lesson: Lesson, layers: int) -> Student:
    """Keeps some layers, from the first to the last at even distances, and distils the teacher's vectors into them.

    Args:
        student: The student, a BERT.
        lesson: Texts and the teacher's vectors.
        layers: int. Layers to keep.

    Raises:
        InvalidInput: The student is no BERT, or has no more layers than that.
    """
    require_bert(student, f"layers={layers}")
    if layers >= student.config.layers:
        raise InvalidInput(
            f"Expected fewer layers than the encoder's {student.config.layers}; received layers={layers}."
        )
    config = replace(student.config, layers=layers)
    model = build_backbone(config)
    kept = np.linspace(0, student.config.layers - 1, layers).round().astype(int)
    for name in ("embeddings", "pooling"):
        model.get_layer(name).set_weights(student.model.get_layer(name).get_weights())
    for place, layer in enumerate(kept):
        model.get_layer(f"layer_{place}").set_weights(student.model.get_layer(f"layer_{layer}").get_weights())
    smaller = Student(config, student.vocabulary, model)
    distil(smaller, lesson)
    return smaller


def distil(student: Student, lesson: Lesson) -> None:
    """Trains a student to give the teacher's vectors: AdamW on the cosine, with a warm-up and a cosine decay.

    Training has a fixed number of steps, so that it can be repeated; it stops early after `lesson.minutes`.

    Args:
        student: The student; its weights change.
        lesson: Texts and the teacher's vectors.
    """
    rate = warm_cosine(RATE, int(WARMUP * STEPS), STEPS)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=0.01, clipnorm=1.0)
    model, variables = student.model, student.model.trainable_variables
    optimizer.build(variables)

    matrix = [None, None]

    @tf.function(input_signature=[tf.TensorSpec(matrix, tf.int32)] * 2 + [tf.TensorSpec(matrix, tf.float32)])
    def step(words: tf.Tensor, mask: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        inputs = {INPUT_WORD_IDS: words, INPUT_MASK: mask, INPUT_TYPE_IDS: tf.zeros_like(words)}
        with tf.GradientTape() as tape:
            vectors = tf.nn.l2_normalize(model(inputs, training=False)[POOLED_OUTPUT], axis=-1)
            loss = 1.0 - tf.reduce_mean(tf.reduce_sum(vectors * targets, axis=-1))
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return loss

    started, losses = time.monotonic(), []
    for number, (words, mask, rows) in enumerate(track(_batches(student, lesson), "Distilling", STEPS)):
        losses.append(float(step(words, mask, lesson.targets[rows])))
        if time.monotonic() - started > 60 * lesson.minutes:
            say(f"The time is up after {number + 1} of {STEPS} steps. Give more with --minutes.")
            break
    say(f"Mean cosine of the last steps: {1 - np.mean(losses[-20:]):.3f}")


def _batches(student: Student, lesson: Lesson) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yields `STEPS` batches of texts of like length: word ids, mask, and the rows of the texts."""
    ids, lengths = tokenise(student.preprocessor, lesson.texts, lesson.seq_length)
    words = np.zeros((len(lengths), lengths.max()), np.int32)
    words[np.arange(words.shape[1]) < lengths[:, None]] = ids
    rng, made = np.random.default_rng(lesson.seed), 0
    while made < STEPS:
        # Random numbers below 8 tokens: batches differ from round to round, and are still padded little.
        order = np.argsort(lengths + 8 * rng.random(len(lengths)), kind="stable")
        parts = np.array_split(order, -(-len(order) // BATCH))
        for place in rng.permutation(len(parts))[: STEPS - made]:
            rows = parts[place]
            real = np.arange(lengths[rows].max()) < lengths[rows][:, None]
            yield words[rows, : real.shape[1]], real.astype(np.int32), rows
            made += 1
