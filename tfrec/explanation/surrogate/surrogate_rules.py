"""`surrogate_rules`: what the lists of a run hold, said in rules on what users have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Histories
from tfrec.errors import InvalidInput
from tfrec.explanation.explain_lists import run_on_data
from tfrec.explanation.explainer import Explainer
from tfrec.explanation.surrogate import SURROGATE_FILE
from tfrec.explanation.surrogate.rule_sentences import RULE_LANGUAGES, rule_sentence, rules_summary
from tfrec.explanation.surrogate.rules import Fidelity, Rule, find_rules, holds, measure_rules
from tfrec.explanation.surrogate.traits import Catalogue, Trait, frequent, history_traits, list_traits
from tfrec.files import check_output_file, write_json
from tfrec.progress import track
from tfrec.runs.run import Run

FEWEST = 20
"""Users with a trait, at least, among those from whom rules are made; and at least 2% of them."""
_BATCH = 128


def surrogate_rules(
    run: Run | str | Path,
    data: PreparedDataset | Histories | str | Path,
    *,
    users: int = 2000,
    k: int = 10,
    ranker: Run | str | Path | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Says what the model does in rules, such as "people with “Alien” in their history get “Aliens” in their list".

    Rules are found among one half of a sample of users and measured on the other. What users have: a frequent item or
    many events on a group of items in the history, a group at its end, its length, and how long ago its newest event
    is. What lists hold: an item, or a group of which the first or most of the items are. Groups are the values of the
    catalogue's columns. A rule is kept if its list agrees for most of the people that it speaks of, and for more than
    of all people: by an interval of 95% for all rules together. Rules describe lists; they are no reasons for them
    (`explain` gives these). Nothing is said of fewer than `privacy.k` people.

    Args:
        run: A run that ranks the catalogue, or its folder.
        data: The prepared data that the run was trained on, or its folder; or histories in the run's indices.
        users: int. Users to draw, of those with a history; all if there are no more.
        k: int. Length of the lists.
        ranker: A click-ranker run on the same catalogue, or its folder, which re-ranks the lists of `run`. Needs
            prepared data.
        seed: int. Of the sample and its halves.
        out: JSON file to write. None for `surrogate.json` in the run's folder; "" for none.
        force: Whether an existing file `out` may be replaced; that in the run's folder always is.

    Returns:
        {"users": {"made", "measured"}, "k", "tried": number of rules that were measured, "covered": share of the
        measured users of whom a rule speaks, "sentence_en", "sentence_zh", "rules": [{"conditions", "outcome", "users":
        those of whom it speaks, "agree": {"mean", "low", "high"}: the share of them whose list agrees, "everyone": the
        share of all, "lift": {"mean", "low", "high"}: the difference, "sentence_en", "sentence_zh"}]}. "rules" is empty
        where none holds, and the sentences say so.

    Raises:
        AlreadyExists: `out` exists and `force` is false.
        InvalidInput: The run does not rank the catalogue, a number is too small, or fewer than two users have a
            history.

    Example:
        tfrec.explanation.surrogate_rules("runs/quickstart", "runs/quickstart-data")["rules"]
    """
    if out:
        check_output_file(out, force)
    for name, value, least in (("users", users, 2), ("k", k, 1)):
        if not isinstance(value, Integral) or value < least:
            raise InvalidInput(f"Expected {name} of at least {least}, received {value!r}.")
    explained = run_on_data(run, data, ranker)
    histories = explained.histories
    rows = np.flatnonzero(histories.lengths > 0)
    if len(rows) < 2:
        raise InvalidInput(
            f"Rules are made from some users and measured on others; {len(rows)} users have a history. Pass data with "
            "more."
        )
    rows = np.random.default_rng(seed).permutation(rows)[: int(users)]
    explainer = Explainer(explained.run, removals=0, two_stage=explained.two_stage)
    lists = [
        explainer.lists(histories, rows[start : start + _BATCH], int(k), explained.exclude_seen).items
        for start in track(range(0, len(rows), _BATCH), "Making lists")
    ]
    catalogue = Catalogue.of(explained.run.items, explainer.titles)
    chosen = histories.prefixes(rows, histories.lengths[rows])
    found = {"k": int(k), **_rules(chosen, np.concatenate(lists), catalogue, explained.run.config.privacy.k)}
    if out != "":
        write_json(Path(out) if out is not None else explained.run.path / SURROGATE_FILE, found)
    return found


def _rules(histories: Histories, lists: np.ndarray, catalogue: Catalogue, fewest: int) -> dict[str, Any]:
    """Rules made from the first half of the users and measured on the others, as `surrogate_rules` returns them."""
    half = len(histories) // 2
    known = np.arange(len(histories)) < half
    support = max(FEWEST, half // 50, fewest)
    conditions, has = frequent(history_traits(histories, catalogue, known), known, support)
    outcomes, gets = frequent(list_traits(lists, catalogue, known), known, support)
    tried = find_rules(has[known], gets[known], support)
    measures = measure_rules(tried, has[~known], gets[~known])
    kept = [pair for pair in zip(tried, measures) if holds(pair[1]) and pair[1].users >= fewest]
    spoken_of = [has[~known][:, rule.conditions].all(axis=1) for rule, _ in kept]
    measured = len(histories) - half
    covered = float(np.any(spoken_of, axis=0).mean()) if kept else 0.0
    return {
        "users": {"made": half, "measured": measured},
        "tried": len(tried),
        "covered": covered,
        **{f"sentence_{name}": rules_summary(name, len(kept), covered, measured) for name in RULE_LANGUAGES},
        "rules": [_record(rule, fidelity, conditions, outcomes, measured) for rule, fidelity in kept],
    }


def _record(
    rule: Rule, fidelity: Fidelity, conditions: Sequence[Trait], outcomes: Sequence[Trait], everyone: int
) -> dict[str, Any]:
    said, outcome = [conditions[number] for number in rule.conditions], outcomes[rule.outcome]
    agree, base = fidelity.hits / fidelity.users, fidelity.all_hits / everyone
    return {
        "conditions": [asdict(trait) for trait in said],
        "outcome": asdict(outcome),
        "users": fidelity.users,
        "agree": {"mean": agree, "low": fidelity.agree[0], "high": fidelity.agree[1]},
        "everyone": base,
        "lift": {"mean": agree - base, "low": fidelity.lift[0], "high": fidelity.lift[1]},
        **{f"sentence_{name}": rule_sentence(name, said, outcome, fidelity, everyone) for name in RULE_LANGUAGES},
    }
