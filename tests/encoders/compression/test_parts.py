"""What `--to` says."""

import pytest

from tfrec.encoders.compression.parts import Part, parse_parts
from tfrec.errors import InvalidInput


def test_parts_are_made_in_one_order_whatever_the_order_in_which_they_stand():
    expected = [Part("vocabulary"), Part("layers", 3), Part("heads", 0.5), Part("ffn", 0.25), Part("int8")]
    assert parse_parts(" int8 + ffn=0.25+layers=3+heads=.5+vocabulary") == expected
    assert [str(part) for part in parse_parts("ffn=0.50+static+vocabulary".replace("+static", ""))] == [
        "vocabulary",
        "ffn=0.5",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("statik", "received 'statik'. Did you mean static?"),
        ("", "Expected parts among"),
        ("static+", "received ''"),
        ("static+static", "has static 2 times"),
        ("int8+bfloat16", "int8 and bfloat16 do not go together"),
        ("static+layers=3", "static and layers do not go together"),
        ("layers", "such as layers=3"),
        ("layers=0", "such as layers=3"),
        ("layers=2.5", "such as layers=3"),
        ("ffn=1", "as in ffn=0.5"),
        ("heads=many", "as in heads=0.5"),
        ("ffn=nan", "as in ffn=0.5"),
        ("int8=4", "int8 takes no value"),
    ],
)
def test_what_cannot_be_read_is_named(text, message):
    with pytest.raises(InvalidInput) as raised:
        parse_parts(text)
    assert message in str(raised.value)
