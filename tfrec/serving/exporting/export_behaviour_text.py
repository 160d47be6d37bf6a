"""Exports a BehaviourTextModel, with either head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfrec.data.behaviour_text import behaviour_text
from tfrec.serving.exporting.servable import ExportOptions, Servable, catalogue_of, common_facts
from tfrec.serving.modules.behaviour_text import BehaviourTextServing
from tfrec.serving.saved_model.example_requests import example_requests
from tfrec.serving.saved_model.signatures import input_shapes

if TYPE_CHECKING:
    from tfrec.runs import Run


def servable(run: Run, options: ExportOptions) -> Servable:
    """The tf.Module of a behaviour-text run, its entries in `tfrec.json`, and example requests."""
    head, catalogue = run.config.model.head, catalogue_of(run)
    ids = catalogue.item_ids if head == "softmax" else ()
    module = BehaviourTextServing(run.model, head, ids, run.config.export.max_k, allow=catalogue.allow)
    kinds, texts = run.event_kinds or ["view"], [text for text in catalogue.texts if text] or ["text"]
    pairs = [(texts[i], texts[(i + 1) % len(texts)]) for i in range(min(20, len(texts)))]
    behaviours = [behaviour_text([kinds[0], kinds[-1]], pair) for pair in pairs]
    requests = example_requests(input_shapes(module), texts=behaviours)
    facts = {"head": head, "sizes": {"max_k": module.k}, **common_facts(run, module, catalogue)}
    return Servable(module, facts, requests)
