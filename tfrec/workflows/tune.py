"""`tune`: searches knobs of a run with Optuna; the study is a file, so it can be stopped and taken up."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tfrec.config import RunConfig
from tfrec.errors import InvalidInput, TfrecError, Unavailable
from tfrec.files import read_json, write_json, write_text
from tfrec.progress import say
from tfrec.reporting.html_page import Section, render_report
from tfrec.reporting.svg_charts import lines

if TYPE_CHECKING:
    from tfrec.data import PreparedDataset

METRIC = "ndcg@10"
STUDY_FILE = "study.db"
NUMBER_FILE = "trial.json"
_KEYS = ({"low", "high"}, {"low", "high", "log"}, {"choices"})


def read_space(path: str | Path) -> dict[str, dict[str, Any]]:
    """A search space from YAML: a knob to `{low, high}`, with `log: true` where it is searched on a log scale, or to
    `{choices: [...]}`. Whole bounds make a whole knob.

    Raises:
        InvalidInput: it cannot be read, is empty, or a knob is given in another way.
    """
    try:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"Cannot read the search space {path}: {error.strerror}.") from None
    except yaml.YAMLError as error:
        raise InvalidInput(f"{path} is not valid YAML: {error}") from None
    if not isinstance(found, dict) or not found:
        raise InvalidInput(
            f"{path} must map knobs to ranges, e.g. training.learning_rate: {{low: 1.0e-4, high: 0.01}}."
        )
    return {str(knob): _checked(str(knob), spec) for knob, spec in found.items()}


def _checked(knob: str, spec: Any) -> dict[str, Any]:
    if not isinstance(spec, dict) or set(spec) not in _KEYS:
        raise InvalidInput(f"{knob}: expected {{low, high}}, with log or not, or {{choices}}; received {spec!r}.")
    if "choices" in spec:
        if not isinstance(spec["choices"], list) or not spec["choices"]:
            raise InvalidInput(f"{knob}: expected a list of choices, received {spec['choices']!r}.")
        return dict(spec)
    bounds = [float(b) if isinstance(b, str) and _is_number(b) else b for b in (spec["low"], spec["high"])]
    if any(isinstance(b, bool) or not isinstance(b, int | float) for b in bounds) or bounds[0] > bounds[1]:
        raise InvalidInput(f"{knob}: expected numbers with low up to high, received {spec!r}.")
    if spec.get("log") and bounds[0] <= 0:
        raise InvalidInput(f"{knob}: a log scale needs low above 0, received {bounds[0]}.")
    return {"low": bounds[0], "high": bounds[1], "log": bool(spec.get("log", False))}


def _is_number(text: str) -> bool:
    """YAML reads 1e-4 as a string; people do not."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def tune(
    dataset: PreparedDataset,
    space: Mapping[str, Mapping[str, Any]],
    out: str | Path,
    config: RunConfig | None = None,
    *,
    trials: int = 20,
) -> dict[str, Any]:
    """Trains `trials` runs with knobs that Optuna's TPE suggests and keeps the one that validates best.

    Trials that validate below the median of the others at the same epoch are stopped (pruned); so are those whose loss
    becomes no number. The study is in `out/study.db`: called again, it goes on until `trials` are finished in all; one
    that was cut off is made up for. One process at a time. The test split is never looked at.

    Args:
        dataset: What to train on; its validation split decides.
        space: As from `read_space`.
        out: Folder for study.db, trials.json, best.yaml (the whole configuration), report.html and best/ (the run).
        config: What the space leaves as it is. next-item only.
        trials: int. Finished trials in all, pruned ones too.

    Returns:
        Best value, its knobs, and how many trials finished and were pruned.

    Raises:
        InvalidInput: another kind of model; a knob or value that RunConfig does not take; a study of another space,
            dataset or configuration; no trial finished.
        Unavailable: Optuna is not installed.
    """
    optuna = _optuna()
    config, out = config or RunConfig(), Path(out)
    if config.model.kind != "next-item" or config.encoder.trainable or config.training.monitor == "loss":
        raise InvalidInput("tune searches next-item models with a frozen encoder, by validation ndcg@10.")
    for knob, spec in space.items():
        for value in spec.get("choices", [spec.get("low"), spec.get("high")]):
            _with(config, {knob: value})
    out.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{(out / STUDY_FILE).resolve()}",
        study_name="tune",
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1),
    )
    _same(study, space, dataset, config, out)
    states = optuna.trial.TrialState
    for trial in study.get_trials(states=(states.RUNNING,)):
        study.tell(trial.number, state=states.FAIL)
    _keep_best(study, states, out)
    ended = (states.COMPLETE, states.PRUNED)
    while (done := len(study.get_trials(states=ended))) < trials:
        study.sampler = optuna.samplers.TPESampler(seed=config.training.seed + len(study.trials), n_startup_trials=8)
        trial = study.ask()
        say(f"Trial {done + 1} of {trials}")
        _try(optuna, study, trial, space, dataset, config, out)
    return _conclude(study, states, config, out)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise Unavailable("tfrec tune needs Optuna. Install the extra: pip install 'tfrec-bert[tune]'.") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _same(study: Any, space: Any, dataset: PreparedDataset, config: RunConfig, out: Path) -> None:
    facts = {
        "space": {knob: dict(spec) for knob, spec in space.items()},
        "data": dataset.manifest["fingerprint"],
        "config": config.model_dump(mode="json"),
    }
    for name, value in facts.items():
        if study.user_attrs.setdefault(name, value) != value:
            raise InvalidInput(f"{out / STUDY_FILE} is a study of another {name}. Choose another --out.")
        study.set_user_attr(name, value)


def _with(config: RunConfig, knobs: Mapping[str, Any]) -> RunConfig:
    values = config.model_dump()
    for knob, value in knobs.items():
        *sections, key = knob.split(".")
        node: Any = values
        for name in sections:
            node = node.get(name) if isinstance(node, dict) else None
        if not sections or not isinstance(node, dict) or key not in node:
            raise InvalidInput(f"The search space has {knob!r}, which is no knob of a run. Name one as section.key.")
        node[key] = value
    return RunConfig.from_dict(values)


def _suggest(trial: Any, knob: str, spec: Mapping[str, Any]) -> Any:
    if "choices" in spec:
        return trial.suggest_categorical(knob, spec["choices"])
    whole = all(isinstance(spec[end], int) for end in ("low", "high"))
    suggest = trial.suggest_int if whole else trial.suggest_float
    return suggest(knob, spec["low"], spec["high"], log=spec["log"])


def _try(
    optuna: Any, study: Any, trial: Any, space: Any, dataset: PreparedDataset, config: RunConfig, out: Path
) -> None:
    from tfrec.runs import train

    knobs = {knob: _suggest(trial, knob, spec) for knob, spec in space.items()}
    states, run = optuna.trial.TrialState, out / "trial"

    def watch(epoch: int, logs: dict[str, Any] | None = None) -> None:
        value = (logs or {}).get(f"valid_{METRIC}")
        if value is not None:
            trial.report(float(value), epoch)
            if trial.should_prune():
                raise optuna.TrialPruned()

    try:
        trained = train(dataset, run, _with(config, knobs), force=True, after_epoch=watch)
    except optuna.TrialPruned:
        _give_up(study, trial, states, out, f"Pruned: {knobs}")
        return
    except InvalidInput:
        raise
    except TfrecError as error:  # the loss is no number: not a knob to go on with
        _give_up(study, trial, states, out, f"{error} {knobs}")
        return
    value = trained_value(trained.path)
    write_json(run / NUMBER_FILE, trial.number)
    study.tell(trial, value)
    _keep_best(study, states, out)
    say(f"{METRIC} {value:.4f}: {knobs}")


def _give_up(study: Any, trial: Any, states: Any, out: Path, why: str) -> None:
    shutil.rmtree(out / "trial.partial", ignore_errors=True)
    study.tell(trial, state=states.PRUNED)
    say(why)


def _keep_best(study: Any, states: Any, out: Path) -> None:
    """Makes the last trained run the best one where the study says so; also after a kill between the two."""
    number, best = out / "trial" / NUMBER_FILE, out / "best"
    if not number.is_file() or not study.get_trials(states=(states.COMPLETE,)):
        return
    if read_json(number) == study.best_trial.number:
        shutil.rmtree(best, ignore_errors=True)
        (out / "trial").rename(best)
    else:
        shutil.rmtree(out / "trial")


def trained_value(run: Path) -> float:
    """Validation NDCG@10 of a run; raises `InvalidInput` where nothing was validated."""
    metrics = read_json(run / "metrics_valid.json")
    if METRIC not in metrics:
        raise InvalidInput("The validation split has no query, so trials cannot be told apart. Add events.")
    return float(metrics[METRIC])


def _conclude(study: Any, states: Any, config: RunConfig, out: Path) -> dict[str, Any]:
    ended = study.get_trials(states=(states.COMPLETE, states.PRUNED))
    complete = [trial for trial in ended if trial.state == states.COMPLETE]
    if not complete:
        raise InvalidInput("No trial was finished; expected at least one. Raise --trials.")
    best = study.best_trial
    _with(config, best.params).save(out / "best.yaml")
    rows = [{"trial": t.number, "state": t.state.name.lower(), METRIC: t.value, **t.params} for t in ended]
    write_json(out / "trials.json", rows)
    write_text(out / "report.html", tuning_report(rows))
    pruned = len(ended) - len(complete)
    return {"value": best.value, "knobs": best.params, "trials": len(ended), "pruned": pruned}


def tuning_report(rows: list[dict[str, Any]]) -> str:
    """A self-contained page: the best value so far, each numeric knob against the value, and all trials."""
    done = [row for row in rows if row["state"] == "complete"]
    so_far, best = [], float("-inf")
    for place, row in enumerate(done, 1):
        best = max(best, row[METRIC])
        so_far.append((float(place), best))
    knobs = [name for name in rows[0] if name not in ("trial", "state", METRIC)]
    figures = [lines(f"Best {METRIC} so far", {"best": so_far}, "finished trials")]
    for knob in knobs:
        if all(isinstance(row[knob], int | float) and not isinstance(row[knob], bool) for row in done):
            points = sorted((float(row[knob]), row[METRIC]) for row in done)
            figures.append(lines(f"{METRIC} over {knob}", {"trials": points}, knob))
    table = [["–" if value is None else value for value in row.values()] for row in rows]
    note = "Pruned trials stopped below the median of the others at the same epoch. Validation only."
    return render_report("Tuning", [Section("Trials", [note], list(rows[0]), table, figures)])
