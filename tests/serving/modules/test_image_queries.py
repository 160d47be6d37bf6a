"""Pictures in requests: files as they are, beside what is no picture, in an export that a plain server can load."""

import json

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from tests.encoders.images.pictures import encoded, stripes
from tfrec.encoders import load_image_encoder, save_image_encoder
from tfrec.encoders.images.decode import decode_images
from tfrec.keras import keras
from tfrec.models import NextItemModel
from tfrec.models.shared.modalities import fuse
from tfrec.serving import check, export
from tfrec.serving.saved_model.example_requests import example_requests, from_json, to_json

RED, GREEN, BLUE = (encoded(stripes().crop((0, top, 40, top + 20)), "JPEG", quality=95) for top in (0, 20, 40))
ITEMS = 12


@pytest.fixture(scope="module")
def pictured(new_run, tmp_path_factory):
    """A run whose items have pictures, red, green and blue in turn, and none for the last one."""
    images = keras.Input((4, 4, 3))
    folder = save_image_encoder(keras.Model(images, images), tmp_path_factory.mktemp("encoders") / "means")
    encoder, run = load_image_encoder(folder), new_run("export.explain_length=0")
    vectors = encoder.encode([[RED, GREEN, BLUE][item % 3] for item in range(ITEMS - 1)] + [b""])
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    fused = fuse([("text", run.model.items.text.numpy()), ("image", vectors / lengths)], [2.0])
    sizes = {"dim": 4, "heads": 2, "layers": 1, "max_history": 4, "seed": 3}
    run.model = NextItemModel(ITEMS, 2, text_dim=9, modalities=[list(each) for each in fused.modalities], **sizes)
    run.model.items.start_from(fused.vectors)
    run.image_encoder = lambda: encoder
    return run


@pytest.fixture(scope="module")
def version(pictured, tmp_path_factory):
    return export(pictured, tmp_path_factory.mktemp("saved_models") / "shop")


@pytest.mark.slow
def test_items_with_such_a_picture_come_first(version, call_of):
    answer = call_of(version)("similar_by_image", images=[BLUE, b"no picture", b""])
    assert answer.count.tolist() == [ITEMS, 0, 0]
    assert {int(item[1:]) % 3 for item in answer.item_ids[0, :3].astype(str)} == {2}
    assert np.all(np.diff(answer.scores[0]) <= 0) and answer.scores[0, 0] <= 1 + 1e-5


@pytest.mark.slow
def test_a_history_of_pictures_is_one_of_their_vectors(pictured, version, call_of):
    answer = call_of(version)("recommend_from_image", history_images=[[RED, b"damaged", BLUE], [b"damaged"], []])
    assert answer.fallback.tolist() == [False, True, True]
    assert answer.item_ids[1].tolist() == answer.item_ids[2].tolist()
    unit = np.array([[[1.0, 0, 0], [0, 0, 1.0]]], np.float32)  # a JPEG of one colour is nearly that colour
    vectors = pictured.model.modality_to_vector("image", tf.constant(unit))
    query = pictured.model.query_from_vectors(vectors, tf.constant([[True, True]]))
    scores = (query.numpy() @ pictured.model.item_vectors().numpy().T)[0]
    assert_allclose(answer.scores[0], np.sort(scores)[::-1], atol=0.05)
    assert answer.item_ids[0, 0].decode() == f"i{scores.argmax()}"


@pytest.mark.slow
@pytest.mark.parametrize("compiler", [None, pytest.param("", marks=pytest.mark.nightly)])
def test_a_plain_server_can_load_it(version, compiler):
    report = check(version, compiler=compiler)
    assert {"recommend_from_image", "similar_by_image"} <= set(report.signatures)


def test_examples_keep_bytes_that_are_no_text():
    tensor = to_json(np.array([[RED, b"text"], ["words", b""]], object))
    assert tensor["values"][1:] == ["text", "words", ""] and list(tensor["values"][0]) == ["b64"]
    again = from_json(json.loads(json.dumps(tensor)))
    assert again.tolist() == [[RED, "text"], ["words", ""]]


def test_example_pictures_are_pictures():
    requests = dict(example_requests({"similar_by_image": {"images": ()}}))
    images, decoded = decode_images(tf.constant(requests["similar_by_image"]["images"].tolist()), 2)
    assert decoded.numpy().tolist() == [True, True, True, False, False]
    assert len(np.unique(images[0].numpy().reshape(-1, 3), axis=0)) == 1 and images[0, 0, 0].numpy().max() == 255
