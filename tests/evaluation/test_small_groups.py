"""What is printed of small groups: nothing, nor what the rest would tell of them."""

import pytest

from tfrec.evaluation.small_groups import without_small_groups


def groups(**users):
    return {name: {"users": count, "ndcg@10": 0.1} for name, count in users.items()}


@pytest.mark.parametrize(
    "given, k, shown",
    [
        ({"a": 50, "b": 9, "c": 4}, 1, "abc"),
        ({"a": 50, "b": 9, "c": 4}, 4, "abc"),
        ({"a": 50, "b": 9, "c": 4}, 5, "a"),  # c alone would be the whole less a and b
        ({"a": 50, "b": 4, "c": 4}, 5, "a"),  # b and c together are eight
        ({"a": 3}, 5, ""),
        ({"a": 50, "b": 0}, 5, "ab"),  # nobody is no secret
        ({}, 5, ""),
    ],
)
def test_no_group_below_k_is_shown_or_follows_from_the_others(given, k, shown):
    kept = without_small_groups(groups(**given), k)
    assert "".join(kept) == shown
    hidden = sum(given.values()) - sum(row["users"] for row in kept.values())
    assert hidden == 0 or hidden >= k or not kept
