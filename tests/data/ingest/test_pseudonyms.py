"""Keyed pseudonyms in place of user ids, and events that are too old to keep."""

import hashlib
import hmac
import json

import polars as pl
import pytest

from tfrec.data import prepare, pseudonyms
from tfrec.errors import InvalidInput

KEYS = ["ab" * 32, "0f" * 32]


@pytest.fixture
def key(tmp_path):
    def written(*lines, mode=0o600):
        path = tmp_path / "key"
        path.write_text("\n".join(lines) + "\n")
        path.chmod(mode)
        return path

    return written


def by_hand(name, *keys):
    for key in keys:
        name = hmac.new(bytes.fromhex(key), name.encode(), hashlib.sha256).hexdigest()[:32]
    return name


def test_a_pseudonym_is_the_hmac_and_an_appended_key_renews_it(key):
    before = pseudonyms(["anna", "利用者"], key(KEYS[0]))
    assert before == [by_hand("anna", KEYS[0]), by_hand("利用者", KEYS[0])]
    after = pseudonyms(["anna"], key(*KEYS))
    assert after == [by_hand("anna", *KEYS)] == pseudonyms(before[:1], key(KEYS[1])) != before[:1]


@pytest.mark.parametrize("line, mode, wrong", [("ab" * 32, 0o640, "chmod 600"), ("password", 0o600, "64 hexadecimal")])
def test_a_key_that_others_may_read_or_that_is_none_is_refused(key, line, mode, wrong):
    with pytest.raises(InvalidInput, match=wrong):
        pseudonyms(["anna"], key(line, mode=mode))


def test_a_missing_key_is_refused_with_how_to_make_one(tmp_path):
    with pytest.raises(InvalidInput, match="does not exist. Make one: .*secrets"):
        pseudonyms([], tmp_path / "none")


@pytest.fixture
def log():
    rows = [
        (f"person {u}", f"i{(u + t) % 5}", 1_700_000_000 + 86_400 * t, f"p{u}@example.org")
        for u in range(6)
        for t in range(5)
    ]
    rows.append(("person 9", None, 1_700_000_000, "p9@example.org"))
    return pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp", "email"], orient="row")


def prepared(log, folder, **options):
    users = pl.DataFrame({"user_id": [f"person {u}" for u in range(6)], "country": list("abcdef")})
    values = {f"data.{name}": value for name, value in options.items()}
    return prepare(log, None, folder, users=users, split="leave-one-out", config=values)


def test_prepared_data_have_pseudonyms_and_nothing_else_of_the_users(log, key, tmp_path):
    plain = prepared(log, tmp_path / "plain")
    data = prepared(log, tmp_path / "data", pseudonym_key=str(key(KEYS[0])))
    names = {by_hand(name, KEYS[0]): name for name in plain.histories().user_ids}
    assert list(data.histories().user_ids) == sorted(names)
    for row, pseudonym in enumerate(data.histories().user_ids):
        whole = plain.histories()
        other = whole.row(whole.user_ids.tolist().index(names[pseudonym]))
        assert data.histories().items[data.histories().row(row)].tolist() == whole.items[other].tolist()
        country = plain.users.filter(pl.col("user_id") == names[pseudonym])["country"][0]
        assert data.users.row(row) == (pseudonym, country)
    for file in (tmp_path / "data").rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        assert b"person" not in content and b"example.org" not in content, file
    dropped = json.loads((tmp_path / "data" / "report.json").read_text())["events"]["dropped"]
    assert [set(row) for problem in dropped.values() for row in problem["examples"]] == [{"item_id", "timestamp"}]


def test_events_older_than_max_age_are_left_out_and_counted(log, tmp_path, capsys):
    data = prepared(log, tmp_path / "data", max_age=2.5)
    assert data.histories().lengths.tolist() == [3] * 6
    assert "13 are older than 2.5 days (data.max_age)" in capsys.readouterr().err
    with pytest.raises(InvalidInput, match="data.max_age needs a clock"):
        prepared(log, tmp_path / "other", max_age=2.5, timestamp_unit="order")
