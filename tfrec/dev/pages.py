"""Generates documentation pages from the code: configuration, command line, API, tutorials."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from tfrec.dev.markdown import docstring, notebook_page

ROOMS = (
    "data",
    "encoders",
    "privacy",
    "retrieval",
    "evaluation",
    "pretraining",
    "models",
    "runs",
    "explanation",
    "serving",
    "experiments",
)


def generated_pages(root: Path) -> Iterator[tuple[str, str | bytes]]:
    """Yields the path (below the site's source) and the content of every generated page and picture."""
    yield "reference/configuration.md", configuration_page()
    yield "reference/cli.md", cli_page()
    for room in ROOMS:
        yield f"reference/api/{room}.md", api_page(room)
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        page, pictures = notebook_page(path, path.stem)
        yield f"tutorials/{path.stem}.md", page
        for name, content in pictures.items():
            yield f"tutorials/{path.stem}/{name}", content


def configuration_page() -> str:
    """All options of RunConfig: the common ones first, then the others by section."""
    from tfrec.config import RunConfig
    from tfrec.config.base import COMMON

    sections: dict[str, Any] = {name: field.annotation for name, field in RunConfig.model_fields.items()}
    options = [(name, option) for section, model in sections.items() for name, option in _options(section, model)]
    common = [(name, option) for name, option in options if COMMON in option.metadata]
    parts = [
        "# Configuration",
        (
            "Every option of a run. Set one with `--set section.key=value`, several in a YAML file with `--config`, or "
            'in Python with `RunConfig().with_values({"section.key": value})`. Unknown keys are refused. A run keeps '
            "its complete configuration in `config.yaml`. This page is generated from `tfrec/config/`."
        ),
        f"## The {len(common)} most used",
        _table(common),
        f"The other {len(options) - len(common)} options follow by section. Most runs need none of them.",
    ]
    for section, model in sections.items():
        rest = [place for place in options if place[0].split(".")[0] == section and place not in common]
        parts += [f"## {section}", inspect.getdoc(model) or "", _table(rest)]
    return "\n\n".join(parts) + "\n"


def _options(section: str, model: Any) -> Iterator[tuple[str, Any]]:
    """Yields all options of a section and its nested sections, with their names as section.key."""
    for name, option in model.model_fields.items():
        if hasattr(option.annotation, "model_fields"):
            yield from _options(f"{section}.{name}", option.annotation)
        else:
            yield f"{section}.{name}", option


def _table(options: Iterable[tuple[str, Any]]) -> str:
    rows = ["| option | type | default | description |", "|---|---|---|---|"]
    for name, option in options:
        choices = get_args(option.annotation) if get_origin(option.annotation) is Literal else ()
        kind = _cell(", ".join(map(str, choices)) or inspect.formatannotation(option.annotation))
        default = option.get_default(call_default_factory=True)
        bounds = ", ".join(filter(None, map(_bound, option.metadata)))
        what = " ".join(filter(None, [option.description, f"({bounds})" if bounds else ""]))
        rows.append(f"| `{name}` | {kind} | `{_yaml(default)}` | {_cell(what)} |")
    return "\n".join(rows)


def _bound(limit: Any) -> str:
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    return ", ".join(f"{sign} {getattr(limit, name)}" for name, sign in signs.items() if hasattr(limit, name))


def _yaml(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def cli_page() -> str:
    """The output of `--help` of every command."""
    import typer
    from typer.testing import CliRunner

    from tfrec.cli.main import app

    parts = [
        "# Command line",
        (
            "Exit codes: 0 for success, 2 for bad input (one message, no traceback), 1 for an internal failure "
            "(`TFREC_DEBUG=1` prints the traceback). A command that writes a folder writes it completely or not at "
            "all, and does not overwrite without `--force`. This page shows what the commands print with `--help`."
        ),
    ]
    runner = CliRunner(env={"COLUMNS": "100", "TERMINAL_WIDTH": "100"})
    for names in _commands([], typer.main.get_command(app)):
        shown = runner.invoke(app, [*names, "--help"], prog_name="tfrec", terminal_width=100)
        if shown.exit_code:
            raise RuntimeError(f"tfrec {' '.join(names)} --help failed: {shown.output}")
        parts += [f"## tfrec {' '.join(names)}", f"```text\n{shown.output.strip()}\n```"]
    return "\n\n".join(parts) + "\n"


def _commands(names: list[str], command: Any) -> Iterator[list[str]]:
    if not hasattr(command, "commands"):
        yield names
        return
    for child, below in command.commands.items():
        yield from _commands([*names, child], below)


def api_page(room: str) -> str:
    """Every public name of a subpackage, with its signature and docstring."""
    module = importlib.import_module(f"tfrec.{room}")
    parts = [f"# tfrec.{room}", inspect.getdoc(module) or ""]
    for name in sorted(module.__all__, key=str.lower):
        thing = getattr(module, name)
        parts += [f"## {name}", *([] if not callable(thing) else [_signature(name, thing)]), docstring(thing)]
        if inspect.isclass(thing):
            parts += _members(thing)
    return "\n\n".join(part for part in parts if part) + "\n"


def _members(kind: type) -> Iterator[str]:
    for name, member in vars(kind).items():
        if name.startswith("_") or not inspect.getdoc(member):
            continue
        if isinstance(member, classmethod | staticmethod):
            member = member.__func__
        if inspect.isfunction(member) and member.__doc__:
            yield f"### {kind.__name__}.{name}"
            yield _signature(name, member)
            yield docstring(member)
        elif isinstance(member, property):
            yield f"`{kind.__name__}.{name}`: {docstring(member)}"


def _signature(name: str, thing: Any) -> str:
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return ""
    values = [p for p in signature.parameters.values() if p.name not in ("self", "cls")]
    short = f"{name}{signature.replace(parameters=values)}".replace("'", "")
    if len(short) > 100:
        lines, seen_star = [], False
        for p in values:
            if p.kind is p.KEYWORD_ONLY and not seen_star:
                lines.append("    *,")
            seen_star = seen_star or p.kind in (p.KEYWORD_ONLY, p.VAR_POSITIONAL)
            lines.append(f"    {p!s},".replace("'", ""))
        back = "" if signature.return_annotation is signature.empty else f" -> {signature.return_annotation}"
        short = "\n".join([f"{name}(", *lines, f"){back}".replace("'", "")])
    return f"```python\n{short}\n```"
