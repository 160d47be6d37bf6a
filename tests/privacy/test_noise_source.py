"""The random numbers of a private training, and how noise is added."""

import stat

import numpy as np
import pytest
from scipy import stats

from tfrec.errors import InvalidInput
from tfrec.privacy.noise_source import KEY_FILE, NoiseSource, with_noise

pytest.importorskip("cryptography")
SOURCE = NoiseSource(bytes(range(32)))


def test_the_numbers_depend_on_key_name_and_number_alone():
    again = NoiseSource(bytes(range(32)))
    np.testing.assert_array_equal(SOURCE.gaussian("step", 3, 50), again.gaussian("step", 3, 50))
    others = [
        NoiseSource(bytes(32)).gaussian("step", 3, 50),
        SOURCE.gaussian("step", 4, 50),
        SOURCE.gaussian("sum", 3, 50),
    ]
    for other in others:
        assert abs(np.corrcoef(SOURCE.gaussian("step", 3, 50), other)[0, 1]) < 0.5


def test_the_numbers_are_uniform_and_normal():
    assert stats.kstest(SOURCE.uniform("u", 0, 20_000), "uniform").pvalue > 0.001
    normal = SOURCE.gaussian("g", 0, 20_001)
    assert len(normal) == 20_001 and stats.kstest(normal, "norm").pvalue > 0.001
    assert abs(np.corrcoef(normal[:10_000], normal[10_001:])[0, 1]) < 0.05


def test_sums_with_noise_are_on_a_grid_far_finer_than_the_noise_and_far_coarser_than_their_bits():
    sums = np.array([0.1, 0.1 + 1e-9, -3.0], np.float64)
    noisy = with_noise(sums, np.array([0.7, 0.7, -1.2]), deviation=2.0)
    assert noisy[0] == noisy[1]  # the last bits are gone
    np.testing.assert_allclose(noisy, sums + 2 * np.array([0.7, 0.7, -1.2]), atol=2.0 / 2**14)
    np.testing.assert_array_equal(noisy * 2**13, np.rint(noisy * 2**13))


def test_the_key_of_a_run_is_for_its_owner_alone_and_goes_with_the_training(tmp_path):
    first = NoiseSource.of_run(tmp_path).uniform("u", 0, 4)
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600
    np.testing.assert_array_equal(NoiseSource.of_run(tmp_path).uniform("u", 0, 4), first)  # after a resume
    NoiseSource.forget(tmp_path)
    assert not (tmp_path / KEY_FILE).exists()
    assert (NoiseSource.of_run(tmp_path).uniform("u", 0, 4) != first).all()  # drawn anew
    (tmp_path / KEY_FILE).write_bytes(b"short")
    with pytest.raises(InvalidInput, match="32 bytes"):
        NoiseSource.of_run(tmp_path)
