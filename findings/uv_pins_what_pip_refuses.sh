#!/usr/bin/env bash
# ai-edge-litert 2.3.0 installs with pip on Python 3.11, and the versions that uv pins for it do not.
#
# Guess: what `uv pip compile --python-version 3.11` pins, pip on Python 3.11 installs.
# Seen: the wheel asks for backports.strenum on every Python, although 3.11 has enum.StrEnum. The newest versions of that
# package are for Python below 3.11. pip goes back to 1.2.8, whose metadata name no upper bound. uv reads lower bounds of
# Requires-Python only and pins 1.3.1, which pip refuses as a constraint: the whole set then counts as a conflict, and
# the message does not name the Python version.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet uv==0.13.9
echo 'ai-edge-litert==2.3.0' > requirements.in

expect() {  # WHAT, PATTERN, FILE
    if grep -q "$2" "$3"; then echo "as found: $1"; else echo "CHANGED: $1"; cat "$3"; exit 1; fi
}

venv/bin/pip install --dry-run -r requirements.in > alone.log 2>&1
expect "pip alone takes 1.2.8" "backports.strenum-1\.2\.8" alone.log
venv/bin/uv --no-cache pip compile --quiet --python-version 3.11 requirements.in -o pins.txt
expect "uv pins 1.3.1 for Python 3.11" "^backports-strenum==1\.3\.1" pins.txt
if venv/bin/pip install --dry-run -r requirements.in -c pins.txt > pinned.log 2>&1; then
    echo "CHANGED: pip installs what uv pinned"; exit 1
fi
expect "pip calls the pins a conflict" "ResolutionImpossible" pinned.log
if grep -q "requires a different Python" pinned.log; then echo "CHANGED: the message names the Python"; exit 1; fi
echo "as found: the message does not name the Python"
