"""Files of lines that one appends to while another takes lines out: nothing is lost, and nothing comes back."""

import os
import stat
import threading

import pytest

from tfrec.files.shared_lines import append_line, delete_lines_file, lines_of, remove_lines


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"keep 1\ngo 1\nkeep 2\n")
    return path


def goes(line):
    return line.startswith(b"go")


def asked(path, **meanwhile):
    """`goes`, which does something when a line is asked about for the second time: when the file is written."""
    seen = []

    def predicate(line):
        seen.append(line)
        if seen.count(line) == 2 and (done := meanwhile.pop(line.split()[0].decode(), None)):
            done()
        return goes(line)

    return predicate


def test_lines_that_stay_are_as_they_were(path):
    assert remove_lines(path, goes) == 1 and path.read_bytes() == b"keep 1\nkeep 2\n"
    before = os.stat(path)
    assert remove_lines(path, goes) == 0 and os.path.samestat(os.stat(path), before)  # not touched
    path.write_bytes(b"go\nlast without an end")
    assert remove_lines(path, goes) == 1 and path.read_bytes() == b"last without an end"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_what_is_appended_while_lines_are_taken_out_stays_or_goes_like_the_rest(path):
    appended = asked(path, keep=lambda: [append_line(path, line) for line in (b"keep 3\n", b"go 2\n")])
    assert remove_lines(path, appended) == 2
    assert path.read_bytes() == b"keep 1\nkeep 2\nkeep 3\n"


def test_who_waits_to_append_while_the_file_is_replaced_appends_to_the_new_one(path):
    waits = threading.Thread(target=append_line, args=(path, b"\nkeep 4\n"))

    def at_the_end(line):  # the file is locked when a last line that may be half written is asked about
        if line == b"keep 3" and not waits.ident:
            waits.start()
            waits.join(0.05)
            assert waits.is_alive()
        return goes(line)

    appended = asked(path, keep=lambda: append_line(path, b"keep 3"))
    assert remove_lines(path, lambda line: appended(line) or at_the_end(line)) == 1
    waits.join()
    assert path.read_bytes() == b"keep 1\nkeep 2\nkeep 3\nkeep 4\n"


def test_a_half_written_line_is_not_read(path):
    """By whom there is no lock for, such as a file system without: it is asked about once it is whole."""
    with path.open("ab", buffering=0) as slow:
        slow.write(b"go 2 that is ")
        assert remove_lines(path, asked(path, keep=lambda: slow.write(b"long\n"))) == 2
    assert path.read_bytes() == b"keep 1\nkeep 2\n"


def test_a_file_that_goes_meanwhile_does_not_come_back(path):
    assert remove_lines(path, asked(path, keep=lambda: delete_lines_file(path))) == 0
    assert list(path.parent.iterdir()) == [] and list(lines_of(path)) == [] and remove_lines(path, goes) == 0


def test_another_file_in_its_place_is_what_counts(path):
    def replaced():
        (path.parent / "other").write_bytes(b"go 5\nkeep 5\n")
        os.replace(path.parent / "other", path)

    assert remove_lines(path, asked(path, keep=replaced)) == 1 and path.read_bytes() == b"keep 5\n"


def test_its_owner_and_mode_stay(path):
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 1234, 1235)
    before = os.stat(path)
    remove_lines(path, goes)
    after = os.stat(path)
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
    append_line(path.parent / "new", b"line\n")
    assert stat.S_IMODE(os.stat(path.parent / "new").st_mode) == 0o600


def test_of_many_lines_by_several_writers_none_is_lost(path):
    def write(writer):
        for number in range(150):
            append_line(path, b"%s %d %d\n" % (b"go" if number % 3 else b"keep", writer, number))

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(3)]
    for thread in writers:
        thread.start()
    while any(thread.is_alive() for thread in writers):
        remove_lines(path, goes)
    remove_lines(path, goes)
    kept = [b"keep %d %d\n" % (writer, number) for writer in range(3) for number in range(0, 150, 3)]
    assert sorted(lines_of(path)) == sorted([b"keep 1\n", b"keep 2\n", *kept])
