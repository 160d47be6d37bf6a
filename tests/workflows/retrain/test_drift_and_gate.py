"""Drift, the gate and the champion as it is served, each checked against arithmetic by hand."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

from datetime import UTC, datetime  # isort: skip
from math import log
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from tfrec.config import RetrainConfig, RunConfig
from tfrec.data import prepare
from tfrec.errors import InvalidInput
from tfrec.evaluation import evaluate_ranking
from tfrec.workflows.retrain.data_drift import drift_notes, drift_report, psi, psi_by_chance, refuse_drift
from tfrec.workflows.retrain.data_profile import Profile, value_counts, value_edges, write_profile
from tfrec.workflows.retrain.promotion_gate import AsServed, compare_metrics, evaluate_gate, reasons_against

NOW = datetime(2024, 6, 1, tzinfo=UTC)
DAY = 86400


def events(rows):
    """(user, item, kind, day, value) to a log with a clock in seconds."""
    columns = ["user_id", "item_id", "event", "day", "value"]
    frame = pl.DataFrame(rows, schema=columns, orient="row").with_row_index()
    return frame.with_columns(timestamp=1_704_067_200 + pl.col("day") * DAY + pl.col("index")).drop("day", "index")


OLD = [(f"u{u}", f"i{(u + day) % 5}", "view", day, float(u % 3)) for u in range(6) for day in range(5)]
NEW = [
    ("u0", "i0", "view", 10, 1.0),
    ("u0", "i5", "share", 10, None),
    ("new", "i5", "view", 11, 2.0),
    ("u1", "ghost", "view", 11, 0.0),
]


def catalogue(*items):
    return pl.DataFrame({"item_id": items, "title": [f"thing {item}" for item in items]})


@pytest.fixture
def profile(tmp_path):
    items = catalogue("i0", "i1", "i2", "i3", "i4", "gone")
    return write_profile(prepare(events(OLD), items, tmp_path / "old", split="global-time"), tmp_path / "profile")


def report(profile, tmp_path, rows, *items):
    data = prepare(events(rows), catalogue(*items), tmp_path / "new", split="global-time", force=True)
    return drift_report(data, profile, NOW)


def test_what_is_new_is_counted(profile, tmp_path):
    late = [("u2", "i3", "view", -3, 0.0)]
    found = report(profile, tmp_path, OLD[1:] + late + NEW, "i0", "i1", "i2", "i3", "i4", "i5")
    counts = ("events", "users", "items", "new_events", "late_events", "new_users", "new_items", "gone_items")
    assert [found[name] for name in counts] == [34, 7, 7, 4, 0, 1, 1, 1]
    assert found["lost_share"] == 0 and found["gone_share"] == 1 / 6
    assert found["new_item_share"] == 3 / 4 and found["unknown_share"] == 1 / 4
    assert found["kinds"] == {"share": [0, 0.25], "view": [1, 0.75]}
    assert_allclose(found["psi"]["kinds"]["psi"], 0.2499 * log(2500) - 0.25 * log(0.75), atol=1e-3)
    assert found["newest"] == "2024-01-12 00:00:33" and found["ahead"] == 0


def test_late_and_lost_events_are_counted_separately(profile, tmp_path):
    late = [("u2", "i3", "view", -3, 0.0), ("u2", "i3", "view", -4, 0.0)]
    names = "i0", "i1", "i2", "i3", "i4"
    assert report(profile, tmp_path, OLD + late, *names)["late_events"] == 2
    assert report(profile, tmp_path, OLD[:24] + NEW[:1], *names)["lost_share"] == pytest.approx(0.2)


def test_a_shift_of_values_is_refused_and_one_by_chance_is_not(tmp_path):
    many = [(f"u{u}", f"i{day % 5}", "rating", day, float(1 + (u + day) % 5)) for u in range(40) for day in range(10)]
    names = "i0", "i1", "i2", "i3", "i4"
    profile = write_profile(prepare(events(many), catalogue(*names), tmp_path / "old"), tmp_path / "profile")
    again = [(f"u{u}", f"i{u % 5}", "rating", 20, float(1 + u % 5)) for u in range(40)]
    tenfold = [(*row[:4], row[4] * 10) for row in again]
    refuse_drift(report(profile, tmp_path, many + again, *names), profile, RetrainConfig())
    shifted = report(profile, tmp_path, many + tenfold, *names)
    with pytest.raises(InvalidInput, match="The values of the new events are not those of the served run: PSI"):
        refuse_drift(shifted, profile, RetrainConfig())
    refuse_drift(shifted, profile, RetrainConfig(max_psi=20))
    assert any(note.startswith("values: PSI") for note in drift_notes(shifted))


def test_popularity_bins_hold_a_tenth_of_the_events_each(tmp_path):
    counts = {"a": 50, "b": 30, "c": 15, "d": 5}
    rows = [(f"u{i % 7}", item, "view", i, None) for item, n in counts.items() for i in range(n)]
    rows += [("u0", "in no catalogue", "view", 9, None)] * 3
    profile = write_profile(prepare(events(rows), catalogue(*counts), tmp_path / "data"), tmp_path / "profile")
    # a begins at event 0, b at 50, c at 80, d at 95 of 100
    expected = [50, 0, 0, 0, 0, 30, 0, 0, 15, 5, 3]
    assert profile.reference().tolist() == expected
    assert profile.popularity(["a", "b", "b", "x"]).tolist() == [1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1]
    assert Profile(tmp_path / "profile").facts == profile.facts


def test_psi_is_the_sum_by_hand_and_zero_without_counts():
    expected, found = np.array([20, 30, 50]), np.array([25, 25, 50])
    by_hand = 0.05 * log(0.25 / 0.2) - 0.05 * log(0.25 / 0.3)
    assert_allclose(psi(expected, found), by_hand, rtol=1e-12)
    assert psi(expected, np.zeros(3)) == 0 == psi(np.zeros(3), found)
    assert_allclose(psi(np.array([1, 0]), np.array([1, 1])), 0.5 * log(2) + 0.4999 * log(5000), rtol=1e-3)


def test_psi_by_chance_is_the_quantile_of_simulated_draws():
    rng, share = np.random.default_rng(0), np.array([0.5, 0.3, 0.15, 0.05])
    draws = [psi(rng.multinomial(5000, share), rng.multinomial(300, share)) for _ in range(5000)]
    assert np.quantile(draws, 0.999) == pytest.approx(psi_by_chance(4, 5000, 300), rel=0.25)


def test_few_events_of_the_same_mix_are_no_drift_though_their_index_is_high(tmp_path):
    """Four of five people rate 1; tonight's ten do so six times: the index says a shift, and chance makes as much."""
    old = [(f"u{n}", f"i{n % 5}", "rating", n % 9, 1.0 + (n % 5 == 0)) for n in range(1000)]
    names = "i0", "i1", "i2", "i3", "i4"
    profile = write_profile(prepare(events(old), catalogue(*names), tmp_path / "old"), tmp_path / "profile")

    def tonight(twos, rows):
        return [(f"u{n}", f"i{n % 5}", "rating", 20, 1.0 + (n < twos)) for n in range(rows)]

    # 8 of 10 ones before, 6 of 10 tonight; two bins, so one degree of freedom, where the cube is 3 % off
    index = (0.6 - 0.8) * log(0.6 / 0.8) + (0.4 - 0.2) * log(0.4 / 0.2)
    by_chance = stats.chi2.ppf(0.999, 1) * (1 / 1000 + 1 / 10)
    few = report(profile, tmp_path, old + tonight(4, 10), *names)
    assert few["psi"]["values"]["psi"] == pytest.approx(index, abs=1e-4)
    assert few["psi"]["values"]["chance"] == pytest.approx(by_chance, rel=0.05)
    assert 0.1 < index < by_chance
    refuse_drift(few, profile, RetrainConfig(max_psi=0.0))
    assert not [note for note in drift_notes(few) if note.startswith("values")]

    many = report(profile, tmp_path, old + tonight(400, 1000), *names)  # the same shares of a hundred times as many
    assert many["psi"]["values"]["psi"] == pytest.approx(index, abs=1e-4)
    assert many["psi"]["values"]["chance"] == pytest.approx(stats.chi2.ppf(0.999, 1) * (2 / 1000), rel=0.05)
    with pytest.raises(InvalidInput, match="The values of the new events"):
        refuse_drift(many, profile, RetrainConfig(max_psi=0.0))
    assert [note for note in drift_notes(many) if note.startswith("values")] == [f"values: PSI {index:.2f}"]


def test_value_bins():
    values = np.array([1, 1, 2, 3, 3, 3, np.nan], np.float32)
    edges = value_edges(values)
    assert edges == [1.0, 2.0] and value_counts(values, edges).tolist() == [2, 1, 3, 1]
    assert value_edges(np.array([np.nan])) == [] and value_counts(np.array([np.nan]), []).tolist() == [0, 1]


class Fixed:
    """A scorer with fixed scores that records the histories it was given."""

    name, num_items = "fixed", 4

    def scores(self, histories, rows):
        self.asked = [
            (histories.items[histories.row(r)].tolist(), histories.events[histories.row(r)].tolist()) for r in rows
        ]
        return np.tile(np.arange(4, dtype=np.float32), (len(rows), 1))


def test_the_champion_reads_and_answers_in_its_own_catalogue(tmp_path):
    rows = [
        ("a", "i1", "view", 0, None),
        ("a", "new", "view", 1, None),
        ("a", "i0", "share", 2, None),
        ("b", "new", "view", 0, None),
        ("c", "i3", "view", 9, None),
    ]
    data = prepare(events(rows), catalogue("new", "i0", "i1", "i3"), tmp_path / "data", split="leave-one-out")
    ids = ["i3", "i2", "i1", "i0"]
    run = SimpleNamespace(item_counts=np.array([7, 5, 3, 1]), item_ids=np.array(ids, object), config=RunConfig())
    run.event_kinds, run.items = ["click", "view"], pl.DataFrame({"item_id": ids})
    scorer = Fixed()
    found = AsServed(scorer, run, data).scores(data.histories(), np.array([1, 0]))
    assert scorer.asked == [([], []), ([2, 3], [1, -1])]  # b knows nothing of new; a's share is no kind
    # today's order is new, i0, i1, i3: theirs are at 3, 2, 0; b gets their counts
    assert_array_equal(found, [[-np.inf, 1, 3, 7], [-np.inf, 3, 2, 0]])
    run.items = run.items.with_columns(in_catalogue=pl.col("item_id") != "i3")  # gone before it was exported
    assert_array_equal(AsServed(scorer, run, data).scores(data.histories(), np.array([1])), [[-np.inf, 1, 3, -np.inf]])


class Ranked:
    """A scorer that gives each user's target a chosen rank."""

    name = "ranked"

    def __init__(self, data, ranks):
        self.num_items, self.ranks = data.num_items, dict(zip(data.queries("test").user_ids, ranks))
        queries = data.queries("test")
        self.targets = dict(zip(queries.user_ids, queries.target_items))

    def scores(self, histories, rows):
        found = np.empty((len(rows), self.num_items), np.float32)
        for place, row in enumerate(rows):
            user = histories.user_ids[row]
            order = [item for item in range(self.num_items) if item != self.targets[user]]
            order.insert(self.ranks[user] - 1, self.targets[user])
            found[place, order] = -np.arange(self.num_items)
        return found


@pytest.fixture(scope="module")
def ring(tmp_path_factory):
    rows = [(f"u{u}", f"i{(u + day) % 15}", "view", day, None) for u in range(60) for day in range(4)]
    names = [f"i{i}" for i in range(15)]
    return prepare(events(rows), catalogue(*names), tmp_path_factory.mktemp("ring") / "data", split="leave-one-out")


def evaluation_of(data, ranks):
    return evaluate_ranking(Ranked(data, ranks), data.queries("test"), num_items=15, ks=(10,), bootstrap=0)


def test_the_gate_opens_for_better_and_equal_and_closes_for_worse(ring):
    before = evaluation_of(ring, [3] * 60)
    config = RetrainConfig()
    metrics = ["mrr@10", "recall@10", "coverage@10"]
    better = compare_metrics(before, evaluation_of(ring, [1] * 60), metrics, 0.1)
    assert better[0] == {
        "metric": "mrr@10", "champion": 0.333333, "challenger": 1.0, "difference": 0.666667,
        "low": 0.666667, "high": 0.666667, "floor": -0.033333, "holds": True,
    }  # fmt: skip
    assert (
        reasons_against(better, 60, config)
        == []
        == reasons_against(compare_metrics(before, before, metrics, 0.0), 60, config)
    )
    worse = reasons_against(compare_metrics(before, evaluation_of(ring, [4] * 60), metrics, 0.5), 60, config)
    assert worse == ["mrr@10 fell: -0.0833 (95% interval -0.0833 to -0.0833)"]
    lost = reasons_against(compare_metrics(before, evaluation_of(ring, [1] * 50 + [12] * 10), metrics, 0.1), 60, config)
    assert len(lost) == 1 and lost[0].startswith("recall@10: -0.1667 (95% interval -0.2")
    assert reasons_against(better, 29, config) == ["only 29 users in the newest window, expected 30"]


def test_a_gain_that_may_be_chance_does_not_pass(ring):
    lucky = (
        [1] * 8 + [4] * 8 + [3] * 44
    )  # mrr: eight gain 2/3, eight lose 1/12; some resamples are much worse than that
    rows = compare_metrics(evaluation_of(ring, [3] * 60), evaluation_of(ring, lucky), ["mrr@10"], 0.0)
    assert rows[0]["difference"] > 0 and rows[0]["low"] > 0 and reasons_against(rows, 60, RetrainConfig()) == []
    unlucky = [1] * 3 + [10] * 8 + [3] * 49
    rows = compare_metrics(evaluation_of(ring, [3] * 60), evaluation_of(ring, unlucky), ["mrr@10"], 0.0)
    assert rows[0]["difference"] > 0 > rows[0]["low"]
    assert reasons_against(rows, 60, RetrainConfig())[0].endswith("reaches below -0.0000")


def test_coverage_has_no_interval_and_must_hold_itself(ring):
    wide, narrow = evaluation_of(ring, [3] * 60), evaluation_of(ring, [3] * 60)
    narrow.metrics["coverage@10"] = wide.metrics["coverage@10"] * 0.8
    row = compare_metrics(wide, narrow, ["mrr@10", "coverage@10"], 0.1)[1]
    assert row["low"] is None and not row["holds"]
    assert compare_metrics(wide, narrow, ["mrr@10", "coverage@10"], 0.3)[1]["holds"]


def fake_run(data, ranks):
    """A stand-in for a run whose test targets have these ranks."""
    items = {"item_ids": data.item_ids, "item_counts": np.ones(data.num_items, np.int64), "items": data.items}
    kinds = {"event_kinds": data.event_kinds, "manifest": {"exclude_seen": False}}
    return SimpleNamespace(**items, **kinds, config=RunConfig(), scorer=lambda _=None: Ranked(data, ranks))


def test_without_a_champion_the_challenger_is_compared_with_popularity_unless_switched_off(tmp_path):
    steps = [("i0", 0), ("i1", 1), ("i2", 2), ("i0", 3)]  # the first item is in every training history, and the target
    rows = [
        (f"u{u}", f"i{3 + u % 12}" if item == "i1" else item, "view", day, None)
        for u in range(60)
        for item, day in steps
    ]
    ring = prepare(events(rows), catalogue(*[f"i{i}" for i in range(15)]), tmp_path / "data", split="leave-one-out")
    last = fake_run(ring, [15] * 60)
    found = evaluate_gate(ring, last, None, RetrainConfig(), None)
    assert (found["metrics"][0]["champion"], found["metrics"][0]["challenger"]) == (1, 0)
    assert not found["promote"] and found["rival"] == "popularity" and found["reasons"][0].startswith("ndcg@10 fell")
    free = RetrainConfig(beat_popularity=False)
    shown = evaluate_gate(ring, last, None, free, None)
    assert shown["promote"] and shown["metrics"] == found["metrics"]
    assert not evaluate_gate(ring, last, fake_run(ring, [1] * 60), free, None)["promote"]
    assert not evaluate_gate(ring, last, None, RetrainConfig(beat_popularity=False, min_users=61), None)["promote"]


def test_a_champion_gains_nothing_from_items_that_are_gone(tmp_path):
    rows = [(f"u{u}", f"i{(u + day) % 15}", "view", day, None) for u in range(60) for day in range(4)]
    data = prepare(events(rows), catalogue(*[f"i{i}" for i in range(12)]), tmp_path / "data", split="leave-one-out")
    targets = data.queries("test")
    here = np.isin(data.item_ids[targets.target_items], [f"i{i}" for i in range(12)])
    champion = fake_run(data, [1] * 60)
    champion.items = data.items.drop("in_catalogue")  # it was exported when all fifteen were there
    challenger = fake_run(data, np.where(here, 1, 15))
    found = evaluate_gate(data, challenger, champion, RetrainConfig(), None)
    assert found["users"] == here.sum() == 48
    assert found["promote"] and {row["challenger"] for row in found["metrics"][:1]} == {1.0}


def test_the_outcome_says_if_the_champion_was_chosen_on_the_window(tmp_path):
    rows = [(f"u{u}", f"i{(u + day) % 15}", "view", day, None) for u in range(40) for day in range(10)]
    data = prepare(events(rows), catalogue(*[f"i{i}" for i in range(15)]), tmp_path / "data", split="global-time")
    start = data.manifest["cuts"]["test"]
    same = fake_run(data, [2] * 40)
    assert evaluate_gate(data, same, same, RetrainConfig(), start)["new_to_champion"]
    found = evaluate_gate(data, same, same, RetrainConfig(), start + 1)
    assert not found["new_to_champion"] and found["promote"] and found["metrics"][0]["difference"] == 0
