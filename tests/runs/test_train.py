"""`train` from a small log to a Run: resume, refusal, what is left on disk."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import importlib  # isort: skip
import json  # isort: skip
from contextlib import contextmanager  # isort: skip

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose

from tests.fits import Killed
from tfrec.config import RunConfig
from tfrec.data import Histories, PreparedDataset, prepare
from tfrec.errors import InvalidInput
from tfrec.files import write_json
from tfrec.models.next_item.family import NextItemFamily
from tfrec.models.next_item.fit import fit_next_item
from tfrec.models.shared.history_statistics import repeat_log_odds
from tfrec.runs import Run, evaluate, partial_run, train
from tfrec.runs.partial_run import PartialRun

WORDS = ["red", "green", "blue", "small", "large", "old", "new", "fast"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """40 users who walk round a ring of 12 items: the next item is the one after."""
    rng = np.random.default_rng(5)
    rows = [
        (f"u{u}", f"i{(start + step) % 12}", "view", step)
        for u, start in enumerate(rng.integers(0, 12, 40))
        for step in range(8)
    ]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "event", "timestamp"], orient="row")
    texts = [" ".join(rng.choice(WORDS, 3)) for _ in range(12)]
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(12)], "title": texts})
    return prepare(events, items, tmp_path_factory.mktemp("data") / "ring", split="leave-one-out")


@pytest.fixture
def config(tiny_encoder):
    small = ["model.dim=16", "model.heads=2", "model.layers=1", "training.batch_size=8", "evaluation.bootstrap=20"]
    return RunConfig().with_values([*small, f"encoder.name={tiny_encoder}", "training.epochs=4"])


def weights(run):
    return {w.name: w.numpy() for w in run.model.weights}


@pytest.mark.slow
def test_a_killed_and_resumed_run_equals_an_uninterrupted_one(dataset, config, tmp_path, dies_at):
    config = config.with_values(["training.ema=0.9"])
    whole = train(dataset, tmp_path / "whole", config)

    with dies_at(2):
        train(dataset, tmp_path / "parts", config)
    assert not (tmp_path / "parts").exists() and (tmp_path / "parts.partial").is_dir()
    with pytest.raises(InvalidInput, match="--resume"):
        train(dataset, tmp_path / "parts", config)
    resumed = train(dataset, tmp_path / "parts", config, resume=True)
    assert not (tmp_path / "parts.partial").exists()
    found, expected = weights(resumed), weights(whole)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert_allclose(found[name], value, atol=1e-5, err_msg=name)


train_module = importlib.import_module("tfrec.runs.train")  # the package has a function of that name

STEPS_OF_THE_END = [  # of the last things that are done to a run in progress
    (NextItemFamily, "save_model"),
    (train_module, "write_projector"),
    (train_module, "write_json"),
    (train_module, "manifest_of"),
    (PartialRun, "publish"),
    (partial_run, "publish"),
]


@pytest.mark.slow
def test_a_run_killed_at_any_step_of_its_end_is_finished_by_resume(dataset, config, tmp_path, monkeypatch):
    config = config.with_values(["training.epochs=1", "model.use_text=false", "model.neighbours=0"])
    whole = train(dataset, tmp_path / "whole", config)

    def killed(*arguments, **options):
        raise Killed

    train_or_resume = {}
    for owner, name in STEPS_OF_THE_END:
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(owner, name, killed)
            train(dataset, tmp_path / "parts", config, **train_or_resume)
        assert not (tmp_path / "parts").exists()
        train_or_resume = {"resume": True}
    assert (tmp_path / "parts.partial" / "manifest.json").is_file()
    monkeypatch.setattr(NextItemFamily, "fit", None)  # only the new name is missing
    resumed = train(dataset, tmp_path / "parts", config, resume=True)
    left = {path.relative_to(resumed.path).as_posix() for path in resumed.path.rglob("*") if path.suffix != ".v2"}
    made = {path.relative_to(whole.path).as_posix() for path in whole.path.rglob("*") if path.suffix != ".v2"}
    assert left == made and not (tmp_path / "parts.partial").exists()
    found, expected = weights(resumed), weights(whole)
    for name, value in expected.items():
        assert_allclose(found[name], value, atol=1e-6, err_msg=name)


@pytest.mark.slow
def test_a_learnable_ring_is_learnt_and_measured(dataset, config, tmp_path):
    run = train(dataset, tmp_path / "run", config.with_values(["training.epochs=25", "training.learning_rate=0.01"]))
    metrics = evaluate(run, dataset)
    assert metrics["users"] == 40 and metrics["items"] == 12
    assert metrics["ndcg@10"] > 0.8 > metrics["baselines"]["popularity"]["ndcg@10"]
    assert set(metrics["baselines"]) == {"popularity", "text", "cooccurrence", "cooccurrence_text"}
    assert metrics["standing"]["verdict"] != "behind"
    assert metrics["protocol"]["ranking"] == "full"
    for name in ("config.yaml", "items.parquet", "manifest.json", "history.csv", "metrics.json", "predictions.parquet"):
        assert (run.path / name).is_file(), name
    assert Run.load(run.path).event_kinds == ["view"]


@pytest.mark.slow
def test_a_run_of_another_version_is_told_apart_from_a_failure(dataset, config, tmp_path):
    run = train(dataset, tmp_path / "run", config.with_values(["training.epochs=1"]))
    manifest = json.loads((run.path / "manifest.json").read_text())
    for change, reason in (({"dim": 8}, "train again"), ({"no_such_knob": 1}, "no_such_knob")):
        changed = {**manifest, "model": {**manifest["model"], **change}}
        (run.path / "manifest.json").write_text(json.dumps(changed))
        with pytest.raises(InvalidInput, match=reason):
            assert Run.load(run.path).model is None


@pytest.mark.slow
def test_bad_arguments_leave_nothing(dataset, config, tmp_path):
    with pytest.raises(InvalidInput, match="heads"):
        train(dataset, tmp_path / "run", config.with_values(["model.heads=5"]))
    with pytest.raises(InvalidInput, match="no interrupted run"):
        train(dataset, tmp_path / "run", config, resume=True)
    assert not list(tmp_path.glob("run*"))


def test_an_existing_run_is_not_replaced_without_force(dataset, config, tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(InvalidInput, match="exists already"):
        train(dataset, tmp_path / "run", config)


def test_force_replaces_neither_data_nor_what_is_not_ours(dataset, config, tmp_path):
    """Neither as the run nor as an interrupted one beside it; names that a folder cannot have are refused as well."""
    (tmp_path / "file").touch()
    for foreign in (tmp_path / "photos", tmp_path / "run.partial"):
        foreign.mkdir()
        (foreign / "photo").touch()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    for out in ("photos", "run", "file", "file/run", "link", "photos/.."):
        with pytest.raises(InvalidInput):
            train(dataset, tmp_path / out, config, force=True)
    with pytest.raises(InvalidInput, match="--force replaces a run"):
        train(dataset, dataset.path, config, force=True)
    assert before == sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    assert PreparedDataset.load(dataset.path).num_items == 12


def test_a_complete_run_needs_only_its_name_and_takes_none_that_appeared(dataset, config, tmp_path, monkeypatch):
    """A kill before the renaming: --resume renames, also in place of an old run, but of nothing that came since."""
    monkeypatch.setattr(NextItemFamily, "fit", None)
    out, partial = tmp_path / "run", tmp_path / "run.partial"

    def finished(folder, seed):
        folder.mkdir()
        config.with_values([f"training.seed={seed}"]).save(folder / "config.yaml")
        manifest = {"kind": "next-item", "event_kinds": ["view"], "data": dataset.manifest["fingerprint"]}
        write_json(folder / "manifest.json", {**manifest, "seed": seed})

    finished(partial, 1)
    assert train(dataset, out, config, resume=True).manifest["seed"] == 1
    finished(partial, 2)
    with pytest.raises(InvalidInput, match="exists already"):
        train(dataset, out, config, resume=True)
    assert train(dataset, out, config, resume=True, force=True).manifest["seed"] == 2
    finished(partial, 3)
    out.rename(tmp_path / "elsewhere")
    locked = PartialRun.locked

    @contextmanager
    def slow(self):
        with locked(self):
            out.mkdir()
            yield

    monkeypatch.setattr(PartialRun, "locked", slow)
    with pytest.raises(InvalidInput, match="complete in .*run.partial. Move either away"):
        train(dataset, out, config, resume=True)
    assert (partial / "manifest.json").is_file() and not any(out.iterdir())


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(InvalidInput, match="is not a run"):
        Run.load(tmp_path)


# 50 users with 0 + 1 + 2 + 3 earlier events among 20 items: 15 repeats by chance; 500 users: 150
@pytest.mark.parametrize(
    ("users", "expected"),
    [
        ([[0, 1, 2, 3]] * 50, np.log(0.5 / 15.5)),
        ([[0, 0, 0, 0]] * 50, np.log(150.5 / 15.5)),
        ([[0, 1, 2, 3]] * 500, -1000),
    ],
    ids=["nobody repeats", "everybody repeats", "nobody repeats of many"],
)
def test_the_repeat_bias_starts_on_the_side_of_the_data(users, expected):
    flat = np.concatenate(users).astype(np.int32)
    histories = Histories(
        user_ids=np.array([f"u{i}" for i in range(len(users))], object),
        offsets=np.arange(0, len(flat) + 1, 4),
        items=flat,
        events=np.zeros(len(flat), np.int16),
        timestamps=np.arange(len(flat)),
        values=np.zeros(len(flat), np.float32),
        is_target=np.ones(len(flat), bool),
    )
    assert_allclose(repeat_log_odds(histories, 20), expected, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("negatives", "loss"),
    [
        ("mixed", "softmax"),
        pytest.param("auto", "gbce", marks=pytest.mark.nightly),
        pytest.param("uniform", "softmax", marks=pytest.mark.nightly),
        pytest.param("popularity", "bpr", marks=pytest.mark.nightly),
    ],
)
def test_the_ring_is_learnt_from_sampled_negatives_too(dataset, tmp_path, negatives, loss):
    values = [f"training.negatives={negatives}", f"training.loss={loss}", "training.sample=5", "training.epochs=12"]
    small = ["model.dim=16", "model.heads=2", "training.batch_size=8", "training.learning_rate=0.01"]
    config = RunConfig().with_values([*small, *values, "model.neighbours=0", "training.balance=false"])
    assert fit_next_item(dataset, None, config, workdir=tmp_path).metrics_valid["ndcg@10"] > 0.8


@pytest.mark.parametrize(("items", "sampled"), [(20_000, False), (20_001, True)])
def test_a_large_catalogue_is_sampled_by_default(items, sampled):
    options = RunConfig().training
    assert options.negatives_for(100_000, items) == ("mixed" if sampled else "all")
    assert RunConfig().with_values(["training.negatives=all"]).training.negatives_for(100_000, items) == "all"


@pytest.mark.slow
def test_the_step_is_traced_once(dataset, tmp_path, traces):
    values = ["model.dim=8", "model.heads=2", "model.layers=0", "training.epochs=2", "training.ema=0.9"]
    fit_next_item(dataset, None, RunConfig().with_values([*values, "training.balance=false"]), workdir=tmp_path)
    assert len(traces) == 1


@pytest.mark.slow
def test_a_loss_that_needs_samples_says_so(dataset, tmp_path):
    config = RunConfig().with_values(["training.loss=bpr", "training.negatives=all", "model.dim=16"])
    with pytest.raises(InvalidInput, match="training.negatives=uniform"):
        fit_next_item(dataset, None, config, workdir=tmp_path)


def test_a_segment_that_users_lack_is_refused_before_the_fit_and_leaves_nothing(dataset, config, tmp_path):
    with pytest.raises(InvalidInput, match="retrieval.segment is 'country', but no users were given"):
        train(dataset, tmp_path / "run", config.with_values(["retrieval.segment=country"]))
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_a_run_keeps_what_is_popular_in_each_segment(config, tmp_path):
    rows = [(f"u{u}", f"i{(u + step) % 5}", step) for u in range(12) for step in range(5)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    users = pl.DataFrame(
        {"user_id": [f"u{u}" for u in range(12)], "plan": [("free", "paid")[u % 2] for u in range(12)]}
    )
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(5)], "title": WORDS[:5]})
    dataset = prepare(events, items, tmp_path / "d", users=users, split="leave-one-out")
    run = train(dataset, tmp_path / "run", config.with_values(["retrieval.segment=plan", "training.epochs=1"]))
    learnt = [(("free", "paid")[u % 2], (u + step) % 5) for u in range(12) for step in range(3)]
    assert run.segments is not None
    assert sorted(run.segments.iter_rows()) == sorted((*key, learnt.count(key)) for key in set(learnt))
