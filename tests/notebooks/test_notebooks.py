"""The notebooks run with small parameters, and the stored notebooks match their scripts."""

import json
import math
import os
import re
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))
FIGURES = re.compile(r"^\{.*\}$")


def figures_of(cells):
    """The JSON line that the last cell prints."""
    text = "".join(output.get("text", "") for output in cells[-1]["outputs"])
    return json.loads([line for line in text.splitlines() if FIGURES.match(line)][-1])


@pytest.fixture
def figures(tmp_path, monkeypatch):
    """`figures(name, **parameters)`: executes a notebook in an empty folder and returns what it found."""
    jupytext = pytest.importorskip("jupytext", reason="extra `notebooks`")
    papermill = pytest.importorskip("papermill", reason="extra `notebooks`")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FOLDER.parent), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("MPLBACKEND", "agg")

    def execute(name, **parameters):
        jupytext.write(jupytext.read(FOLDER / f"{name}.py"), tmp_path / f"{name}.ipynb")
        done = papermill.execute_notebook(
            str(tmp_path / f"{name}.ipynb"),
            None,
            {**parameters, "folder": str(tmp_path / "out")},
            kernel_name="python3",
            progress_bar=False,
            cwd=str(tmp_path),
        )
        return figures_of(done.cells)

    return execute


@pytest.mark.parametrize("name", NAMES)
def test_the_stored_notebook_is_the_script_and_has_its_outputs(name):
    jupytext = pytest.importorskip("jupytext", reason="extra `notebooks`")
    script, stored = (jupytext.read(FOLDER / f"{name}.{end}") for end in ("py", "ipynb"))
    assert [cell.source for cell in script.cells] == [cell.source for cell in stored.cells]
    assert [cell.cell_type for cell in script.cells] == [cell.cell_type for cell in stored.cells]
    code = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    kinds = [output.output_type for cell in code for output in cell.outputs]
    assert "error" not in kinds and "display_data" in kinds  # it ran through, and has pictures
    assert figures_of(code)
    assert "/tmp/" not in json.dumps(stored) and sys.prefix not in json.dumps(stored)
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 1_000_000


@pytest.mark.slow
def test_storing_executes_and_keeps_the_outputs(tmp_path, monkeypatch, capsys):
    from tfrec.dev import notebooks

    cells = ["import sys, os", "print(len(os.listdir()))\nprint('noise', file=sys.stderr)", "6 * 7"]
    (tmp_path / "01_small.py").write_text("# %%\n" + "\n\n# %%\n".join(cells) + "\n")
    (tmp_path / "02_other.py").write_text("# %%\nraise RuntimeError\n")
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path)
    assert notebooks.store(["01"]) == 0
    assert "01_small: " in capsys.readouterr().out
    stored = json.loads((tmp_path / "01_small.ipynb").read_text())
    shown = [
        "".join(o.get("text", o.get("data", {}).get("text/plain", ""))) for c in stored["cells"] for o in c["outputs"]
    ]
    assert shown == ["0\n", "42"]  # executed in an empty folder; standard error is not kept
    assert not (tmp_path / "02_other.ipynb").exists()


@pytest.mark.slow
@pytest.mark.nightly
def test_a_first_recommender(figures):
    found = figures("01_first_recommender", examples=1000, joint_examples=64, epochs=6, tokens=24)
    assert 0.55 < found["auc"] < 0.9
    assert found["frozen"] > 0.5 * found["popular"] > 0  # little is learnt from so few, but nothing is broken
    assert abs(found["joint"] - found["frozen"]) < 0.02  # two small steps move little
    assert found["same"]


@pytest.mark.slow
@pytest.mark.nightly
def test_e_commerce(figures):
    found = figures("02_ecommerce", households=60, weeks=12, epochs=2, ranker_epochs=2, shoppers=100, bootstrap=0)
    assert found["ndcg"] > 1.3 * found["popularity"] > 0
    assert 0.2 < found["repeats"] < 0.9  # groceries
    assert 0 <= found["overlap"] < 8
    assert set(found["heads"]) == {"purchase", "coupon_purchase"}
    auc, error = found["heads"]["purchase"]
    assert 0.6 < auc < 1 and error < 0.1  # better than chance, and not far from calibrated
    gain, low, high = found["two_stages"]
    assert low <= gain <= high and abs(gain) < 0.1
    assert min(found["funnel"].values()) > 0.5
    for view, favourite, purchase in found["by_device"].values():
        assert view >= favourite >= purchase > 0  # who buys has looked
    assert found["by_device"]["phone"][2] < found["by_device"]["desktop"][2]  # as the shop was made


@pytest.mark.slow
@pytest.mark.nightly
def test_media(figures):
    found = figures("03_media", epochs=1, bootstrap=20)
    assert found["hybrid"] > found["popularity"] > 0
    assert found["text"] > 0 and found["id"] > 0
    assert found["distance"] == sorted(found["distance"])  # more diversity asked for, more distance
    assert found["fall"] > 0
    assert math.isclose(found["attention"], 1, rel_tol=1e-4)


@pytest.mark.slow
@pytest.mark.nightly
def test_social(figures):
    found = figures("04_social", people=200, posts=250, days=15, epochs=2, explore_days=15)
    assert found["boost"][1] > found["boost"][0] > 0  # freshness is worth something
    assert found["gini"] == sorted(found["gini"], reverse=True)  # a cap spreads the looks
    assert min(found["last_days"].values()) > 0


@pytest.mark.slow
@pytest.mark.nightly
def test_pretrain_and_adapt(figures):
    found = figures(
        "05_pretrain_and_adapt", steps=15, adapt_steps=1, epochs=1, compared=["bert, from nothing", "gpt, from nothing"]
    )
    for name in ("bert, from nothing", "gpt, from nothing"):
        before, after = found["perplexity"][name]
        assert after < 0.8 * before
    assert all(0 < value < 0.3 for value in found["ndcg"].values())


@pytest.mark.slow
@pytest.mark.nightly
def test_serve_and_experiment(figures):
    found = figures("06_serve_and_experiment", epochs=1, calls=5, people=1000, days=6)
    assert found["examples"] > 0 and found["answered"] == 5 and found["fallback"]
    assert found["promised"][1] > found["today"]  # B is worth a test
    assert found["ctr"][0] > 0 and found["sample_ratio_ok"]
    assert found["verdict"] in ("ship", "continue")


@pytest.mark.slow
@pytest.mark.nightly
def test_explanations(figures):
    found = figures("07_explanations", epochs=1, users=30)
    assert found["left_over"] < 1e-4 and found["completeness_error"] < 0.01
    assert found["over_best_other"] > 1 and 0 < found["misleading"] < 1


@pytest.mark.slow
@pytest.mark.nightly
def test_privacy(figures, dp_accounting):
    found = figures("08_privacy", epochs=1)
    assert 0 < found["epsilon"] <= 8.01 and found["same"]
    pairs = [found["strongest_pairs"][epsilon] for epsilon in ("1", "3", "8")]
    assert pairs == sorted(pairs) and pairs[-1] > 5  # less noise, more of what is there
    assert found["kept"] in ("start", "start with counts", "trained weights")


@pytest.mark.slow
@pytest.mark.nightly
def test_moving_to_a_new_shop(figures):
    found = figures("09_moving_to_a_new_shop", people=100, epochs=4, few=[0.25])
    assert all(0 < value < 1 for name in ("zero_shot", "fresh", "chosen") for value in found[name])
    assert 0 < found["text"] < found["zero_shot"][0]


@pytest.mark.slow
@pytest.mark.nightly
def test_posters(figures):
    found = figures("10_posters", epochs=1)
    assert found["weights"]["posters"] > 0 == found["weights"]["shuffled"]
    assert found["modalities"] == ["text", "image"]
    assert found["shared"] > 0.8  # films with a poster like this one have a genre in common, as each genre is a stripe
