"""Progress yields every item, and prints lines instead of a bar outside a terminal."""

import pytest

from tfrec.errors import InvalidInput, TfrecError, Unavailable
from tfrec.progress import say, track


@pytest.mark.parametrize("items", [[], [3, 1, 2], range(5), (i for i in "abc")])
def test_tracking_yields_the_same_items_in_order(items):
    items = list(items)
    assert list(track(iter(items), "Counting")) == items
    assert list(track(items, "Counting")) == items


def test_without_a_terminal_there_are_plain_lines_on_standard_error(capsys):
    assert list(track([1, 2, 3], "Encoding items", seconds=0)) == [1, 2, 3]
    say("Next")
    out, err = capsys.readouterr()
    assert out == ""
    assert "Encoding items: 2 of 3" in err and "Encoding items: 3 done" in err and err.endswith("Next\n")
    assert "\r" not in err and "\x1b" not in err


def test_lines_are_no_more_frequent_than_asked(capsys):
    list(track(range(1000), "Quick", seconds=3600))
    assert capsys.readouterr().err.count("\n") == 1


def test_errors_that_people_can_act_on_exit_with_2():
    assert (InvalidInput.exit_code, Unavailable.exit_code, TfrecError.exit_code) == (2, 2, 1)
