"""An export for devices gives the lists of the export for servers, and is refused where it would not."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from tfrec import schema
from tfrec.encoders.litert import LiteRTProgram
from tfrec.errors import InvalidInput
from tfrec.serving import check, export
from tfrec.serving.devices.device_requests import Numbers
from tfrec.serving.devices.prove import _compared
from tfrec.serving.devices.stored_examples import DeviceExample, examples_of, write_examples

MEMORY = {"neighbours": 2, "text_neighbours": 2, "popular": 3}


@pytest.fixture(scope="module")
def device_run(new_run):
    """A run whose lists have all parts of a score, and whose item i5 is gone from the catalogue."""
    run = new_run("export.filter_attribute=null", **MEMORY)
    rng, model = np.random.default_rng(4), run.model
    near = rng.integers(-1, 12, (12, 2)).astype(np.int32)
    model.memory.remember((near, rng.random((12, 2)).astype(np.float32)), (near[::-1], np.ones((12, 2), np.float32)))
    model.popularity.remember(np.arange(12))
    run.items = run.items.with_columns(**{schema.IN_CATALOGUE: np.arange(12) != 5})
    run.encoder().prompts, run.encoder().preprocessor_handle = {}, "nowhere/preprocessor"
    return run


@pytest.fixture(scope="module")
def device(device_run, tmp_path_factory, litert):
    return export(device_run, tmp_path_factory.mktemp("devices") / "shop", format="litert")


def padded(row, length, dtype=np.int32):
    return np.array([[*row, *[-1] * (length - len(row))]], dtype)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("items", "kinds", "exclude"),
    [
        ([3, 1, 3], [0, 1, 0], [0]),
        ([-1, 7, 2], [1, -1, 0], []),  # an unknown item, and an unknown kind
        ([1, 2, 3, 4, 6, 7], [0, 1, 0, 1, 0, 1], [8, 9, 10, 11]),  # more than the transformer reads; one item left
    ],
)
def test_a_list_is_the_models_order_without_what_is_excluded_or_gone(device, device_run, items, kinds, exclude):
    given = {"history_items": padded(items, 6), "history_events": padded(kinds, 6), "exclude_items": padded(exclude, 4)}
    answer = LiteRTProgram(device / "recommender.tflite").runner("recommend")(**given)
    known = [(item, kind) for item, kind in zip(items, kinds) if item >= 0]
    history = {"history_items": [[i for i, _ in known]], "history_events": [[k for _, k in known]]}
    scores = device_run.model.scores({**history, "history_gaps": np.zeros((1, len(known)), np.float32)}).numpy()[0]
    left = [item for item in np.argsort(-scores, kind="stable") if item not in {5, *items, *exclude}]
    assert answer["count"] == len(left) and not answer["fallback"]
    assert answer["items"][0].tolist() == [*left, *[-1] * (11 - len(left))]
    np.testing.assert_allclose(answer["scores"][0, : len(left)], scores[left], atol=1e-4)


@pytest.mark.slow
def test_without_a_history_the_popular_items_are_listed(device):
    nothing = {"history_items": padded([], 6), "history_events": padded([], 6), "exclude_items": padded([10], 4)}
    answer = LiteRTProgram(device / "recommender.tflite").runner("recommend")(**nothing)
    assert answer["fallback"] and answer["items"][0].tolist() == [11, 9, 8, 7, 6, 4, 3, 2, 1, 0, -1]


@pytest.mark.slow
def test_check_repeats_what_was_stored_and_refuses_a_changed_program(device, tmp_path):
    report = check(device)
    assert report.signatures == ["encode", "recommend", "recommend_from_vectors"] and report.examples == 15
    assert "the answers are those at export" in str(report)
    about = json.loads((device / "tfrec_device.json").read_text())
    assert about["encoder"]["seq_length"] == 16 and about["sizes"]["max_k"] == 11  # without i5
    for path in device.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    program = tmp_path / "recommender.tflite"
    program.write_bytes(program.read_bytes()[:-1] + b"!")
    with pytest.raises(InvalidInput, match="recommender.tflite has changed since it was written"):
        check(tmp_path)


def test_other_answers_than_the_exports_are_refused():
    numbers = Numbers(["a", "b", "c"], [], [])
    expected = {"item_ids": np.array([["c", "a"]], object), "scores": np.array([[2.0, 1.0]], np.float32)}

    def device(items, scores):
        answer = {"items": np.array([items]), "scores": np.array([scores], np.float32)}
        return SimpleNamespace(runner=lambda signature: lambda **inputs: answer)

    assert _compared(device([2, 0], [2.0, 1.0]), "recommend", {}, expected, numbers).signature == "recommend"
    for items, scores in (([0, 2], [2.0, 1.0]), ([2, 0], [2.0, 1.1])):
        with pytest.raises(InvalidInput, match="gives other answers than the export"):
            _compared(device(items, scores), "recommend", {}, expected, numbers)


@pytest.mark.parametrize(
    ("settings", "options", "words"),
    [
        ([], {}, "export.filter_attribute=genre works on servers only"),
        (["export.filter_attribute=null", "export.index=int8"], {}, "export.index=int8 works on servers only"),
        (["export.filter_attribute=null", "export.diversity=0.3"], {}, "export.diversity=0.3 works on servers only"),
        ([], {"version": 2}, "no versions"),
        ([], {"format": "tflite"}, "saved-model, litert, litert-int8; received 'tflite'"),
    ],
)
def test_what_devices_lack_is_refused_by_name(new_run, tmp_path, settings, options, words):
    with pytest.raises(InvalidInput, match=words):
        export(new_run(*settings), tmp_path / "shop", **{"format": "litert", **options})
    assert not list(tmp_path.iterdir())


def test_a_run_of_another_kind_is_refused(new_run, tmp_path):
    run = new_run()
    run.kind = "behaviour-text"
    with pytest.raises(InvalidInput, match="Expected a next-item run to export for devices"):
        export(run, tmp_path / "shop", format="litert")


def test_numbers_stand_for_ids_kinds_and_texts():
    numbers = Numbers(["a", "b", ""], ["view"], ["red", " red ", ""])
    request = {
        "history_item_ids": np.array([["b", "?", ""]], object),
        "history_events": np.array([["view", "buy", ""]], object),
        "exclude_item_ids": np.array([["a"]], object),
    }
    found = {name: value.tolist() for name, value in numbers.history(request).items()}
    assert found == {"history_items": [[1, -1, -1]], "history_events": [[0, -1, -1]], "exclude_items": [[0]]}
    inputs = numbers.text_history(np.array([["red ", "blue", " "]], object), np.ones([1, 3, 2]))
    assert inputs["history_items"].tolist() == [[0, -1, -1]] and inputs["history_mask"].tolist() == [[1, 1, 0]]
    assert inputs["history_vectors"].tolist() == [[[1, 1], [1, 1], [0, 0]]]
    outputs = {"items": np.array([[1, -1]]), "scores": np.array([[0.5, 0.0]])}
    assert numbers.answer(outputs)["item_ids"].tolist() == [["b", ""]]


def test_examples_come_back_as_they_were(tmp_path):
    examples = [
        DeviceExample("f", {"a": np.ones([1, 2])}, {"b": np.zeros(3, np.int32)}),
        DeviceExample("g", {}, {"c": np.ones(1)}),
    ]
    write_examples(tmp_path / "e.npz", examples)
    with np.load(tmp_path / "e.npz") as stored:
        again = examples_of(dict(stored))
    assert [(e.signature, *e.inputs, *e.outputs) for e in again] == [("f", "a", "b"), ("g", "c")]
    assert again[0].outputs["b"].dtype == np.int32
