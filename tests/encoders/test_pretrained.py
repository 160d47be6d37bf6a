"""Pretrained encoders as published give the vectors of their own programs."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.encoders.pretrained import multilingual_table
from tfrec.encoders import import_encoder, load_encoder

# The first values of what the Rust encoder of tokenlearn-static-model 0.1.1 gives.
GOLDEN = {
    "red running shoes for women": [0.39015, 0.12141, 0.09137, -0.29704],
    "Grüne Schuhe, 42½ ™": [-0.09335, -0.35915, -0.13714, -0.29855],
    "日本語のテキスト": [-0.34178, -0.19861, -0.307, -0.14896],
    "кухонный нож": [-0.04999, -0.25023, 0.06996, 0.28952],
    "कपड़े धोने का साबुन": [-0.26753, -0.45749, -0.02324, -0.24081],
    "": [0.0, 0.0, 0.0, 0.0],
    "한국어 텍스트 and English": [-0.14455, -0.04144, -0.15649, -0.01275],
    "  naïve   café ＦＵＬＬ width ": [-0.21188, -0.10563, 0.01678, 0.09179],
}


@pytest.mark.nightly
def test_a_multilingual_table_gives_the_vectors_of_its_own_encoder(tmp_path):
    encoder = load_encoder(import_encoder(multilingual_table(), tmp_path / "encoder"))
    vectors = encoder.encode(list(GOLDEN), seq_length=64)
    assert encoder.dim == 64
    assert_allclose(vectors[:, :4], list(GOLDEN.values()), atol=1e-5)
    lengths = np.linalg.norm(vectors, axis=1)
    assert_allclose(lengths, [float(bool(text)) for text in GOLDEN], atol=1e-5)
