"""`static`: a table of token vectors whose weighted means come close to the teacher's text vectors.

The table starts from the teacher's own vectors of single tokens, as in Model2Vec
(https://github.com/MinishLab/model2vec), turned by one linear map; each token then gets a correction of its own by
ridge regression. Last, the rows move along the gradient of the cosine, which also learns their lengths, that is, how
much each token weighs in a mean.
"""

from __future__ import annotations

import numpy as np

from tfrec.encoders.compression.student import Lesson, Student, single_token_vectors, tokenise
from tfrec.encoders.compression.token_averages import TokenAverages, ridge
from tfrec.encoders.transformers.build import build_backbone
from tfrec.encoders.transformers.config import StaticConfig
from tfrec.retrieval.unit_vectors import unit_vectors

# The four numbers come from titles of Amazon Scientific, of which a tenth was held out: their cosine to the teacher was
# .910, without the steps along the gradient .896, with a ridge of .01 .907 without and .905 with them.
SMOOTHING = 1e-3
"""A token of frequency f starts with the weight s / (s + f): smooth inverse frequency (Arora et al. 2017)."""
RIDGE = 0.1
"""Weight of the squared corrections."""
SOLVER_STEPS = 15
GRADIENT_STEPS = 25
RATE = 0.03
"""Learning rate, relative to the mean size of a number of the table."""


def make_static(student: Student, lesson: Lesson) -> Student:
    """Replaces a student by a static encoder with the same vocabulary and width.

    Args:
        student: The student; its vectors of single tokens are the start.
        lesson: Texts and the teacher's vectors.

    Returns:
        The static student. Its vectors have unit length.
    """
    ids, lengths = tokenise(student.preprocessor, lesson.texts, lesson.seq_length)
    start = unit_vectors(single_token_vectors(student))
    table = fit_table(ids, lengths, start, lesson.targets)
    old = student.config
    config = StaticConfig(old.vocab_size, old.width, max_positions=old.max_positions)
    model = build_backbone(config)
    model.set_weights([table])
    return Student(config, student.vocabulary, model)


def fit_table(ids: np.ndarray, lengths: np.ndarray, start: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Fits the table.

    Args:
        ids: int `[n]`, token ids of all texts one after the other.
        lengths: int `[texts]`, tokens of each text.
        start: float32 `[tokens, width]`, a first vector of each token. Tokens that no text has keep theirs, turned by
            the linear map.
        targets: float32 `[texts, width]`, of unit length.

    Returns:
        float32 `[tokens, width]`.
    """
    used, compact, counts = np.unique(ids, return_inverse=True, return_counts=True)
    weights = SMOOTHING / (SMOOTHING + counts / max(len(ids), 1))
    averages = TokenAverages(compact, lengths, weights)
    means = averages.means(start[used])
    turn = np.linalg.solve(means.T @ means + np.eye(start.shape[1], dtype=np.float32), means.T @ targets)
    table = np.asarray(start @ turn, np.float32)
    corrections = ridge(averages, targets - means @ turn, RIDGE, SOLVER_STEPS)
    known = np.asarray((table[used] + corrections) * weights[:, None], np.float32)
    table[used] = _along_the_gradient(TokenAverages(compact, lengths, np.ones(len(used))), known, targets)
    return table


def _along_the_gradient(sums: TokenAverages, table: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Raises the mean cosine to the targets, by Adam on all texts at once."""
    table = table.copy()
    momentum, scale = np.zeros_like(table), np.zeros_like(table)
    rate = RATE * np.abs(table).mean()
    for step in range(1, GRADIENT_STEPS + 1):
        texts = sums.means(table)
        norms = np.maximum(np.linalg.norm(texts, axis=1, keepdims=True), 1e-9)
        texts /= norms
        cosines = (texts * targets).sum(axis=1, keepdims=True)
        slope = sums.transposed((cosines * texts - targets) / norms)
        momentum += 0.1 * (slope - momentum)
        scale += 0.01 * (np.square(slope) - scale)
        table -= rate * (momentum / (1 - 0.9**step)) / (np.sqrt(scale / (1 - 0.99**step)) + 1e-12)
    return table
