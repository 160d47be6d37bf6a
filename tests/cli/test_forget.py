"""`tfrec forget` on the command line."""


def test_what_was_done_is_printed(tfrec, monkeypatch, tmp_path):
    done = {
        "users": {"asked": 3, "found": 2, "unknown": 1},
        "datasets": {"data/shop": {"events": 10}},
        "runs": {"runs/one": {}},
        "exports": {},
        "versions_to_remove": [],
        "scan": {"files": 12},
    }
    monkeypatch.setattr("tfrec.workflows.forget.forget", lambda *given, **options: done)
    paths = ["--home", tmp_path, "--users", tmp_path / "gone.csv", "--key", tmp_path / "key"]
    code, said, error = tfrec("forget", *paths)
    assert code == 0, error
    assert "2 of 3 users were found; 1 are in no data" in said
    assert "10 events erased from 1 datasets; 1 runs trained again" in said
    assert "12 files were looked through" in said
