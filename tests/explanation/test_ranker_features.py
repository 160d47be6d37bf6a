"""Why a click-ranker expects what it does: features add up to its logit, and a cross is what two do together."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import tfrec
from tfrec.explanation.ranker_features import CANDIDATE, EARLIER, explain_ranking


@pytest.fixture(scope="module")
def run():
    context = {"numbers": {"context_hour": [12.0, 6.0]}, "categories": {"context_device": ["phone", "tv"]}}
    sizes = {"dim": 4, "max_history": 24, "mlp_units": [8], "context": context}
    model = tfrec.ClickRanker(30, 2, ["view", "purchase"], **sizes)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.dtype.is_floating:
            weight.assign_add(rng.normal(size=weight.shape).astype(np.float32) * 0.3)
    return SimpleNamespace(
        model=model,
        kind="click-ranker",
        config=None,
        path=Path("nowhere"),
        event_kinds=["view", "buy"],
        item_ids=np.array([f"i{i}" for i in range(30)], object),
    )


def logit(run, history, kinds, item, context, head):
    inputs = {
        "history_items": np.array([history or [-1]], np.int32),
        "history_events": np.array([kinds or [-1]], np.int32),
        "candidates": np.array([[item]], np.int32),
        **run.model.context.encode(context, 1),
    }
    chance = float(np.exp(run.model(inputs, training=False).numpy()[0, 0, head]))
    return np.log(chance / (1 - chance))


def test_the_features_add_up_to_the_logit_of_the_model(run):
    asked = {"context_device": "tv", "context_hour": 18}
    found = explain_ranking(run, ["i3", "i5", "i3"], "i5", behaviour="purchase", events=["view", "buy", "view"],
                            context=asked, permutations=3)  # fmt: skip
    columns = {"context_device": np.array(["tv"], object), "context_hour": np.array([18])}
    features = found.features
    assert features.full == pytest.approx(logit(run, [3, 5, 3], [0, 1, 0], 5, columns, 1), abs=1e-4)
    assert features.completeness_error < 0.01
    assert {"view i3 (3)", "buy i5 (2)", "view i3 (1)", CANDIDATE, "view in training", "context_device"} <= set(
        features.units
    )
    assert features.units[-2:] == ("context_hour", "context_device")


def test_a_cross_is_zero_where_one_of_the_two_does_nothing(run):
    found = explain_ranking(run, ["i3", "i5"], "i9", permutations=1)  # no context; the candidate is not in the history
    crossed = {pair: value for pair, value in found.crosses.items() if "recency in the history" in pair}
    assert crossed and max(map(abs, crossed.values())) < 1e-6
    assert max(map(abs, found.crosses.values())) > 1e-4


def test_older_events_are_one_feature(run):
    found = explain_ranking(run, [f"i{i}" for i in range(28)], "i9", permutations=1)
    assert found.features.units[0] == EARLIER and found.features.units[1] == "view i8 (20)"
    assert found.features.full == pytest.approx(logit(run, list(range(4, 28)), [0] * 24, 9, None, 0), abs=1e-4)


def test_an_empty_history_is_explained_by_the_rest(run):
    found = explain_ranking(run, [], "i9", permutations=1)
    assert found.features.units[0] == CANDIDATE
    assert found.features.full == pytest.approx(logit(run, [], [], 9, None, 0), abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((["i3"], "who"), {}, "1 of 2 items are not in the catalogue, e.g. 'who'"),
        ((["i3"], "i4"), {"behaviour": "sneeze"}, "one of the behaviours view, purchase, received 'sneeze'"),
        ((["i3"], "i4"), {"events": ["hum"]}, "1 of 1 event kinds are not in the run"),
        ((["i3"], "i4"), {"events": []}, "a kind for each of 1 events, received 0"),
    ],
)
def test_bad_input_is_said(run, arguments, options, message):
    with pytest.raises(tfrec.InvalidInput, match=message):
        explain_ranking(run, *arguments, **options)
