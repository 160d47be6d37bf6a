"""The corpus: training and held-out texts, their order, and invalid files."""

from itertools import islice

import pytest

from tfrec.errors import InvalidInput
from tfrec.pretraining import pretrain_encoder
from tfrec.pretraining.corpus import Corpus


def test_texts_are_trained_on_or_held_out_and_equal_texts_go_the_same_way(text_file):
    corpus = Corpus(None, [text_file, text_file], held_out=0.2)
    learnt, held_out = list(corpus.texts()), list(corpus.texts(held_out=True))
    assert len(learnt) + len(held_out) == 600 and not set(learnt) & set(held_out)
    assert 60 < len(held_out) < 180
    assert list(Corpus(None, [text_file], 0.2).texts(held_out=True)) == held_out[: len(held_out) // 2]


def test_each_round_has_every_text_once_in_a_reproducible_order(text_file, monkeypatch):
    monkeypatch.setattr("tfrec.pretraining.corpus._BUFFER", 50)
    corpus = Corpus(None, [text_file], 0.1)
    texts = list(corpus.texts())
    one = list(islice(corpus.shuffled(3), 2 * len(texts)))
    assert one == list(islice(corpus.shuffled(3), 2 * len(texts)))
    first, second = one[: len(texts)], one[len(texts) :]
    assert sorted(first) == sorted(second) == sorted(texts)
    assert first != second and first != texts and one != list(islice(corpus.shuffled(4), 2 * len(texts)))


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"good\n\xff\xfe\n", "line 2 is not UTF-8"), (b"good\ngood\nba\x00d\n", "line 3 contains the control character")],
)
def test_binary_junk_is_refused_with_its_line(tmp_path, data, words):
    (tmp_path / "texts.txt").write_bytes(data)
    with pytest.raises(InvalidInput, match=words):
        pretrain_encoder(tmp_path / "out", files=[tmp_path / "texts.txt"])
    assert [path.name for path in tmp_path.iterdir()] == ["texts.txt"]


def test_a_dataset_provides_only_its_catalogue_and_training_histories(tmp_path):
    import polars as pl

    from tfrec.data import PreparedDataset, prepare

    events = pl.DataFrame({"user_id": ["u"] * 4, "item_id": list("abcd"), "event": ["view"] * 4, "timestamp": range(4)})
    items = pl.DataFrame({"item_id": list("abcd"), "title": ["red hat", "blue hat", "red hat", ""]})
    prepare(events, items, tmp_path / "data", split="leave-one-out")
    corpus = Corpus(PreparedDataset.load(tmp_path / "data"), held_out=1e-9)
    assert list(corpus.texts()) == ["red hat", "blue hat", "viewed: red hat; viewed: blue hat"]


def test_no_text_is_refused(tmp_path):
    (tmp_path / "texts.txt").write_text("\n\n")
    with pytest.raises(InvalidInput):
        pretrain_encoder(tmp_path / "out", files=[tmp_path / "texts.txt"])
    with pytest.raises(InvalidInput, match="no text file"):
        Corpus(None, [tmp_path / "none.txt"])
