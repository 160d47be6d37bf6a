"""The signature `explain` of two stages, compared with `TwoStage` asked again without the events."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from tests.explanation.toy import ITEMS, ROWS, make_histories, make_model
from tfrec.config import ExportConfig
from tfrec.explanation.deletions import RescoredDeletions, total
from tfrec.explanation.event_groups import event_groups
from tfrec.explanation.leave_one_out import leave_one_out
from tfrec.models import ClickRanker, ClickRankerPredictor, NextItemScorer
from tfrec.retrieval.two_stage_scorer import TwoStage
from tfrec.serving.modules.click_ranker import RankerGraph
from tfrec.serving.modules.item_index import Catalogue
from tfrec.serving.modules.two_stage import TwoStageServing

KINDS, WEIGHTS = ["view", "purchase"], [0.5, 2.0]
pytestmark = pytest.mark.slow
DATA = make_histories(ROWS)
USERS = np.array([0, 3, 4])


class Untraced(TwoStageServing):
    """Called as it is: tracing takes long, and the test of a two-stage export does it."""

    def _signatures(self):
        return {}


@pytest.fixture(scope="module")
def models():
    rng = np.random.default_rng(8)
    ranker = ClickRanker(ITEMS, 2, KINDS, dim=4, max_history=5, mlp_units=[8], seed=1)
    ranker.start_at(np.array([0.4, 0.2]), rng.integers(0, 9, (ITEMS, 2)), None)
    for weight in ranker.trainable_variables:
        weight.assign_add(rng.normal(size=weight.shape) * 0.3)
    first = make_model(memory_history=8)
    return SimpleNamespace(
        first=first, ranker=ranker, scorer=NextItemScorer(first), predictor=ClickRankerPredictor(ranker)
    )


def both(models, *, candidates, first_stage, exclude_seen=True):
    """The served module and the scorer of the library."""
    options = {"candidates": candidates, "first_stage": first_stage, "exclude_seen": exclude_seen}
    ids = [f"i{item}" for item in range(ITEMS)]
    served = Untraced(
        models.first,
        Catalogue(ids, [""] * ITEMS, np.arange(ITEMS)),
        event_kinds=KINDS,
        config=ExportConfig(history_length=8, explain_length=ITEMS, max_k=ITEMS),
        ranker=RankerGraph(models.ranker, KINDS, WEIGHTS),
        **options,
    )
    return served, TwoStage(models.scorer, models.predictor, WEIGHTS, **options)


def explain(served, users=USERS, asked=range(ITEMS)):
    """The answer for users, with an unknown item and "" within their histories."""
    items, kinds = [], []
    for user in users:
        row = DATA.row(user)
        said = [f"i{item}" for item in DATA.items[row]], [KINDS[kind] for kind in DATA.events[row]]
        items.append(["who", *said[0][:1], "", *said[0][1:]])
        kinds.append(["view", *said[1][:1], "", *said[1][1:]])
    width = max(map(len, items))
    history, events = (tf.constant([[*row, *[""] * (width - len(row))] for row in rows]) for rows in (items, kinds))
    wanted = tf.constant([[f"i{item}" for item in asked]] * len(users))
    return {name: value.numpy() for name, value in served.explain(history, events, wanted).items()}


@pytest.mark.parametrize(("first_stage", "exclude_seen"), [(0.8, True), (0.0, False)])
def test_the_parts_are_those_of_the_library_for_candidates_and_others(models, first_stage, exclude_seen):
    served, scorer = both(models, candidates=4, first_stage=first_stage, exclude_seen=exclude_seen)
    found, expected = explain(served), scorer.parts(DATA, USERS)
    for name, part in expected.items():
        assert_allclose(found["part_" + name.replace(": ", "_").replace(" ", "_")], part, rtol=2e-6, atol=1e-5)
    assert_allclose(found["scores"], scorer.scores(DATA, USERS), rtol=2e-6, atol=1e-5)
    own = [value for name, value in found.items() if name.startswith("first_stage_")]
    assert_allclose(sum(own), models.scorer.scores(DATA, USERS), atol=1e-4)


def named(effects):
    """The events that are to be named of float `[events]`; the newest first of equal ones."""
    order = len(effects) - 1 - np.argsort(-effects[::-1].round(5), kind="stable")
    named = [at for at in order[:3] if effects[at] > 1e-3]
    lowest = [order[-1] if effects[order[-1]] < -1e-3 else -1]
    return [*named, *[-1] * (3 - len(named)), *lowest]


def assert_named(found, row, item, effects):
    expected = named(effects)
    shifted = [-1 if at < 0 else at + 1 + (at > 0) for at in expected]  # of the unknown item and ""
    assert found["event_positions"][row, item].tolist() == shifted
    values = [0 if at < 0 else effects[at] for at in expected]
    assert_allclose(found["event_effects"][row, item], values, atol=2e-5)


def test_where_the_ranker_decides_alone_the_events_are_those_of_leave_one_out(models):
    served, scorer = both(models, candidates=ITEMS, first_stage=0.0, exclude_seen=False)
    found = explain(served)
    deletions = RescoredDeletions(scorer.parts, 8)
    asked = np.tile(np.arange(ITEMS), [len(USERS), 1])
    exact = leave_one_out(deletions, DATA, USERS, asked, event_groups(DATA, USERS, 50)).effects
    for row, user in enumerate(USERS):
        for item in range(ITEMS):
            assert_named(found, row, item, exact[row, : len(ROWS[user]), item])
    assert (found["event_positions"] >= 0).any(axis=(0, 1)).all()


def test_the_first_stage_counts_by_the_scale_of_the_whole_history(models):
    served, _ = both(models, candidates=5, first_stage=0.8)
    found, first, predictor = explain(served), models.scorer, models.predictor
    for row, user in enumerate(USERS):
        scores = first.scores(DATA, [user])[0]
        pool = sorted(set(range(ITEMS)) - set(ROWS[user]), key=lambda item, scores=scores: -scores[item])[:5]
        ranked = predictor.probabilities(DATA, [user], np.arange(ITEMS)[None])[0] @ WEIGHTS
        scale = 0.8 * ranked[pool].std() / scores[pool].std()
        effects = []
        for gone in range(len(ROWS[user])):
            left = np.delete(np.arange(len(ROWS[user])), gone)
            kinds = DATA.events[DATA.row(user)][left].tolist()
            shorter = make_histories([np.array(ROWS[user])[left].tolist()], [kinds])
            later = predictor.probabilities(shorter, [0], np.arange(ITEMS)[None])[0] @ WEIGHTS
            fell = scores - first.scores(shorter, [0])[0]
            effects.append(np.where(np.isin(np.arange(ITEMS), pool), ranked - later + scale * fell, fell))
        for item in range(ITEMS):
            assert_named(found, row, item, np.array(effects)[:, item])


def test_the_removal_size_is_how_many_events_it_takes(models):
    served, scorer = both(models, candidates=ITEMS, first_stage=0.0, exclude_seen=False)
    asked, deletions = [4, 8, 0, 6], RescoredDeletions(scorer.parts, 8)
    found = explain(served, asked=asked)["removal_size"]
    sizes = []
    for row, user in enumerate(USERS):
        events = len(ROWS[user])

        def score(keep, item, user=user):
            return total(deletions.parts(DATA, np.array([user]), keep[None], np.array([[item]])))[0, :, 0]

        full = scorer.scores(DATA, [user])[0]
        for column, item in enumerate(asked):
            effects = full[item] - score(~np.eye(events, dtype=bool), item)
            order = [at for at in np.argsort(-effects, kind="stable")[:5] if effects[at] > 0]
            lowest = min(full[other] for other in asked if other != item)
            gone = [order[: size + 1] for size in range(len(order))]
            kept = [~np.isin(np.arange(events), places)[None] for places in gone]
            below = [size + 1 for size, keep in enumerate(kept) if score(keep, item)[0] < lowest]
            sizes.append(below[0] if below else 0)
            assert found[row, column] == sizes[-1]
    assert len(set(sizes)) > 1


def test_what_is_not_known_has_no_reasons(models):
    served, _ = both(models, candidates=4, first_stage=0.8)
    empty = tf.constant([[""] * 3])
    found = served.explain(empty, empty, tf.constant([["i4", "what"]]))
    assert found["scores"][0, 0] == 4 and found["scores"][0, 1] < -1e38  # popularity, as lists have it
    for name, value in found.items():
        if name.startswith(("part_", "first_stage_")) or name in ("event_effects", "removal_size"):
            assert not value.numpy().any(), name
    assert set(found["event_positions"].numpy().ravel()) == {-1}
