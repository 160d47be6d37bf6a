#!/usr/bin/env bash
# tensorflow-recommenders 0.7.7 with a current TensorFlow cannot be locked by `uv pip compile --universal`.
#
# Guess: what `pip install` resolves on Linux, uv locks for all platforms, perhaps with markers.
# Seen: the lock is "unsatisfiable". The wheel asks for tensorflow-macos on darwin, a package that ended at 2.16 and
# needs an older protobuf, and a universal lock has to hold there too, although nobody locks for macOS.
# Restricting `environments` to Linux helps, but only in a pyproject.toml: in uv.toml, where settings for `uv pip`
# otherwise may stand, the same key is an error.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet uv==0.13.9
printf 'tensorflow==2.21.0\ntensorflow-recommenders==0.7.7\n' > requirements.in
lock() { venv/bin/uv --no-cache pip compile --quiet --universal --python-version 3.11 requirements.in -o lock.txt; }

expect() {  # WHAT, PATTERN, FILE
    if grep -q "$2" "$3"; then echo "as found: $1"; else echo "CHANGED: $1"; cat "$3"; exit 1; fi
}

if lock > universal.log 2>&1; then echo "CHANGED: the universal lock succeeds"; exit 1; fi
tr -s ' \n' ' ' < universal.log > flat.log
expect "no universal lock, for the sake of tensorflow-macos" "tensorflow-macos.*unsatisfiable" flat.log

printf "environments = [\"sys_platform == 'linux'\"]\n" > uv.toml
if lock > settings.log 2>&1; then echo "CHANGED: uv.toml may name environments"; exit 1; fi
expect "uv.toml may not name environments" "environments. field is not allowed" settings.log
rm uv.toml

printf '[project]\nname = "x"\nversion = "0"\nrequires-python = ">=3.11"\n' > pyproject.toml
printf "[tool.uv]\nenvironments = [\"sys_platform == 'linux'\"]\n" >> pyproject.toml
lock
expect "pyproject.toml may, and the lock is made" "^tensorflow-recommenders==0.7.7" lock.txt
