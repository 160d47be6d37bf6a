import sys

import pytest


@pytest.fixture
def tfrec(monkeypatch, capsys):
    """Calls the command line in this process: `code, out, err = tfrec("check", "folder")`."""
    from tfrec.cli import main

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["tfrec", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit:
            main()
        return (exit.value.code or 0, *capsys.readouterr())

    return call
