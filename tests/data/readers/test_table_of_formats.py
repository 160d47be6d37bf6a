from pathlib import Path

from tfrec.data.readers import READERS


def test_the_page_of_formats_has_every_reader():
    page = (Path(__file__).parents[3] / "docs" / "formats.md").read_text(encoding="utf-8")
    for reader in READERS.values():
        assert f"| `{reader.name}` | {reader.about.replace('|', chr(92) + '|')} |" in page
