"""A full disk or a kill during `prepare` leaves either nothing or the previous folder."""

import errno
import os
import signal
import subprocess
import sys

import polars as pl
import pytest

from tfrec.data import PreparedDataset, prepare
from tfrec.data.datasets.synthetic_log import shop_log, write_shop_log
from tfrec.data.ingest import write
from tfrec.errors import InvalidInput

RUN = "import sys; from tfrec.cli import main; sys.argv[0] = 'tfrec'; main()"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is Linux's")
def test_a_full_disk_is_an_os_error():
    with pytest.raises(OSError, match="No space left") as caught:
        write.parquet(pl.DataFrame({"a": range(9)}), "/dev/full")
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is Linux's")
@pytest.mark.parametrize("full", ["items.parquet", "sequences.parquet", "valid.parquet"])
def test_a_disk_that_fills_up_during_the_write_leaves_the_old_folder(tmp_path, monkeypatch, full):
    events, items = shop_log(500)
    before = prepare(events, items, tmp_path / "d").manifest["fingerprint"]
    real = pl.DataFrame.write_parquet

    def fills_up(frame, path, **options):
        return real(frame, "/dev/full" if path.name == full else path, **options)

    monkeypatch.setattr(pl.DataFrame, "write_parquet", fills_up)
    for out, force in (("d", True), ("new", False)):
        with pytest.raises(InvalidInput, match=f"^No space left while writing .*{out}; nothing was written.$"):
            prepare(events[:400], items, tmp_path / out, force=force)
    assert os.listdir(tmp_path) == ["d"]
    assert PreparedDataset.load(tmp_path / "d").manifest["fingerprint"] == before


@pytest.mark.slow
def test_a_failed_write_is_one_line_and_exit_code_2(tmp_path):
    events, items = write_shop_log(tmp_path / "log", 50_000)

    # The process limits itself: a function between fork and exec may not come back where gRPC has threads.
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))"
    arguments = ["prepare", "--events", str(events), "--items", str(items), "--out", str(tmp_path / "d")]
    # The limit would be that of coverage's own file as well.
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    found = subprocess.run(
        [sys.executable, "-c", f"{limit}\n{RUN}", *arguments], capture_output=True, text=True, env=unmeasured
    )
    assert found.returncode == 2
    assert "Traceback" not in found.stderr and "No space left while writing" in found.stderr.splitlines()[-1]
    assert os.listdir(tmp_path) == ["log"]


@pytest.mark.slow
def test_a_kill_in_the_middle_leaves_no_half_written_dataset(tmp_path):
    events, items = write_shop_log(tmp_path / "log", 500)
    code = (
        "import sys, time\n"
        "from tfrec.data import prepare\n"
        "from tfrec.data.ingest import write\n"
        "write.split = lambda *arguments: (print('writing', flush=True), time.sleep(60))\n"
        "prepare(*sys.argv[1:])"
    )
    arguments = [str(events), str(items), str(tmp_path / "d")]
    writer = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None and "writing\n" in iter(writer.stdout.readline, "")
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert not (tmp_path / "d").exists()
    assert len(prepare(events, items, tmp_path / "d").histories()) > 0
