"""An encoder of each family in LiteRT: the vectors of the TensorFlow graph, at full length and with padding."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from tests.encoders.checkpoints.random_checkpoints import write_family_folder
from tests.encoders.tokenization.tokenizer_files import FAMILIES
from tfrec.encoders import import_encoder, load_encoder
from tfrec.encoders.litert import LiteRTProgram, convert
from tfrec.serving.modules.device import DeviceEncoder

LENGTH = 12


@pytest.mark.nightly
@pytest.mark.parametrize("family", FAMILIES)
def test_litert_gives_the_vectors_of_the_graph(family, tmp_path, litert):
    folder = write_family_folder(tmp_path / "checkpoint", family, FAMILIES[family]())
    encoder = load_encoder(import_encoder(folder, tmp_path / "encoder", pooling="mean"))
    module = DeviceEncoder(encoder, LENGTH)
    run = LiteRTProgram(convert(module.functions, module)).runner("encode")
    ids = np.random.default_rng(0).integers(5, 20, (1, LENGTH)).astype(np.int32)
    for tokens in (LENGTH, 7):
        mask = (np.arange(LENGTH) < tokens)[None].astype(np.int32)
        inputs = {"input_word_ids": np.where(mask, ids, 1).astype(np.int32), "input_mask": mask}
        expected = module.encode(**{name: tf.constant(value) for name, value in inputs.items()})
        assert_allclose(run(**inputs)["embeddings"], expected["embeddings"], atol=1e-5)
