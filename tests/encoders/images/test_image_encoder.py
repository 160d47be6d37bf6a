"""Image encoders turn files into vectors, whoever made them, and their vectors are kept in the store."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from tests.encoders.images.pictures import encoded, stripes
from tfrec.encoders import EmbeddingStore, load_image_encoder, save_image_encoder
from tfrec.encoders.images.efficientnet_lite import SIZE, build_efficientnet_lite0, in_bfloat16, load_torch_weights
from tfrec.encoders.images.image_contents import ImageContents
from tfrec.encoders.images.load_image_encoder import EFFICIENTNET_LITE0
from tfrec.errors import InvalidInput
from tfrec.keras import keras

PRECISIONS = ("float32", "bfloat16")
RED, BLUE = (encoded(stripes().crop(box), "PNG") for box in ((0, 0, 40, 20), (0, 40, 40, 60)))


def means(scale=1.0):
    images = keras.Input((4, 4, 3))
    return keras.Model(images, keras.layers.Rescaling(scale)(images))  # feature maps, of which the mean is taken


def drawing(seed):
    """Discs of many colours and sizes."""
    rng, (y, x) = np.random.default_rng(seed), np.mgrid[0:240, 0:160]
    pixels = np.full((240, 160, 3), rng.integers(0, 256, 3), np.uint8)
    for _ in range(12):
        pixels[np.hypot(y - rng.integers(240), x - rng.integers(160)) < rng.integers(10, 60)] = rng.integers(0, 256, 3)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def network():
    return build_efficientnet_lite0()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_image_encoder(means(), tmp_path_factory.mktemp("images") / "means")


@pytest.fixture(scope="module")
def encoder(folder):
    return load_image_encoder(folder)


def test_files_become_vectors_and_what_is_no_image_is_0(encoder):
    vectors = encoder.encode([RED, b"", BLUE, b"no image", RED], batch_size=2)
    assert encoder.dim == 3 and vectors.dtype == np.float32
    assert_allclose(vectors, [[255, 0, 0], [0, 0, 0], [0, 0, 255], [0, 0, 0], [255, 0, 0]])
    assert encoder.encode([]).shape == (0, 3)


def test_the_folder_takes_pixels_and_files(folder):
    loaded = tf.saved_model.load(str(folder / "encoder"))
    pixels = np.full((2, 4, 4, 3), 7, np.uint8)
    assert_allclose(loaded(tf.constant(pixels))["pooled_output"], np.full((2, 3), 7.0))
    served = loaded.signatures["serving_default"](images=tf.constant([BLUE, b""]))
    assert_allclose(served["pooled_output"], [[0, 0, 255], [0, 0, 0]])
    assert served["decoded"].numpy().tolist() == [True, False]


@pytest.mark.parametrize("named", [False, True])
def test_a_hub_model_takes_floats_up_to_1(tmp_path, named):
    module = tf.train.Checkpoint(factor=tf.Variable(2.0))

    @tf.function(input_signature=[tf.TensorSpec([None, 5, 5, 3], tf.float32)])
    def call(images):
        vectors = module.factor * tf.reduce_mean(images, axis=[1, 2])
        return {"default": vectors, "other": images} if named else vectors

    module.__call__ = call
    tf.saved_model.save(module, str(tmp_path / "hub"))
    loaded = load_image_encoder(tmp_path / "hub")
    assert (loaded.size, loaded.takes, loaded.dim) == (5, "float32", 3)
    assert_allclose(loaded.encode([RED]), [[2, 0, 0]])


def test_the_store_keeps_vectors_by_content(encoder, tmp_path):
    store, asked = EmbeddingStore(tmp_path), []

    class Watched:
        hash, dim, precision = encoder.hash, encoder.dim, encoder.precision

        def encode(self, contents, *, batch_size):
            asked.append(len(contents))
            return encoder.encode(contents, batch_size=batch_size)

    contents = ImageContents([RED, None, BLUE, RED])
    for _ in range(2):
        vectors = store.encode(contents, Watched(), seq_length=None)
        assert_allclose(vectors, [[255, 0, 0], [0, 0, 0], [0, 0, 255], [255, 0, 0]])
    assert store.add([RED, b"new"], Watched(), seq_length=None) == 1
    assert asked == [3, 1]


def test_identity_depends_on_the_weights_and_not_on_the_act_of_saving(folder, encoder, tmp_path):
    again = load_image_encoder(save_image_encoder(means(), tmp_path / "again"))
    other = load_image_encoder(save_image_encoder(means(0.5), tmp_path / "other"))
    assert load_image_encoder(folder).hash == encoder.hash != other.hash
    assert again.weights_hash == encoder.weights_hash


@pytest.mark.parametrize(
    ("shape", "layer", "message"),
    [
        ((4, 5, 3), keras.layers.Flatten(), "square RGB images"),
        ((None, None, 3), keras.layers.GlobalAveragePooling2D(), "square RGB images"),
        ((4, 4, 1), keras.layers.Flatten(), "square RGB images"),
        ((4, 4, 3), keras.layers.Reshape((16, 3)), "vectors or feature maps"),
    ],
)
def test_other_keras_models_are_refused(tmp_path, shape, layer, message):
    images = keras.Input(shape)
    with pytest.raises(InvalidInput, match=message):
        save_image_encoder(keras.Model(images, layer(images)), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_what_is_no_image_encoder_is_refused(tmp_path, tiny_encoder, folder):
    with pytest.raises(InvalidInput, match="'nothing' is none of them"):
        load_image_encoder("nothing")
    with pytest.raises(InvalidInput, match="is a text encoder. Pass it as encoder.name"):
        load_image_encoder(tiny_encoder)
    with pytest.raises(InvalidInput, match="by efficientnet-lite0 in bfloat16 too; received bfloat16 for"):
        load_image_encoder(folder, precision="bfloat16")
    with pytest.raises(InvalidInput, match="received int8 for efficientnet-lite0"):
        load_image_encoder(EFFICIENTNET_LITE0, precision="int8")
    with pytest.raises(InvalidInput, match="batch_size of at least 1"):
        load_image_encoder(folder).encode([RED], batch_size=0)


def test_a_changed_folder_is_refused(tmp_path):
    folder = save_image_encoder(means(), tmp_path / "means")
    graph = folder / "encoder" / "saved_model.pb"
    graph.write_bytes(graph.read_bytes() + b"\0")
    with pytest.raises(InvalidInput, match="has changed since it was written"):
        load_image_encoder(folder)


# Places and sizes of the five largest values, and the sum, of what efficientnet_lite_pytorch 0.1.0 gives.
GOLDEN = [
    ([113, 327, 287, 949, 455], [5.63627, 4.95880, 4.30916, 4.30404, 4.01890], 213.50998),
    ([113, 220, 423, 1231, 154], [4.58374, 3.15507, 3.13413, 3.12824, 3.02956], 150.07303),
]


@pytest.mark.nightly
def test_efficientnet_lite0_gives_the_vectors_of_the_original():
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    ramps = np.stack([(3 * x + 5 * y + 70 * channel) % 256 for channel in range(3)], -1)
    disc = np.where(np.hypot(x - 112, y - 112)[..., None] < 80, [200, 120, 40], [30, 60, 160])
    encoder = load_image_encoder(EFFICIENTNET_LITE0)
    images = np.stack([ramps, disc]).astype(np.uint8)
    from_pixels = encoder.encoder(tf.constant(images))["pooled_output"].numpy()
    from_files = encoder.encode([tf.io.encode_png(image).numpy() for image in images])
    assert_allclose(from_files, from_pixels, atol=1e-5)
    for vector, (places, values, total) in zip(from_pixels, GOLDEN, strict=True):
        assert np.argsort(-vector)[:5].tolist() == places
        assert_allclose(vector[places], values, atol=2e-5)
        assert_allclose(vector.sum(), total, rtol=1e-5)


@pytest.mark.slow
def test_in_bfloat16_all_but_the_ends_of_the_network_is_faster_arithmetic_on_the_same_weights(network):
    faster = in_bfloat16(network)
    exact = {layer.name for layer in faster.layers if layer.compute_dtype == "float32"}
    assert exact - {"images"} == {
        *("rescaling", "stem", "stem_relu", "pool"),
        *("block_0_depthwise", "block_0_depthwise_relu", "block_0_project"),
    }
    assert all(weight.dtype == tf.float32 for weight in faster.weights)
    for ours, theirs in zip(faster.get_weights(), network.get_weights(), strict=True):
        assert_array_equal(ours, theirs)


@pytest.mark.nightly
def test_vectors_in_bfloat16_are_nearly_those_in_float32():
    files = [encoded(drawing(seed), "JPEG") for seed in range(16)]
    exact, ours = (load_image_encoder(EFFICIENTNET_LITE0, precision=each).encode(files) for each in PRECISIONS)
    cosines = (exact * ours).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(ours, axis=1)
    assert cosines.mean() > 0.999 and cosines.min() > 0.997 and cosines.max() < 1 - 1e-7


@pytest.mark.slow
def test_weights_of_another_network_are_refused(network):
    with pytest.raises(InvalidInput, match="lacks '_conv_stem.weight'"):
        load_torch_weights(network, {})
    norm = {f"_bn0.{name}": np.ones(32) for name in ("weight", "bias", "running_mean", "running_var")}
    with pytest.raises(InvalidInput, match="_conv_stem is not that of EfficientNet-Lite0"):
        load_torch_weights(network, {"_conv_stem.weight": np.ones((32, 3, 5, 5)), **norm})


def test_vectors_that_are_not_finite_are_refused(tmp_path):
    encoder = load_image_encoder(save_image_encoder(means(np.inf), tmp_path / "broken"))
    with pytest.raises(InvalidInput, match="not finite"):
        encoder.encode([RED])
    assert_array_equal(encoder.encode([b""]), 0)
