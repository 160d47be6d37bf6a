"""The documentation site: generated pages are complete, and the site builds without a warning."""

import ast
import base64
import importlib
import json
import re
import sys
from pathlib import Path

import pytest

from tfrec.dev.markdown import docstring, notebook_page, with_mathml
from tfrec.dev.pages import ROOMS, api_page, cli_page, configuration_page
from tfrec.dev.site import ROOT, build, outside_assets

COMMON = [
    "data.timestamp_unit",
    "encoder.name",
    "encoder.trainable",
    "model.kind",
    "training.epochs",
    "training.batch_size",
    "training.learning_rate",
    "training.time_budget",
    "retrieval.exclude_seen",
    "export.max_k",
]


def options():
    """section.key of every field, read from the source alone."""
    classes = {
        node.name: {
            part.target.id: ast.unparse(part.annotation) for part in node.body if isinstance(part, ast.AnnAssign)
        }
        for path in (ROOT / "tfrec" / "config").glob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    }

    def within(section, name):
        for key, kind in classes[name].items():
            yield from within(f"{section}.{key}", kind) if kind in classes else [f"{section}.{key}"]

    return [option for section, kind in classes["RunConfig"].items() for option in within(section, kind)]


def test_every_option_is_on_the_configuration_page_once_the_ten_that_people_use_first():
    page = configuration_page()
    listed = re.findall(r"^\| `([\w.]+)` \|", page, re.MULTILINE)
    assert listed == COMMON + [option for option in options() if option not in COMMON] and len(listed) > 150
    assert f"The other {len(listed) - 10} options follow" in page
    assert page.index("`training.epochs`") < page.index("\n## data\n") < page.index("`data.columns`")
    assert re.search(r"^\| `data.timestamp_unit` \| auto, order, s, ms, us, ns \| `auto` \| ", page, re.MULTILINE)
    assert re.search(r"^\| `training.epochs` \| int \| `18` \| .* \(≥ 1\) \|$", page, re.MULTILINE)
    assert "| `training.time_budget` | float \\| None | `null` |" in page


def test_every_command_is_on_the_page_of_the_command_line():
    page = cli_page()
    files = {path.stem for path in (ROOT / "tfrec" / "cli").glob("*.py")} - {
        "__init__",
        "main",
        "shared_options",
        "load_tensorflow",
        "report_option",
        "encoder_compression",  # two commands of `tfrec encoder`
    }
    headings = set(re.findall(r"^## tfrec (\w+)", page, re.MULTILINE))
    assert files <= headings
    assert {"## tfrec encoder import", "## tfrec encoder compress"} <= set(page.splitlines())
    assert re.search(r"--data\b.*Prepared data: a folder that", page)


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_is_on_its_page(room):
    page = api_page(room)
    names = importlib.import_module(f"tfrec.{room}").__all__
    assert sorted(re.findall(r"^## (\w+)$", page, re.MULTILINE)) == sorted(names)


def test_a_docstring_becomes_lists_and_code():
    def half(x):
        """Halves.

        Args:
            x: A number,
                not 0.

        Example:
            >>> half(2)
            1
        """

    page = docstring(half)
    assert page.startswith("Halves.\n\n**Args**\n\n- `x`: A number, not 0.\n")
    assert page.count("```pycon\n>>> half(2)\n1\n```") == 1


def test_formulas_become_mathml_and_code_stays():
    page = with_mathml("It costs $5 and $6.\n\n$$ p = \\text{softmax}(h) $$\n\n```\n$a$ $b$\n```\n")
    assert page.count("<math") == 1 and 'display="block"' in page
    assert "It costs $5 and $6." in page and "```\n$a$ $b$\n```" in page


def test_a_notebook_becomes_a_page_with_its_pictures(tmp_path):
    pixel = base64.b64encode(b"not really a picture").decode()
    cells = [
        {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "See [this](02_other.ipynb)."},
        {
            "cell_type": "code", "id": "b", "metadata": {}, "source": "draw()", "execution_count": 1,
            "outputs": [
                {"output_type": "stream", "name": "stdout", "text": "1 2\n"},
                {"output_type": "display_data", "metadata": {}, "data": {"image/png": pixel, "text/plain": "<Figure>"}},
            ],
        },
    ]  # fmt: skip
    (tmp_path / "01_x.ipynb").write_text(
        json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    page, pictures = notebook_page(tmp_path / "01_x.ipynb", "01_x")
    assert page == (
        "See [this](02_other.md).\n\n```python\ndraw()\n```\n\n```text\n1 2\n```\n\n"
        "![Output of the cell above](01_x/1-1.png)\n"
    )
    assert pictures == {"1-1.png": b"not really a picture"}


def test_what_a_page_loads_from_the_web_is_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<a href="https://x.org">fine</a><script src="a.js"></script><img src="//cdn.org/b.png">'
        '<link rel="stylesheet" href="https://fonts.org/c.css"><link rel="canonical" href="https://x.org">'
    )
    assert [address for _, address in outside_assets(tmp_path)] == ["//cdn.org/b.png", "https://fonts.org/c.css"]


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


QUICKSTART_ROW = re.compile(r"^[|│] [^|│]+ +[|│] +(0\.\d{4}) [|│] +(0\.\d{4}) [|│]", re.MULTILINE)


def test_pages_show_the_same_figures_of_the_quick_start():
    shown = QUICKSTART_ROW.findall(text_of("docs/quickstart.md"))
    assert shown == QUICKSTART_ROW.findall(text_of("docs/benchmarks.md")) != []
    picture = re.findall(r"\d\.\d{3}(?=</text>)", text_of("docs/result.svg"))
    ordered = sorted((float(ndcg) for ndcg, _ in shown), reverse=True)
    assert [float(ndcg) for ndcg in picture] == pytest.approx(ordered, abs=0.00055)  # each rounds more digits


def test_both_readmes_compare_by_the_same_figures():
    figures = re.compile(r"(?<![\d.])\d*\.\d+")
    english = text_of("README.md").split("## How good, how fast")[1].split("\n## ")[0]
    chinese = text_of("README.zh.md").split("## 效果与速度")[1].split("\n## ")[0]
    assert figures.findall(english) == figures.findall(chinese) != []


def test_the_readme_can_be_read_in_a_few_minutes():
    assert len(text_of("README.md").split()) <= 900


def commands_of(page):
    """Every `tfrec …` of a page, in blocks and in lines, with what continues it."""
    text = re.sub(r"\\\n\s*", " ", page.read_text(encoding="utf-8"))
    fenced = "\n".join(re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    yield from re.findall(r"^(?:.*?&& )?(?:\S*/)?tfrec ([a-z].*)$", fenced, re.MULTILINE)
    yield from re.findall(r"`tfrec ([a-z][^`]*)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


PAGES = sorted(
    [ROOT / "README.md", ROOT / "README.zh.md", ROOT / "saved_models" / "README.md", *ROOT.glob("docs/*.md")]
)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_on_a_page_exists(page):
    import typer

    from tfrec.cli.main import app

    for line in commands_of(page):
        words, command = line.replace(",", " ").split(), typer.main.get_command(app)
        while hasattr(command, "commands") and words:
            name = words.pop(0)
            if "|" in name or name == "…":  # a list of commands
                assert set(name.split("|")) <= set(command.commands), line
                break
            assert name in command.commands, f"tfrec {line}"
            command = command.commands[name]
        known = {option for parameter in command.params for option in parameter.opts}
        if not hasattr(command, "commands"):
            assert {word.split("=")[0] for word in words if word.startswith("--")} <= known | {"--help"}, (
                f"tfrec {line}"
            )


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path, capfd):
    assert build(tmp_path / "site") == 0, capfd.readouterr()
    front = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "assets/frame-worker.js" in front
    for name in ("zh.html", "reference/configuration.html", "tutorials/01_first_recommender.html"):
        assert (tmp_path / "site" / name).is_file()
    machine = [str(Path(sys.prefix)), str(ROOT)]
    pages = [page.read_text(encoding="utf-8") for page in (tmp_path / "site").rglob("*.html")]
    assert not [word for word in machine for page in pages if word in page]
