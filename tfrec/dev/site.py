"""Builds the documentation site from docs/, docstrings, RunConfig and the notebooks: `python -m tfrec.dev docs`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from tfrec.dev.markdown import with_mathml
from tfrec.dev.pages import generated_pages

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
_WEB_WORKER = "https://unpkg.com/iframe-worker/shim"
_COPIED = {
    "README.md": "index.md",
    "README.zh.md": "zh.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "saved_models/README.md": "exports.md",
}
"""Files of the repository that are pages of the site, so that front page and README cannot disagree."""
_MOVED = {**_COPIED, "notebooks": "tutorials/01_first_recommender.md"}


def build(out: Path | None = None) -> int:
    """Writes the pages to build/docs and the site to `out`, and prints what is wrong.

    Every warning of MkDocs is an error (broken links and anchors are among them), and so is a page that loads a script,
    a style or a picture from the web.

    Args:
        out: Folder of the site; by default build/site.

    Returns:
        0 on success, 1 if anything was wrong.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    source, out = BUILD / "docs", out or BUILD / "site"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(ROOT / "docs", source)
    for name, page in _COPIED.items():
        (source / page).write_text(site_links((ROOT / name).read_text(encoding="utf-8")), encoding="utf-8")
    for page, content in generated_pages(ROOT):
        target = source / page
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            target.write_bytes(content)
        else:
            target.write_text(content, encoding="utf-8")
    for file in source.rglob("*.md"):
        file.write_text(with_mathml(file.read_text(encoding="utf-8")), encoding="utf-8")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--clean", "--site-dir", str(out)]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    finished = subprocess.run([*command, "--config-file", str(ROOT / "mkdocs.yml")], cwd=ROOT, env=quiet)
    _use_local_frame_worker(out)
    wrong = [f"{page.relative_to(out)} loads {address}" for page, address in outside_assets(out)]
    print(*wrong, sep="\n")
    if finished.returncode == 0 and not wrong:
        print(f"Wrote {len(list(out.rglob('*.html')))} pages to {out}")
    return 1 if finished.returncode or wrong else 0


def site_links(text: str) -> str:
    """The text of a file of the repository with its links as they are on the site.

    Example:
        >>> site_links("[a](docs/faq.md#x) [b](README.zh.md) [c](https://x.org) [d](notebooks)")
        '[a](faq.md#x) [b](zh.md) [c](https://x.org) [d](tutorials/01_first_recommender.md)'
    """

    def moved(match: re.Match[str]) -> str:
        target, sign, anchor = match[1].partition("#")
        return f"]({_MOVED.get(target, target.removeprefix('docs/'))}{sign}{anchor})"

    return re.sub(r"\]\(([^()\s]+)\)", moved, text)


def _use_local_frame_worker(out: Path) -> None:
    """Uses our frame-worker.js in place of the script that the theme loads from the web for pages opened as files."""
    for page in out.rglob("*.html"):
        up = "../" * (len(page.relative_to(out).parts) - 1)
        html = page.read_text(encoding="utf-8")
        page.write_text(html.replace(_WEB_WORKER, f"{up}assets/frame-worker.js"), encoding="utf-8")


def outside_assets(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yields every page below `folder` that loads a script, style or picture from the web, with its address."""
    for page in sorted(folder.rglob("*.html")):
        reader = _Assets()
        reader.feed(page.read_text(encoding="utf-8"))
        yield from ((page, address) for address in reader.addresses)


class _Assets(HTMLParser):
    """Collects the web addresses that a browser loads with a page; links to click do not count."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        loads = attributes.get("src") if tag in ("script", "img", "iframe", "source") else None
        if tag == "link" and attributes.get("rel") not in ("canonical", "next", "prev"):
            loads = attributes.get("href")
        if loads and re.match(r"(https?:)?//", loads):
            self.addresses.append(loads)
