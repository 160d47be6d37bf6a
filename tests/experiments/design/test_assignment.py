"""Assignment: deterministic, in the planned shares, independent between layers, exclusive within one."""

import hashlib
import math

import pytest

from tfrec import InvalidInput
from tfrec.experiments import ExperimentSpec, assign, assign_users, check_exclusive, hash_share

USERS = [f"user-{i}" for i in range(20_000)]


def spec(name="e", **changes):
    return ExperimentSpec.from_dict({"name": name, "metrics": [{"name": "m", "event": "click"}], **changes})


def arms(plan):
    return dict(assign_users(plan, USERS).iter_rows())


def test_the_hash_follows_its_specification():
    digest = hashlib.sha256(b"salt\x00u1").hexdigest()
    assert hash_share("salt", "u1") == math.floor(int(digest[:16], 16) / 2**11) / 2**53


def test_the_shares_are_as_planned():
    plan = spec(arms={"a": 0.5, "b": 0.3, "c": 0.2})
    found = list(arms(plan).values())
    for arm, share in plan.arms.items():
        assert abs(found.count(arm) / len(USERS) - share) < 4 * math.sqrt(share * (1 - share) / len(USERS))
    assert found == [assign(plan, user) for user in USERS]


def test_ramping_up_keeps_every_user_in_their_arm():
    small, large = arms(spec(ramp=0.1)), arms(spec(ramp=0.6))
    assert all(large[user] == arm for user, arm in small.items() if arm)
    for found, share in ((small, 0.1), (large, 0.6)):
        inside = sum(arm is not None for arm in found.values()) / len(USERS)
        assert abs(inside - share) < 4 * math.sqrt(share * (1 - share) / len(USERS))
    assert not any(arms(spec(ramp=0.0)).values())


def test_a_layer_is_exclusive_and_layers_are_independent():
    first, second = arms(spec("a", traffic=[0, 0.5])), arms(spec("b", traffic=[0.5, 1]))
    assert all((first[user] is None) != (second[user] is None) for user in USERS)
    other = arms(spec("c", layer="other"))
    both = [(first[user], other[user]) for user in USERS if first[user]]
    treated = [arm for mine, arm in both if mine == "treatment"]
    assert abs(treated.count("treatment") / len(treated) - 0.5) < 4 * math.sqrt(0.25 / len(treated))


def test_another_salt_reassigns_users():
    one, two = arms(spec(salt="x")), arms(spec(salt="y"))
    same = sum(one[user] == two[user] for user in USERS) / len(USERS)
    assert abs(same - 0.5) < 4 * math.sqrt(0.25 / len(USERS))


def test_conflicting_experiments_are_named():
    check_exclusive([spec("a", traffic=[0, 0.5]), spec("b", traffic=[0.5, 1]), spec("c", layer="other")])
    with pytest.raises(InvalidInput, match="a and b share 25.0% of layer 'default'"):
        check_exclusive([spec("a", traffic=[0, 0.5]), spec("b", traffic=[0.25, 1])])
    with pytest.raises(InvalidInput, match="same salt 'a'"):
        check_exclusive([spec("a"), spec("b", salt="a", layer="other")])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"arms": {"a": 1.0}}, "at least two"),
        ({"arms": {"a": 0.5, "b": 0.6}}, "sum to 1"),
        ({"traffic": [0.5, 0.5]}, "from < to"),
        ({"ramp": 2}, "ramp"),
        ({"metrics": []}, "metrics"),
        ({"metrics": [{"name": "m", "event": "x"}] * 2}, "distinct"),
        ({"metrics": [{"name": "m", "event": "x", "rolle": 1}]}, "rolle"),
        ({"alpha": 0}, "alpha"),
    ],
)
def test_an_invalid_plan_names_the_key(change, message):
    with pytest.raises(InvalidInput, match=message):
        spec(**change)


def test_a_plan_is_read_from_yaml(tmp_path):
    file = tmp_path / "e.yaml"
    file.write_text("name: e\nmetrics:\n  - {name: m, event: click, role: primary}\n")
    assert ExperimentSpec.load(file).control == "control"
    file.write_text("- 1")
    with pytest.raises(InvalidInput, match="mapping"):
        ExperimentSpec.load(file)
    file.write_text("a: [")
    with pytest.raises(InvalidInput, match="YAML"):
        ExperimentSpec.load(file)
    with pytest.raises(InvalidInput, match="Cannot read"):
        ExperimentSpec.load(tmp_path / "none.yaml")
