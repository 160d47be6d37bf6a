"""`audit`: tries to prove that a run tells more about people than its ledger says."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tfrec.data.dataset import PreparedDataset, load_dataset
from tfrec.data.histories import Histories
from tfrec.errors import InvalidInput
from tfrec.files import check_output_file, write_json
from tfrec.models.family import FitContext
from tfrec.models.next_item.scorer import NextItemScorer
from tfrec.models.registry import family_of
from tfrec.privacy.accountant import epsilon_of
from tfrec.privacy.budget import GRADIENTS, NEIGHBOURS
from tfrec.privacy.clipping_audit import audit_clipping
from tfrec.privacy.ledger import Ledger
from tfrec.privacy.lower_bound import epsilon_lower_bound, guesses_of, membership_auc
from tfrec.privacy.noise_source import NoiseSource
from tfrec.progress import say
from tfrec.runs.run import Run, load_run
from tfrec.workflows.canaries import LENGTH, DatasetWithCanaries, random_canaries
from tfrec.workflows.memorised import memorised_sequences

LIST = 10
"""Length of the lists that the attack on lists sees."""


def audit(
    run: Run | str | Path,
    data: PreparedDataset | str | Path,
    out: str | Path,
    *,
    canaries: int = 500,
    seed: int = 0,
    force: bool = False,
) -> dict[str, Any]:
    """Trains once more as the run was trained, with canaries in the log, and guesses which of them were there.

    For a private run it also computes ε again from the mechanisms of the ledger, and audits the code that clips and
    adds noise. A run without a ledger has no ε that could be exceeded; its membership figures are what to compare with.

    Args:
        run: A next-item run with a frozen encoder, or its folder.
        data: The data that it was trained on, or its folder.
        out: JSON file to write.
        canaries: Canaries, of which each is in the training with probability 1/2. More of them prove more, and change
            the training more.
        seed: Seed of the canaries.
        force: Whether to replace `out`.

    Returns:
        passed, whether nothing was proven against the ledger; membership, the AUC with its interval by scores and by
        lists of 10; memorised, the result of `memorised_sequences` for the run itself; and for a private run epsilon
        (of the ledger), recomputed, clipping and training, each with ε and the lower bound.

    Raises:
        InvalidInput: The run is of another family or data, or `out` exists.
        Unavailable: The run is private, and the extra `privacy` is not installed.
    """
    check_output_file(out, force)
    run, dataset = load_run(run), load_dataset(data)
    run.refuse_other_catalogue(dataset)
    if run.kind != "next-item" or run.config.encoder.trainable or canaries < 8:
        raise InvalidInput("audit needs a next-item run with a frozen encoder, and at least 8 canaries.")
    rng, dataset = np.random.default_rng(seed), family_of(run.kind).read_by(run.config, dataset)
    planted, included = random_canaries(dataset, canaries, rng), rng.random(canaries) < 0.5
    say(f"Training with {included.sum()} of {canaries} canaries")
    model, ledger = _trained_with(DatasetWithCanaries(dataset, planted, included), run)
    scores, hits = _knowledge_of(model, planted)
    report: dict[str, Any] = {
        "passed": True,
        "membership": {
            "scores": membership_auc(scores[included], scores[~included]),
            "lists": membership_auc(hits[included], hits[~included]),
        },
        "memorised": memorised_sequences(run.scorer(dataset), dataset, run.untuned_text_vectors, rng),
    }
    if run.ledger is not None and ledger is not None:
        report |= _against(run, run.ledger, ledger, (scores, included))
    write_json(Path(out), report)
    return report


def _against(run: Run, stated: Ledger, trained: Ledger, guessed: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    """What is proven against the ledger of a private run."""
    scores, included = guessed
    epsilon = trained.epsilons()["add-or-remove-one"]
    correct, guesses = guesses_of(scores, included)
    bound = epsilon_lower_bound(correct, guesses, len(scores), trained.delta)
    sealed, again = run.manifest["privacy"]["epsilon"], stated.epsilons()
    parts = {
        "recomputed": {**again, "passed": all(abs(again[name] - sealed[name]) < 0.01 * sealed[name] for name in again)},
        "clipping": audit_clipping(stated.delta, source=NoiseSource(secrets.token_bytes(32))),
        "training": {
            "epsilon": epsilon,
            "lower_bound": bound,
            "canaries": len(scores),
            "guesses": guesses,
            "correct": correct,
            "passed": bound <= epsilon,
        },
    }
    return {"passed": all(part["passed"] for part in parts.values()), "epsilon": sealed, **parts}


def _trained_with(dataset: PreparedDataset, run: Run) -> tuple[Any, Ledger | None]:
    """The model of a training like that of the run, and its ledger."""
    config = run.config.with_values({"training.start_from": None, "training.teachers": []})
    if run.ledger is not None:
        config = config.with_values({"privacy": _as_noisy_as(run.ledger)})
    family = family_of(run.kind)
    with tempfile.TemporaryDirectory(prefix="tfrec-audit-") as folder:
        context = FitContext(encoder=None, text_vectors=run.text_vectors)
        result = family.fit(dataset, config, Path(folder), context)
    return result.model, result.ledger


def _as_noisy_as(ledger: Ledger) -> dict[str, Any]:
    """Options of a training with the noise of a ledger, which keeps the trained weights."""
    mechanisms = {mechanism.name: mechanism for mechanism in ledger.mechanisms}
    alone = {name: epsilon_of([mechanism], ledger.delta) for name, mechanism in mechanisms.items()}
    if GRADIENTS not in alone:
        return {"epsilon": alone[NEIGHBOURS], "noise": None, "counts": 0.0, "selection": 0.0, "neighbours": 1.0}
    neighbours = alone.get(NEIGHBOURS, 0.0) / alone[GRADIENTS]  # a share of what the gradients alone come to
    noise = mechanisms[GRADIENTS].multiplier
    return {"epsilon": None, "noise": noise, "counts": 0.0, "selection": 0.0, "neighbours": min(neighbours, 0.99)}


def _knowledge_of(model: Any, canaries: Histories) -> tuple[np.ndarray, np.ndarray]:
    """What a model shows of each canary: the mean log-probability of its next items, and their share in lists of 10.

    Returns:
        float64 `[canaries]` each.
    """
    count, scorer = len(canaries), NextItemScorer(model)
    probability, hits = np.zeros(count), np.zeros(count)
    rows = np.arange(count)
    for length in range(1, LENGTH):
        scores = scorer.scores(canaries.prefixes(rows, np.full(count, length)), rows).astype(np.float64)
        targets = canaries.items[canaries.offsets[:-1] + length]
        own = scores[rows, targets]
        top = scores.max(axis=1)
        probability += own - top - np.log(np.exp(scores - top[:, None]).sum(axis=1))
        hits += (scores >= own[:, None]).sum(axis=1) <= LIST
    return probability / (LENGTH - 1), hits / (LENGTH - 1)
