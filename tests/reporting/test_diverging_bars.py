"""Bars on both sides of a zero: where they stand, and what they say."""

import math
import re

import pytest

from tfrec.reporting.diverging_bars import diverging_bars, signed, span_of


def places(chart, kind):
    found = re.findall(rf'class="{kind}" style="left:([\d.]+)%(?:;width:([\d.]+)%)?"', chart)
    return [tuple(float(number) for number in pair if number) for pair in found]


def test_what_adds_goes_right_of_the_common_zero_and_what_takes_away_left():
    chart = diverging_bars([("up", 3.0), ("down", -0.5), ("none", 0.0)], (-1.0, 4.0))
    assert places(chart, "zero") == [(20,)] * 3
    assert places(chart, "fill") == [(20, 60)] and places(chart, "fill down") == [(10, 10)]
    assert re.findall(r'class="amount[ a-z]*">([^<]*)<', chart) == ["+3.000", "−0.500", "0.000"]


@pytest.mark.parametrize("amount", [math.nan, math.inf, 0.0])
def test_an_amount_without_a_length_is_written_alone(amount):
    chart = diverging_bars([("<b>", amount)], span_of([amount]))
    assert "fill" not in chart and signed(amount) in chart and ">&lt;b&gt;</dt>" in chart
