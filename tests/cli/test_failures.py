"""How the command line reports bad input and internal failures."""

import errno
import os

import pytest

import tfrec.encoders.describe
from tfrec.errors import TfrecError


@pytest.mark.parametrize(
    "arguments, named",
    [
        ("prepare --events no.csv --items no.csv --out out", "no.csv"),
        ("prepare --events no.csv --items no.csv --out out --set data.zebra=1", "data.zebra"),
        ("prepare --events no.csv --items no.csv --out out --set zebra", "section.key=value"),
        ("prepare --events no.csv --items no.csv --out out --config no.yaml", "no.yaml"),
        ("prepare --items no.csv --out out", "--events"),
        ("encoder info .", "tfrec_encoder.json"),
        ("encoder import no-such-folder --out out", "no-such-folder"),
        ("encoder pretrain --out out", "--data"),
        ("encoder pretrain --out out --text no.txt", "no.txt"),
        ("encoder pretrain --out out --data no-data", "no-data"),
        ("encoder pretrain --out out --text no.txt --set pretraining.zebra=1", "zebra"),
        ("train --data no-data --out out", "no-data"),
        ("train --data no-data --out out --model zebra", "zebra"),
        ("train --data no-data --out out --head zebra", "zebra"),
        ("train --data no-data --out out --seed one", "--seed"),
        ("evaluate --run no-run --data no-data", "no-data"),
        ("evaluate --run no-run --data no-data --split zebra", "zebra"),
        ("evaluate --run no-run --data no-data --out no-folder/m.json", "no-folder"),
        ("recommend --run no-run --data no-data --out recs.txt", "recs.txt"),
        ("recommend --run no-run --data no-data --out recs.parquet --k 0", "--k"),
        ("recommend --run no-run --data no-data --out recs.parquet --users no.txt", "no.txt"),
        ("recommend --run no-run --data no-data --out no-folder/recs.csv", "no-folder"),
        ("export --run no-run --out out", "no-run"),
        ("export --run no-run --out out --version 0", "--version"),
        ("check no-version", "no-version"),
        ("check no-version --tensorflow 1.15", "2.20"),
        ("label no-model --stable 1", "no-model"),
        ("serve no-model --max-waiting 0", "--max-waiting"),
        ("serve no-model --rest-port 65536", "--rest-port"),
        ("serve no-model --poll-seconds 0", "poll_seconds"),
        ("serve no-model --host 0.0.0.0", "--insecure"),
        ("serve no-model --tls-cert server.pem", "--tls-key"),
        ("serve no-model --token-file no-file", "no-file"),
        ("quickstart --epochs 0", "training.epochs"),
        ("zebra", "zebra"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2_and_leaves_nothing(tfrec, tmp_path, monkeypatch, arguments, named):
    monkeypatch.chdir(tmp_path)
    code, out, err = tfrec(*arguments.split())
    assert code == 2
    assert named in err and "Traceback" not in err + out
    assert os.listdir(tmp_path) == []


def test_existing_output_is_refused(tfrec, tmp_path):
    out = tmp_path / "recs.csv"
    out.write_text("mine")
    code, _, err = tfrec("recommend", "--run", tmp_path, "--data", tmp_path, "--out", out)
    assert code == 2 and "--force" in err and out.read_text() == "mine"


@pytest.fixture
def broken(monkeypatch, tmp_path):
    """Makes `encoder info` fail with the given exception."""
    (tmp_path / "tfrec_encoder.json").write_text("{}")

    def fail_with(error):
        def fail(path):
            raise error

        monkeypatch.setattr(tfrec.encoders.describe, "read_json", fail)
        return "encoder", "info", str(tmp_path)

    return fail_with


def test_an_internal_failure_is_one_message_and_exit_code_1(tfrec, broken, monkeypatch):
    monkeypatch.delenv("TFREC_DEBUG", raising=False)
    code, out, err = tfrec(*broken(RuntimeError("the cat")))
    assert code == 1 and "RuntimeError: the cat" in err and "Traceback" not in err + out


def test_the_traceback_is_printed_on_request(tfrec, broken, monkeypatch):
    monkeypatch.setenv("TFREC_DEBUG", "1")
    code, _, err = tfrec(*broken(RuntimeError("the cat")))
    assert code == 1 and "Traceback" in err


@pytest.mark.parametrize(
    "error, expected",
    [
        (OSError(errno.ENOSPC, "No space left on device"), 2),
        (PermissionError(errno.EACCES, "Permission denied", "place"), 2),
        (OSError(errno.EIO, "Input/output error"), 1),
        (TfrecError("general"), 1),
    ],
)
def test_errors_that_only_the_user_can_fix_exit_with_2(tfrec, broken, error, expected):
    code, _, err = tfrec(*broken(error))
    assert code == expected and "Traceback" not in err


@pytest.mark.parametrize("arguments", ["", "prepare", "encoder", "encoder import", "encoder info", "train", "evaluate",
                                       "recommend", "export", "check", "quickstart"])  # fmt: skip
def test_every_command_has_help(tfrec, arguments):
    code, out, _ = tfrec(*arguments.split(), "--help")
    assert code == 0 and "Usage: tfrec" in out


def test_a_full_disk_that_nobody_told_of_is_the_person_s_to_mend(tfrec, broken):
    code, _, err = tfrec(*broken(RuntimeError("cannot write; No space left on device")))
    assert code == 2 and err.startswith("tfrec: No space left: cannot write")
