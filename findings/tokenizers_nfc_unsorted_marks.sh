#!/usr/bin/env bash
# The NFC normaliser of tokenizers 0.23.3 leaves two combining marks where they stand.
#
# Guess: NFC is NFC; a text that Python's unicodedata calls normal, tokenizers leaves alone, and the other way round.
# Seen: U+09FE (Bengali sandhi mark, class 230, since Unicode 11) and U+0C3C (Telugu nukta, class 7, since Unicode 14)
# count as no combining marks. Two spellings of one text that differ in the order of marks, and are one in NFC, get other
# tokens in any tokeniser with an NFC normaliser, such as ModernBERT's.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet tokenizers==0.23.3
venv/bin/python - <<'PYTHON'
import unicodedata

from tokenizers.normalizers import NFC

normal = NFC()
for name, text in (
    ("acute before dot below, for comparison", "a\u0301\u0323"),
    ("Bengali sandhi mark before nukta", "\u0995\u09fe\u09bc"),
    ("Telugu virama before nukta", "\u0c15\u0c4d\u0c3c"),
):
    python, ours = unicodedata.normalize("NFC", text), normal.normalize_str(text)
    same = python == ours
    print(f"{name}: unicodedata {python!a}, tokenizers {ours!a}")
    assert python != text, "the text is to be out of order"
    if same != name.endswith("comparison"):
        raise SystemExit("CHANGED")
print("as found")
PYTHON
