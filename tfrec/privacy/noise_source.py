"""Random numbers of a private training: nobody who lacks the key can predict them, and who has it can repeat them."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

import numpy as np

from tfrec.errors import InvalidInput, Unavailable

KEY_FILE = "noise.key"
"""Only while the run is in progress: with the key of a run, its noise can be taken off again."""
_KEY_BYTES = 32


class NoiseSource:
    """Uniform and Gaussian numbers from the stream cipher ChaCha20, under a key.

    The noise protects people only as long as nobody can guess it. The usual generators of random numbers can be guessed
    from their seed, of which there are few, and from numbers that they gave earlier.

    Every call names what the numbers are for. The same key, name and number give the same numbers, so a training that
    was interrupted goes on with the noise that it would have had: no step is ever released with two noises, from which
    a part of the noise could be averaged away.

    Args:
        key: 32 bytes.

    Example:
        >>> source = NoiseSource(bytes(32))
        >>> bool((source.gaussian("step", 7, 3) == source.gaussian("step", 7, 3)).all())
        True
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:
            raise InvalidInput(f"A noise key has {_KEY_BYTES} bytes; received {len(key)}. Delete it and train again.")
        self._key = key

    @classmethod
    def of_run(cls, folder: Path) -> NoiseSource:
        """The source of the run in progress in `folder`; its key is drawn by the operating system and kept there."""
        path = folder / KEY_FILE
        if not path.is_file():
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(file, "wb") as opened:
                opened.write(secrets.token_bytes(_KEY_BYTES))
        return cls(path.read_bytes())

    @staticmethod
    def forget(folder: Path) -> None:
        """Deletes the key of a run whose training has ended."""
        (folder / KEY_FILE).unlink(missing_ok=True)

    def uniform(self, name: str, number: int, count: int) -> np.ndarray:
        """float64 `[count]`, uniform in [0, 1): multiples of 2^−53.

        Args:
            name: What the numbers are for.
            number: Which of the draws for it.
            count: How many.
        """
        return (self._words(name, number, count) >> np.uint64(11)) * 2.0**-53

    def gaussian(self, name: str, number: int, count: int) -> np.ndarray:
        """float64 `[count]`, standard normal (Box & Muller). Above 8.5 there are none: less than 10^−16 of them all.

        Args:
            name, number, count: As for `uniform`.
        """
        half = -(-count // 2)
        words = self.uniform(name, number, 2 * half)
        radius, angle = np.sqrt(-2 * np.log1p(-words[:half])), 2 * np.pi * words[half:]
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]

    def _words(self, name: str, number: int, count: int) -> np.ndarray:
        """uint64 `[count]`, the key stream of a key of their own."""
        try:
            from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
        except ImportError:
            raise Unavailable(
                "Private training needs cryptography. Install the extra: pip install 'tfrec-bert[privacy]'."
            ) from None
        key = hmac.new(self._key, f"{name}/{number}".encode(), hashlib.sha256).digest()
        stream = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()
        return np.frombuffer(stream.update(bytes(8 * count)), np.uint64)


def with_noise(sums: np.ndarray, noise: np.ndarray, deviation: float) -> np.ndarray:
    """Sums with noise, rounded to a grid.

    Floating-point numbers are not real ones: which sums are possible at all depends on the noise that was drawn, and
    their last bits tell about the sum without it (Mironov 2012, https://doi.org/10.1145/2382196.2382264; Jin et al.
    2022, https://arxiv.org/abs/2112.05307). Rounded to a grid far coarser than those bits, they tell nothing, and the
    rounding is far smaller than the noise.

    Args:
        sums: float `[n]`.
        noise: float64 `[n]`, standard normal.
        deviation: float. Standard deviation of the noise that is added.

    Returns:
        float64 `[n]`, multiples of `deviation` / 16384.
    """
    grid = deviation / 2**14
    return np.rint((sums.astype(np.float64) + deviation * noise) / grid) * grid
