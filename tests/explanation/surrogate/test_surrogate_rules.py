"""`surrogate_rules` on a model that is a rule, and on one that is chance."""

import json

import numpy as np
import pytest

from tests.explanation.toy import ITEMS, ToyRun, make_histories, make_model, make_run
from tfrec.errors import InvalidInput
from tfrec.explanation import surrogate_rules
from tfrec.explanation.surrogate.surrogate_rules import _rules
from tfrec.explanation.surrogate.traits import Catalogue
from tfrec.files import AlreadyExists

USERS = 240
ROWS = [np.random.default_rng(user).permutation(7)[: 2 + user % 3].tolist() for user in range(USERS)]


class Scored(ToyRun):
    """A run whose scores are `self.score` of a list of items."""

    def scorer(self, dataset=None):
        run = self

        class Scorer:
            def scores(self, histories, rows):
                return np.array([run.score(histories.items[histories.row(row)].tolist()) for row in rows])

        return Scorer()


@pytest.fixture(scope="module")
def scored():
    model = make_model(memory_history=8)
    return lambda score, **manifest: Scored(**vars(make_run(model, **manifest)), score=score)


def of_item_3(items):
    """Item 7 is first for who has item 3, item 8 for all others."""
    scores = np.arange(ITEMS, dtype=float)
    scores[7] += 10 * (3 in items)
    return scores


def of_chance(items):
    return np.random.default_rng(hash(tuple(items)) % 2**32).random(ITEMS)


def test_the_rule_that_the_model_is_comes_out(scored, tmp_path):
    out = tmp_path / "surrogate.json"
    found = surrogate_rules(scored(of_item_3), make_histories(ROWS), k=1, out=out)
    with pytest.raises(AlreadyExists):
        surrogate_rules(scored(of_item_3), make_histories(ROWS), k=1, out=out)
    assert json.loads(out.read_text()) == found and found["users"] == {"made": 120, "measured": 120}
    rules = {(rule["conditions"][0]["subject"], rule["outcome"]["subject"]): rule for rule in found["rules"]}
    rule = rules["Film 3", "Film 7"]
    assert rule["agree"]["mean"] == 1 and rule["lift"]["low"] > 0.3
    share = np.mean([3 in row for row in ROWS])
    assert rule["everyone"] == pytest.approx(share, abs=0.12) and rule["lift"]["mean"] == 1 - rule["everyone"]
    assert "People with “Film 3” in their history get “Film 7” in their list: 100% of them" in rule["sentence_en"]
    assert "历史中有“Film 3”的用户，列表中会有“Film 7”" in rule["sentence_zh"]
    assert found["covered"] >= share - 0.12 and found["sentence_en"].startswith("These rules speak of")


def rules_of(has, lists, fewest=1):
    """Rules of users who have item 3, or else item 4, and of lists of one item."""
    catalogue = Catalogue([f"Film {item}" for item in range(ITEMS)], [], np.zeros([ITEMS, 0], bool))
    return _rules(make_histories([[3 if one else 4] for one in has]), lists[:, None], catalogue, fewest)


@pytest.mark.parametrize("half", ["first", "second"])
def test_what_is_so_of_one_half_of_the_users_alone_is_no_rule(half):
    has, chance = np.random.default_rng(0).random([2, 400]) < 0.5
    so = (np.arange(400) < 200) == (half == "first")
    found = rules_of(has, np.where(np.where(so, has, chance), 7, 8))
    assert found["rules"] == [] and (found["tried"] > 0) == (half == "first")


def test_nothing_is_said_of_fewer_people_than_privacy_allows():
    has = np.arange(400) % 200 < np.where(np.arange(400) < 200, 100, 30)
    groups = [rule["users"] for rule in rules_of(has, np.where(has, 7, 8))["rules"]]
    assert sorted(groups) == [30, 170]
    assert [rule["users"] for rule in rules_of(has, np.where(has, 7, 8), fewest=31)["rules"]] == [170]


def test_where_lists_are_chance_it_says_so(scored):
    found = surrogate_rules(scored(of_chance, exclude_seen=False), make_histories(ROWS), k=2, out="")
    assert found["rules"] == [] and found["covered"] == 0
    assert "cannot be said in such words" in found["sentence_en"] and "无法" in found["sentence_zh"]


def test_few_users_make_no_rule(scored):
    found = surrogate_rules(scored(of_item_3), make_histories(ROWS), users=30, k=1, out="")
    assert found["tried"] == 0 and found["users"] == {"made": 15, "measured": 15}


def test_bad_input_is_said(scored):
    run = scored(of_item_3)
    for rows in ([[]], [[1, 2], []]):
        with pytest.raises(InvalidInput, match=f"measured on others; {len(rows) - 1} users have a history"):
            surrogate_rules(run, make_histories(rows), out="")
    for users in (0, 1):
        with pytest.raises(InvalidInput, match=f"Expected users of at least 2, received {users}"):
            surrogate_rules(run, make_histories(ROWS), users=users)
    with pytest.raises(InvalidInput, match="Expected k of at least 1, received 0"):
        surrogate_rules(run, make_histories(ROWS), k=0)
    with pytest.raises(InvalidInput, match="makes no list to explain"):
        surrogate_rules(Scored(**{**vars(run), "kind": "click-ranker"}), make_histories(ROWS), out="")
