"""The names that `model.kind` may have, and where each family of models is."""

from __future__ import annotations

MODEL_FAMILIES: dict[str, str] = {
    "next-item": "tfrec.models.next_item.family:NextItemFamily",
    "behaviour-text": "tfrec.models.behaviour_text.family:BehaviourTextFamily",
    "click-ranker": "tfrec.models.click_ranker.family:ClickRankerFamily",
}
"""Name to `module:class`. A new family adds its line here; nothing is imported before it is used, by
`tfrec.models.registry`."""
