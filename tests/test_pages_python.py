"""The Python of the README and of the documentation runs as it stands, with a small shop behind the files it names."""

import ast
import doctest
import importlib.util
import inspect
import re
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

import tfrec

ROOT = Path(__file__).resolve().parents[1]
FOREIGN = {"airflow"}  # schedulers of other people, in whose files tfrec is called; these are compiled and not run
FOLDERS = {"data": "data", "run": "run", "ranker": "run", "histories": "data"}
"""Parameter to the part of the shop that stands at the path it is given; `out` is written, and not there before."""

PARTS = {
    **{(verb, name): FOLDERS[name] for verb in ("train", "evaluate", "recommend", "export") for name in FOLDERS},
    ("load_dataset", "path"): "data",
    ("load_run", "path"): "run",
    ("prepare", "events"): "events.csv",
    ("prepare", "items"): "items.csv",
    ("prepare", "users"): "users.csv",
    ("recommend", "users"): "users.csv",
    ("check", "version_folder"): "model/1",
}


def python_of(page):
    """The Python blocks of a page, one after the other; of a session with prompts, what was typed."""
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return "\n".join(doctest.script_from_examples(b) if b.startswith(">>> ") else b for b in blocks)


def with_python(pages):
    """One page for each text: what two pages have alike runs once."""
    distinct = {python_of(page): page for page in reversed(pages) if python_of(page)}
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in reversed(distinct.values())]


PAGES = with_python([ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))])


class Shop:
    """A folder with raw files of 30 users and 12 items; what is made of them is made when a page needs it."""

    def __init__(self, folder):
        self.folder = folder
        rows = [f"u{u},i{(u + step) % 12},{step}" for u in range(30) for step in range(8)]
        (folder / "events.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]))
        (folder / "items.csv").write_text("item_id,title\n" + "\n".join(f"i{i},red shoe {i}" for i in range(12)))
        (folder / "users.csv").write_text("user_id\nu1\nu2\n")

    def part(self, name):
        """The path of a part: a raw file, data, run, or model/1."""
        path = self.folder / name
        if not path.exists() and name == "data":
            tfrec.prepare(self.part("events.csv"), self.part("items.csv"), path)
        elif not path.exists() and name == "run":
            tfrec.train(self.part("data"), path, {"training.epochs": 1, "model": {"dim": 16, "use_text": False}})
        elif not path.exists():
            tfrec.export(self.part("run"), path.parent)
        return path


def calls(tree):
    """Name, and parameter to node, of each call `tfrec.NAME(…)`, and of `Client(…)`."""
    from tfrec.serving import Client

    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        if re.fullmatch(r"tfrec\.\w+|Client", name):
            name = name.removeprefix("tfrec.")
            called = Client if name == "Client" else getattr(tfrec, name)
            named = {keyword.arg: keyword.value for keyword in node.keywords}
            yield name, inspect.signature(called).bind_partial(*node.args, **named).arguments


def put_in_place(name, given, shop, written):
    """Copies the part of the shop that a call reads to where the page says it is, unless the page itself wrote it."""
    for parameter, node in given.items():
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            continue
        place, part = Path(node.value), PARTS.get((name, parameter))
        assert not place.is_absolute(), f"{place}: pages name files below the current folder"
        if parameter == "out":
            written.add(place)
        elif part and not place.exists() and not written & {place, *place.parents}:
            place.parent.mkdir(parents=True, exist_ok=True)
            source = shop.part(part)
            (shutil.copytree if source.is_dir() else shutil.copy)(source, place)


def serve_what_a_client_asks(given, shop, stack):
    """Starts a server with the shop's model under the name that the page gives it, and puts its address in."""
    from tfrec.serving import LocalServer, label_versions

    model = Path("served") / given["model"].value
    shutil.copytree(shop.part("model/1").parent, model, dirs_exist_ok=True)
    if "label" in given:
        label_versions(model, {given["label"].value: 1})
    given["address"].value = stack.enter_context(LocalServer(model)).rest
    if "deadline" in given:
        given["deadline"].value = 60.0  # a busy machine is no fault of the page


@pytest.fixture(scope="module")
def shop(tmp_path_factory, tiny_hf_bert):
    """The shop behind the pages, where the default encoder is a tiny one."""
    from tfrec.encoders import presets

    folder = tmp_path_factory.mktemp("shop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFREC_CACHE", str(folder / "cache"))
        patch.setitem(presets.PRESETS, "minilm-l6", lambda: tiny_hf_bert)
        yield Shop(folder)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_python_of_a_page_runs_as_it_stands(page, shop, tmp_path, monkeypatch):
    tree = ast.parse(python_of(page), page.name)
    imported = {name.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for name in n.names}
    imported |= {n.module.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    code = compile(tree, page.name, "exec")
    if imported & FOREIGN:
        assert "tfrec" not in imported  # else its part could run
        return
    assert [name for name in imported if importlib.util.find_spec(name) is None] == []
    monkeypatch.chdir(tmp_path)
    with ExitStack() as stack:
        written = set()
        for name, given in calls(tree):
            if name == "Client":
                serve_what_a_client_asks(given, shop, stack)
                code = compile(tree, page.name, "exec")
            put_in_place(name, given, shop, written)
        exec(code, {"__name__": "page"})
    assert all(place.exists() for place in written)


def test_pages_that_should_have_python_have_it_and_the_readmes_have_the_same():
    assert "tfrec" in python_of(ROOT / "README.md") and len(PAGES) > 1
    assert python_of(ROOT / "README.zh.md") == python_of(ROOT / "README.md")


def test_a_page_that_calls_what_there_is_not_is_noticed(tmp_path):
    (tmp_path / "page.md").write_text('```python\nimport tfrec\n\ntfrec.recommend("runs/a", "data/a", number=3)\n```\n')
    with pytest.raises(TypeError, match="number"):
        list(calls(ast.parse(python_of(tmp_path / "page.md"))))
