"""Compressing and comparing encoders on prepared data: the card, what is refused, the table and the commands."""

import json

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose

import tfrec
from tests.conftest import WORDS
from tests.fits import cache  # noqa: F401
from tfrec.data import prepare
from tfrec.encoders import describe_encoder, load_encoder
from tfrec.errors import InvalidInput
from tfrec.workflows.compare_encoders import compare_encoders
from tfrec.workflows.compress_encoder import compress_encoder
from tfrec.workflows.encoder_card import Fidelity, FidelityReport, card_page, fidelity_fields

pytestmark = pytest.mark.slow  # the fixtures make and trace encoders


@pytest.fixture(scope="module", autouse=True)
def short_timing():
    """Speeds are measured, but for hundredths of a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tfrec.workflows.text_recommender._SECONDS", 0.01)
        patch.setattr("tfrec.workflows.text_recommender._ROUNDS", 1)
        yield


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """60 items in groups of six of one colour and kind; users stay in a group."""
    rng = np.random.default_rng(0)
    texts = [f"{WORDS[8 + i // 6 % 5]} {WORDS[24 + i // 6]} {WORDS[40 + i % 6]}" for i in range(60)]
    items = pl.DataFrame({"item_id": [f"i{i:02}" for i in range(60)], "text": texts})
    rows = [
        (f"u{u}", f"i{u % 10 * 6 + item:02}", n) for u in range(80) for n, item in enumerate(rng.permutation(6)[:4])
    ]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    return prepare(events, items, tmp_path_factory.mktemp("data") / "shop", split="leave-one-out")


@pytest.fixture(scope="module")
def compressed(shop, tiny_encoder, tmp_path_factory):
    out = tmp_path_factory.mktemp("encoders") / "small"
    return compress_encoder(tiny_encoder, shop, out, "static+vocabulary")


@pytest.fixture(scope="module")
def card(compressed):
    return json.loads((compressed / "card.json").read_text())


def test_the_result_is_an_encoder_folder_with_a_card(compressed, card, shop, tiny_encoder):
    encoder, teacher = load_encoder(compressed), load_encoder(tiny_encoder)
    assert encoder.hash == card["sha256"] and describe_encoder(compressed)["backbone"]["family"] == "static"
    assert card["teacher_sha256"] == teacher.hash
    assert card["data_fingerprint"] == shop.manifest["fingerprint"]
    assert card["to"] == "vocabulary+static" and card["texts"] == 60
    on_disk = sum(p.stat().st_size for part in ("encoder", "preprocessor") for p in (compressed / part).rglob("*.*"))
    assert card["bytes"] == on_disk < card["teacher_bytes"]
    assert card["speed_ratio"] == card["texts_per_second"] / card["teacher_texts_per_second"]
    assert (card["catalogue"]["items"], card["new_texts"]["items"]) == (60, 6)
    assert card["catalogue"]["cosine"] > max(0.95, card["new_texts"]["cosine"])
    ours, theirs = (each.encode(shop.texts) for each in (encoder, teacher))
    cosines = (ours * theirs).sum(axis=1) / np.linalg.norm(theirs, axis=1)
    assert_allclose(card["catalogue"]["cosine"], cosines.mean(), atol=1e-5)


def test_the_page_says_what_the_card_says(compressed, card):
    page = (compressed / "CARD.md").read_text()
    assert page == card_page(card)
    assert f"| the whole catalogue | 60 | {card['catalogue']['cosine']:.3f} |" in page
    assert f"| new texts (held out) | 6 | {card['new_texts']['cosine']:.3f} |" in page


def test_a_number_that_cannot_be_measured_is_null_and_a_dash(card):
    fields = fidelity_fields(Fidelity(3, 0.5, 0.25, 0, float("nan"), float("nan")))
    assert fields["ndcg@10"] is fields["kept"] is None
    assert "| 0.500 | 0.250 | – | – | 0 |" in card_page({**card, "new_texts": fields})


def test_fidelity_of_the_teacher_to_itself_is_whole(shop, tiny_encoder):
    vectors = load_encoder(tiny_encoder).encode(shop.texts)
    same = FidelityReport(shop, vectors).compare(3 * vectors, np.arange(60))
    assert_allclose([same.cosine, same.neighbour_overlap, same.kept], 1, atol=1e-6)
    assert same.queries == 80
    few = FidelityReport(shop, vectors).compare(vectors, np.arange(6))
    targets = shop.queries("valid").target_items
    assert few.queries == (targets < 6).sum()


def test_what_keeps_too_little_is_reported_and_not_written(shop, tiny_encoder, compressed, tmp_path, monkeypatch):
    measured = [Fidelity(6, 0.5, 0.1, 9, 0.04, 0.1)]
    monkeypatch.setattr(FidelityReport, "compare", lambda self, vectors, rows: measured[0])
    monkeypatch.setattr("tfrec.workflows.compress_encoder._Job._make", lambda *_: load_encoder(compressed))
    with pytest.raises(
        InvalidInput, match=r"NDCG@10 of 0.0400, the teacher 0.1000: 40.0% is left, and --keep asks for"
    ):
        compress_encoder(tiny_encoder, shop, tmp_path / "out", "static", keep=0.9)
    measured[0] = Fidelity(6, 0.5, 0.1, 0, float("nan"), float("nan"))
    with pytest.raises(InvalidInput, match="cannot be measured: the teacher finds none of the targets of 0"):
        compress_encoder(tiny_encoder, shop, tmp_path / "out", "static", keep=0.9)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"to": "statik"}, "Did you mean static"),
        ({"source": "a|b"}, "whose layers and vocabulary are not known"),
        ({"keep": 95}, "Expected keep in 0…1"),
        ({"out": "."}, "Expected a new name to write to"),
    ],
)
def test_wrong_arguments_are_refused_before_any_work(shop, tiny_encoder, tmp_path, change, message):
    given = {"source": tiny_encoder, "data": shop, "out": tmp_path / "out", "to": "static", **change}
    with pytest.raises(InvalidInput, match=message):
        tfrec.compress_encoder(**given)


def test_encoders_are_compared_with_the_first(shop, tiny_encoder, compressed):
    table = compare_encoders(shop, [str(tiny_encoder), str(compressed)])
    first, second = table.to_dicts()
    assert (first["recommender"], first["encoder"], first["dim"]) == ("text", str(tiny_encoder), 32)
    assert first["difference"] is first["low"] is None
    assert_allclose(second["ndcg@10"] - first["ndcg@10"], second["difference"], atol=1e-12)
    assert second["low"] <= second["difference"] <= second["high"]
    assert second["megabytes"] < first["megabytes"] and second["texts_per_second"] > 0
    with pytest.raises(InvalidInput, match="at least two different encoders"):
        compare_encoders(shop, [str(tiny_encoder)] * 2)


def test_trained_models_are_compared_too_and_runs_that_are_there_are_kept(
    shop, tiny_encoder, compressed, monkeypatch, tmp_path
):
    trained = []

    def train(dataset, folder, config):
        folder.mkdir(parents=True)
        trained.append((config.encoder.name, config.training.seed))

    def evaluate(folder, dataset, split):
        users = dataset.queries(split).user_ids
        hit = 1 if folder.name.startswith("1") else 2
        frame = {"user_id": list(users), "targets": [[0]] * len(users), "ranks": [[hit]] * len(users)}
        pl.DataFrame(frame).write_parquet(folder / "predictions.parquet")

    monkeypatch.setattr("tfrec.workflows.compare_encoders.train", train)
    monkeypatch.setattr("tfrec.workflows.compare_encoders.evaluate", evaluate)
    names = [str(tiny_encoder), str(compressed)]
    for _ in range(2):
        table = tfrec.compare_encoders(shop, names, runs=tmp_path, seeds=(0, 1))
    assert trained == [(name, seed) for name in names for seed in (0, 1)]
    assert table["recommender"].to_list() == ["text", "text", "trained", "trained"]
    assert_allclose(table["ndcg@10"][2:], [1 / np.log2(3), 1])


def test_the_commands_print_the_card_and_the_table(shop, tiny_encoder, compressed, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from tfrec.cli.encoder import app

    monkeypatch.setattr("tfrec.workflows.compress_encoder.compress_encoder", lambda *a, **k: compressed)
    made = CliRunner().invoke(app, ["compress", "--data", str(shop.path), "--to", "static", "--out", str(compressed)])
    assert made.exit_code == 0 and "# Encoder compressed to vocabulary+static" in made.output
    file = tmp_path / "table.csv"
    arguments = ["--data", str(shop.path), "--table", str(file)]
    given = ["compare", *arguments, "--encoders", str(tiny_encoder), str(compressed)]
    compared = CliRunner().invoke(app, given)
    assert compared.exit_code == 0 and "text" in compared.output
    assert pl.read_csv(file)["encoder"].to_list() == [str(tiny_encoder), str(compressed)]
