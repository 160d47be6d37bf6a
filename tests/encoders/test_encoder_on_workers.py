import contextlib

import numpy as np
import pytest

from tfrec.cluster import InThisProcess
from tfrec.config import ClusterConfig, EncoderConfig
from tfrec.encoders import EmbeddingStore, encoder_on_workers, load_encoder
from tfrec.encoders.encoder_on_workers import EncoderOnWorkers
from tfrec.errors import Unavailable


@pytest.fixture
def calls(monkeypatch):
    """The texts of each call of a worker; two workers are played by this process."""
    found = []

    class Counted(InThisProcess):
        def map(self, function, parts, label):
            found.extend(part[0] for part in parts)
            return super().map(function, parts, label)

    @contextlib.contextmanager
    def workers_of(config):
        yield Counted(config.workers)

    monkeypatch.setattr(encoder_on_workers, "workers_of", workers_of)
    encoder_on_workers._loaded.cache_clear()
    return found


@pytest.mark.slow
def test_workers_encode_what_the_store_does_not_have_yet(tiny_encoder, tmp_path, calls):
    encoder = load_encoder(tiny_encoder)
    shared = EncoderOnWorkers(encoder, EncoderConfig(name=str(tiny_encoder)), ClusterConfig(engine="ray", workers=2))
    store, texts = EmbeddingStore(tmp_path / "store"), [f"item {number}" * (1 + number % 3) for number in range(37)]
    vectors = store.encode(texts, shared, batch_size=2)
    np.testing.assert_allclose(vectors, encoder.encode(texts), atol=1e-6)
    assert [len(part) for part in calls] == [6] * 6 + [1] and sum(calls, []) == texts
    assert np.array_equal(store.encode([*texts, "new"], shared, batch_size=2)[:37], vectors)
    assert calls[7:] == [["new"]]  # the rest is in the store of the encoder itself
    assert store.add(texts, encoder) == 0
    assert shared.encode([]).shape == (0, encoder.dim)


@pytest.mark.slow
def test_a_worker_with_another_encoder_of_the_name_is_refused(tiny_encoder, calls):
    shared = EncoderOnWorkers(
        load_encoder(tiny_encoder), EncoderConfig(name=str(tiny_encoder)), ClusterConfig(engine="ray")
    )
    shared.hash = "f" * 64
    with pytest.raises(Unavailable, match="another encoder on a worker than here"):
        shared.encode(["a"])
