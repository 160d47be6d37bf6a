"""What is public: names that editors see, classes that signatures name, parameters that docstrings explain."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

import tfrec
from tfrec.dev.pages import ROOMS

ROOT = Path(__file__).resolve().parents[1]
FRONT = ast.parse((ROOT / "tfrec" / "__init__.py").read_text(encoding="utf-8"))
CLASSES = {
    node.name
    for path in (ROOT / "tfrec").rglob("*.py")
    for node in ast.parse(path.read_text(encoding="utf-8")).body
    if isinstance(node, ast.ClassDef)
}


def seen_by_editors():
    """Name to module, of the imports that only type checkers make."""
    (block,) = [node for node in FRONT.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    return {alias.asname: node.module for node in block.body for alias in node.names}


def public(room):
    """Label and thing of every public function, class and public method of a room."""
    module = importlib.import_module(f"tfrec.{room}")
    for name in module.__all__:
        thing = getattr(module, name)
        yield f"{room}.{name}", thing
        if inspect.isclass(thing):
            for key, member in vars(thing).items():
                member = getattr(member, "__func__", member)  # of class methods
                if not key.startswith("_") and inspect.isfunction(member):
                    yield f"{room}.{name}.{key}", member


def parameters(thing):
    """Names of what a function or a constructor takes; of a constructor that is inherited, nothing."""
    if inspect.isclass(thing):
        made_by = next((vars(thing)[name] for name in ("__init__", "__new__") if name in vars(thing)), None)
        thing = made_by if inspect.isfunction(made_by) else None
    if thing is None:
        return {}
    found = inspect.signature(thing).parameters
    return {name: value for name, value in found.items() if name not in ("self", "cls", "_cls")}


def test_editors_see_the_names_that_there_are():
    seen = seen_by_editors()
    assert sorted(seen) == sorted(tfrec._PUBLIC) == sorted(set(tfrec.__all__) - {"__version__"})
    assert sorted(seen) + ["__version__"] == sorted(dir(tfrec), key=lambda name: (name == "__version__", name))
    for name, module in seen.items():
        assert getattr(importlib.import_module(module), name) is getattr(tfrec, name), name


def test_every_class_that_a_public_function_takes_or_returns_is_at_the_top_level():
    from tfrec.keras import keras

    asked = {label: thing for room in ROOMS for label, thing in public(room) if inspect.isfunction(thing)}
    asked = {label: thing for label, thing in asked.items() if label.count(".") == 1}  # methods come with their class
    for name in tfrec.__all__:
        thing = getattr(tfrec, name)
        if not inspect.isclass(thing):
            continue
        if "__init__" in vars(thing):
            asked[name] = thing.__init__
        if not issubclass(thing, keras.layers.Layer):  # what a model is built of is its own business
            members = {key: getattr(value, "__func__", value) for key, value in vars(thing).items() if key[0] != "_"}
            asked |= {f"{name}.{key}": value for key, value in members.items() if inspect.isfunction(value)}
    missing = {}
    for label, function in asked.items():
        signature = inspect.signature(function)
        for note in [*(p.annotation for p in signature.parameters.values()), signature.return_annotation]:
            text = note if isinstance(note, str) else inspect.formatannotation(note)
            for name in set(re.findall(r"[A-Z]\w*", text)) & CLASSES - set(tfrec.__all__):
                missing.setdefault(name, []).append(label)
    assert len(asked) > 100 and missing == {}


def explained(thing):
    """Names in the sections of a docstring that say what is taken: one a line, or several of one kind with commas.

    What a class inherits is explained where it comes from.
    """
    if inspect.isclass(thing):
        return set().union(*(explained_here(kind) for kind in thing.__mro__ if kind.__module__.startswith("tfrec")))
    return explained_here(thing)


def explained_here(thing):
    sections = re.split(r"^(?=\S.*:$)", inspect.getdoc(thing) or "", flags=re.MULTILINE)
    taken = [
        part for part in sections if re.match(r"(Args|Call arguments|Attributes|Inputs)\b.*:$", part, re.MULTILINE)
    ]
    lines = re.findall(r"^    ((?:\*{0,2}\w+)(?:, \*{0,2}\w+)*)(?: \([^)]*\))?:", "\n".join(taken), re.MULTILINE)
    return {name.strip(" *") for line in lines for name in line.split(",")}


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_function_of_three_parameters_says_what_each_is(room):
    unexplained = {}
    for label, thing in public(room):
        taken = parameters(thing) if callable(thing) else {}
        known = explained(thing)
        if label.endswith(".call"):  # of a layer, whose class says what it is called with
            known |= explained(getattr(importlib.import_module(f"tfrec.{room}"), label.split(".")[1]))
        if len(taken) >= 3 and (missing := sorted(set(taken) - known)):
            unexplained[label] = missing
    assert unexplained == {}


def test_a_docstring_that_leaves_a_parameter_out_is_noticed():
    def three(a, b, *, c=1):
        """Adds.

        Args:
            a, b: int. Numbers.

        Returns:
            c: is not explained here.
        """

    assert set(parameters(three)) - explained(three) == {"c"}


@pytest.mark.parametrize(
    "command, library",
    [
        ("prepare.prepare", "tfrec.prepare"),
        ("train.train", "tfrec.train"),
        ("evaluate.evaluate", "tfrec.evaluate"),
        ("recommend.recommend", "tfrec.recommend"),
        ("explain.explain", "tfrec.explain"),
        ("audit.audit", "tfrec.workflows.audit.audit"),
        ("export.export", "tfrec.export"),
        ("check.check", "tfrec.check"),
        ("encoder.import_", "tfrec.import_encoder"),
        ("encoder.pretrain", "tfrec.pretraining.pretrain_encoder"),
        ("encoder.adapt", "tfrec.pretraining.adapt_encoder"),
        ("explore.explore", "tfrec.workflows.explore.open_page.explore"),
        ("retrain.retrain", "tfrec.workflows.retrain.retrain"),
        ("quickstart.quickstart", "tfrec.workflows.quickstart.quickstart"),
        ("tune.tune", "tfrec.workflows.tune.tune"),
    ],
)
def test_a_command_has_the_defaults_of_the_call_that_it_is(command, library):
    def defaults(path):
        module, _, name = path.rpartition(".")
        found = inspect.signature(getattr(importlib.import_module(module), name)).parameters
        return {key: p.default for key, p in found.items() if p.default is not p.empty}

    ours, theirs = defaults(f"tfrec.cli.{command}"), defaults(library)
    shared = {name for name in set(ours) & set(theirs) if name != "folder"}
    assert shared and {name: str(ours[name]) for name in shared} == {name: str(theirs[name]) for name in shared}
