"""The model card: of a private run it has the ledger, of a plain one that there is no bound."""

import pytest

from tests.unfitted_run import small_config, small_data, small_run  # noqa: F401
from tfrec.config import RunConfig
from tfrec.privacy import Ledger, Mechanism
from tfrec.runs import load_run
from tfrec.runs.model_card import MODEL_CARD_FILE, model_card

MANIFEST = {"encoder": "minilm-l6", "data": "ab" * 32, "split": "leave-one-out", "event_kinds": ["view"]}


def test_the_card_of_a_private_run_carries_the_ledger(dp_accounting):
    mechanisms = (Mechanism("gradients", 1.0, 0.01, 1000), Mechanism("item counts", 30.0))
    ledger = Ledger(1e-5, mechanisms, {"kept": "start"}, ("texts",), ("popularity",), ("metrics",))
    card = model_card(RunConfig(), MANIFEST, ledger, 1234)
    epsilons = ledger.epsilons()
    for relation, epsilon in epsilons.items():
        assert f"- ε = {epsilon:.3g} ({relation})" in card
    assert "| gradients | gaussian | 1 | 0.01 | 1000 |" in card and "| item counts | gaussian | 30 | 1 | 1 |" in card
    assert "δ = 1e-05" in card and "keeps the start." in card and "1,234 items" in card
    assert all(line in card for line in ("- texts", "- popularity", "- metrics"))


@pytest.mark.slow
def test_a_run_has_its_card_and_a_plain_one_promises_nothing(small_run):  # noqa: F811
    run = load_run(small_run)
    card = run.stored.file(MODEL_CARD_FILE).read_text()
    assert "no bound on what it tells of a person" in card and "ε =" not in card
    assert run.manifest["data"][:16] in card and "next-item" in card
