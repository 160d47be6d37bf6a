"""Item features: vectors of texts and pictures, and the catalogue's `*_embedding` columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.encoders import EmbeddingStore, ImageEncoder, TextEncoder
from tfrec.encoders.encoder_on_workers import EncoderOnWorkers
from tfrec.encoders.images.image_contents import ImageContents, describe_problems
from tfrec.errors import InvalidInput
from tfrec.files import cache_dir
from tfrec.models.shared.shorter_texts import shorter_texts
from tfrec.progress import say
from tfrec.retrieval.unit_vectors import unit_vectors

IMAGE = "image"
"""Name of the modality of pictures."""
IMAGES_AT_A_TIME = 8


def item_features(dataset: PreparedDataset, text_vectors: np.ndarray | None) -> np.ndarray | None:
    """Concatenates the text vectors and all columns of number lists whose name ends in `_embedding`.

    Each column's rows are scaled to the mean norm of the text vectors (1 without text), so that initially each column
    counts as much as the text. An item without an embedding gets the mean of the others.

    Args:
        dataset: Provides the catalogue.
        text_vectors: float32 `[num_items, text_dim]`, or None.

    Returns:
        float32 `[num_items, text_dim + widths of the columns]`; None if there are neither.

    Raises:
        InvalidInput: A column holds no numbers, lists of unlike lengths, or a number that is not finite.
    """
    parts: list[np.ndarray] = [] if text_vectors is None else [np.asarray(text_vectors, np.float32)]
    scale = 1.0 if text_vectors is None else float(np.linalg.norm(text_vectors, axis=1).mean()) or 1.0
    parts.extend(scale * embedding_column(dataset.items, name) for name in embedding_columns(dataset))
    return np.concatenate(parts, axis=1) if parts else None


def embedding_columns(dataset: PreparedDataset) -> list[str]:
    """Names of the catalogue's embedding columns, in catalogue order."""
    return [name for name in dataset.items.columns if name.endswith(schema.EMBEDDING_SUFFIX)]


def item_modalities(
    dataset: PreparedDataset, text_vectors: np.ndarray | None, image_vectors: np.ndarray | None
) -> list[tuple[str, np.ndarray]]:
    """Name and vectors of all modalities of the items: text, image, and the columns of `item_features`.

    Args:
        dataset: Provides the catalogue.
        text_vectors: float32 `[num_items, text_dim]`, or None.
        image_vectors: float32 `[num_items, image_dim]`, 0 for an item without an image; or None.

    Returns:
        Pairs of a name and float32 `[num_items, width]`; a row of zeros stands for an item without the modality. Rows
        of all but the text have unit length.

    Raises:
        InvalidInput: As in `item_features`.
    """
    found = [] if text_vectors is None else [("text", np.asarray(text_vectors, np.float32))]
    if image_vectors is not None and np.any(image_vectors):
        found.append((IMAGE, unit_vectors(image_vectors)))
    return found + [(name, embedding_column(dataset.items, name, fill=False)) for name in embedding_columns(dataset)]


def store_text_vectors(texts: Sequence[str], encoder: TextEncoder | EncoderOnWorkers, config: RunConfig) -> None:
    """Puts the vectors of texts into the embedding store, where `text_vectors_of` finds them; arguments as there."""
    store = EmbeddingStore(cache_dir() / "embeddings", config.encoder.storage)
    store.add(texts, encoder, seq_length=config.encoder.seq_length, batch_size=config.encoder.batch_size)


def text_vectors_of(texts: Sequence[str], encoder: TextEncoder | EncoderOnWorkers, config: RunConfig) -> np.ndarray:
    """Encodes texts with the options of the `encoder` section; vectors in the embedding store are reused.

    Args:
        texts: Any strings.
        encoder: The text encoder, or the workers of a cluster that encode with it.
        config: Section `encoder`.

    Returns:
        float32 `[len(texts), encoder.dim]`.
    """
    store = EmbeddingStore(cache_dir() / "embeddings", config.encoder.storage)
    length = config.encoder.seq_length
    vectors = store.encode(texts, encoder, seq_length=length, batch_size=config.encoder.batch_size)
    if config.encoder.storage != "float32":
        lost = store.error(encoder, length)
        say(
            f"Vectors are stored as {config.encoder.storage}: relative error {lost['mean_error']:.2%} on average, "
            f"{lost['max_error']:.2%} at most"
        )
    return vectors


def image_vectors_of(items: pl.DataFrame, encoder: ImageEncoder, config: RunConfig) -> np.ndarray:
    """Encodes the images of a catalogue and says how many there are; vectors in the embedding store are reused.

    Args:
        items: The catalogue, with the column `encoder.image_column`.
        encoder: The image encoder.
        config: Section `encoder`.

    Returns:
        float32 `[num_items, encoder.dim]`, 0 for an item without an image that can be decoded.

    Raises:
        InvalidInput: The column is missing, or holds something else than images.
    """
    column = config.encoder.image_column
    if column not in items.columns:
        raise InvalidInput(
            f"encoder.image reads the column {column!r}, which the items do not have; found {items.columns}. "
            "Set encoder.image_column, or leave encoder.image out."
        )
    contents = ImageContents(items[column].to_list(), config.encoder.image_folder)
    store = EmbeddingStore(cache_dir() / "embeddings", config.encoder.storage)
    vectors = store.encode(contents, encoder, seq_length=None, batch_size=IMAGES_AT_A_TIME)
    counts = describe_problems(contents, np.any(vectors != 0, axis=1).tolist())
    say(f"Pictures of {items.height} items: " + ", ".join(f"{count} {reason}" for reason, count in counts.items()))
    return vectors


def shortened_features(
    dataset: PreparedDataset, encoder: TextEncoder, config: RunConfig, features: np.ndarray | None
) -> np.ndarray | None:
    """`features` with the text vectors replaced by those of shortened texts.

    Args:
        dataset: Provides the texts.
        encoder: The text encoder.
        config: Sections `encoder` and `training`.
        features: float32 `[num_items, width]`, the result of `item_features`; None for none.

    Returns:
        float32 `[training.augmentation.shortened, num_items, width]`; None if `training.augmentation.words`
        is 0 or there are no features.
    """
    options, versions = config.training.augmentation, []
    if not options.words or features is None:
        return None
    say(f"Encoding {options.shortened} × {dataset.num_items} shortened texts")
    for version in range(options.shortened):
        rng = np.random.default_rng([config.training.seed, version])
        vectors = text_vectors_of(shorter_texts(dataset.texts, options.words, rng), encoder, config)
        versions.append(np.concatenate([vectors, features[:, vectors.shape[1] :]], axis=1))
    return np.stack(versions)


def embedding_column(items: pl.DataFrame, name: str, fill: bool = True) -> np.ndarray:
    """The vectors of a column of number lists, scaled to unit length.

    Args:
        items: Items.
        name: The column.
        fill: Whether an item without an embedding gets the mean of the others, or 0.

    Returns:
        float32 `[items, width]`.

    Raises:
        InvalidInput: As in `item_features`.
    """
    rows = items[name].to_list()
    given = [row for row in rows if row is not None]
    width = len(given[0]) if given and isinstance(given[0], list) else 0
    wrong = [i for i, row in enumerate(rows) if row is not None and (not isinstance(row, list) or len(row) != width)]
    if not width or wrong:
        what = f"item {items[schema.ITEM_ID][wrong[0]]!r} has {rows[wrong[0]]!r:.60}" if wrong else "there is none"
        raise InvalidInput(
            f"Column {name} must hold lists of {width or 'as many'} numbers; {what}. Leave it out, or mend it."
        )
    try:
        matrix = np.array([row if row is not None else [0.0] * width for row in rows], np.float32)
    except (TypeError, ValueError):
        raise InvalidInput(
            f"Column {name} must hold lists of numbers, some are not. Leave it out, or mend it."
        ) from None
    broken = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if len(broken):
        examples = ", ".join(repr(items[schema.ITEM_ID][int(i)]) for i in broken[:3])
        raise InvalidInput(
            f"Column {name} holds numbers that are not finite in {len(broken)} items, e.g. {examples}. "
            "Leave their embedding empty (null), and they get the mean."
        )
    there = np.array([row is not None for row in rows])
    matrix = unit_vectors(matrix)
    if fill:
        matrix[~there] = matrix[there].mean(axis=0)
    return matrix
