"""The model card of a run: what it is, what it was trained on, and what it tells of people, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfrec.config import RunConfig
from tfrec.privacy.ledger import Ledger

MODEL_CARD_FILE = "model_card.md"
"""In the run, and in `assets.extra` of its exports."""

_PLAIN = (
    "The model was trained without noise, so there is no bound on what it tells of a person: it has counts and weights "
    "that depend on single events. `tfrec audit` measures it; docs/privacy.md says what private training does."
)


def model_card(config: RunConfig, manifest: Mapping[str, Any], ledger: Ledger | None, items: int) -> str:
    """The page, in Markdown.

    Args:
        config: The run's configuration.
        manifest: What is known of the run, as in its manifest.
        ledger: Of a private training; None of a plain one.
        items: int. Items in the catalogue.
    """
    versions = ", ".join(f"{name} {value}" for name, value in manifest.get("versions", {}).items() if value)
    facts = {
        "Model": f"{config.model.kind}, for a catalogue of {items:,} items",
        "Made for": "lists of items for people by what they did before; not for decisions about people",
        "Text encoder": f"{manifest.get('encoder')}, {'trained' if config.encoder.trainable else 'frozen'}",
        "Training data": f"fingerprint {str(manifest.get('data'))[:16]}, split {manifest.get('split')}",
        "Event kinds": ", ".join(map(str, manifest.get("event_kinds", []))),
        "Seed": str(config.training.seed),
        "Versions": versions,
    }
    lines = ["# Model card", "", *(f"- {name}: {value}" for name, value in facts.items()), "", "## Privacy", ""]
    return "\n".join([*lines, *([_PLAIN] if ledger is None else _privacy(ledger)), ""])


def _privacy(ledger: Ledger) -> list[str]:
    """What a ledger says, in lines of Markdown."""
    epsilons = [f"- ε = {value:.3g} ({relation})" for relation, value in ledger.epsilons().items()]
    rows = [
        f"| {one.name} | {one.noise} | {one.multiplier:.4g} | {one.sampling:.4g} | {one.times} |"
        for one in ledger.mechanisms
    ]
    kept = ledger.details.get("kept")
    return [
        f"Trained with differential privacy; the unit is a person with all of their events. At δ = {ledger.delta:g}:",
        "",
        *epsilons,
        "",
        "| computed from events | noise | multiplier | sampling | times |",
        "|---|---|---|---|---|",
        *rows,
        "",
        *([f"The run keeps the {kept}.", ""] if kept else []),
        *_listed("Taken to be public", ledger.public),
        *_listed("Switched off", ledger.off),
        *_listed("Not covered by ε", ledger.uncovered),
    ]


def _listed(title: str, lines: Sequence[str]) -> list[str]:
    return [f"{title}:", "", *(f"- {line}" for line in lines), ""] if lines else []
