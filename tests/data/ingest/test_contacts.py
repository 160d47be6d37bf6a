"""E-mail addresses and phone numbers in item texts, with the real numbering plans."""

import time

import polars as pl
import pytest

from tfrec.data import prepare
from tfrec.data.ingest.contacts import without_contacts
from tfrec.errors import InvalidInput

pytest.importorskip("phonenumbers", reason="phonenumbers is not installed: install the extra `scrub`")


def scrubbed(text, region=None):
    return without_contacts(pl.DataFrame({"item_id": ["i"], "title": [text]}), region)["title"][0]


@pytest.mark.parametrize(
    "text, region, left",
    [
        ("Ask ann.lee+shop@mail.example.org, she knows", None, "Ask [e-mail], she knows"),
        ("Call +49 30 901820 now", None, "Call [phone] now"),
        ("Ruf (030) 901820 an", "DE", "Ruf [phone] an"),
        ("Ruf (030) 901820 an", None, "Ruf (030) 901820 an"),
        ("+1 650-253-0000 or a@b.de or 650 253 0001", "US", "[phone] or [e-mail] or [phone]"),
        ("ISBN 978-3-16-148410-0, 2019-2020, 10 x 12 x 14", "US", "ISBN 978-3-16-148410-0, 2019-2020, 10 x 12 x 14"),
        ("@home for 5 @ 3", None, "@home for 5 @ 3"),
        ("", None, ""),
    ],
)
def test_what_reaches_somebody_is_taken_out_and_the_rest_stays(text, region, left):
    assert scrubbed(text, region) == left


def test_all_columns_of_words_are_scrubbed_but_the_ids(tmp_path):
    items = pl.DataFrame({"item_id": ["a@b.org", "i2"], "title": ["Mail a@b.org", None], "price": [1, 2]})
    events = pl.DataFrame({"user_id": ["u"] * 3, "item_id": ["a@b.org", "i2", "i2"], "timestamp": [1, 2, 3]})
    data = prepare(events, items, tmp_path / "data", config={"data.scrub_contacts": True}, split="leave-one-out")
    assert data.items.select("item_id", "text", "title", "price").rows() == [
        ("a@b.org", "Mail [e-mail]", "Mail [e-mail]", 1),
        ("i2", "", None, 2),
    ]


def test_hostile_text_takes_no_longer():
    started = time.perf_counter()
    scrubbed("a@" * 20_000 + "x." * 20_000)
    scrubbed("1-" * 5_000)
    assert time.perf_counter() - started < 5


def test_a_region_that_is_none_is_refused():
    with pytest.raises(InvalidInput, match="expected a country of two letters, such as DE; received 'Germany'"):
        scrubbed("x", "Germany")
