"""`tune`: searches hyper-parameters with Optuna. The study is a file, so a search can be interrupted and continued."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfrec.config import ConfigSource, RunConfig, as_run_config
from tfrec.config.invalid_values import option_names
from tfrec.config.yaml_documents import read_yaml
from tfrec.data.dataset import load_dataset
from tfrec.errors import InvalidInput, TfrecError, Unavailable
from tfrec.files import delete_folder, publish, read_json, sweep, write_json, write_text
from tfrec.progress import say
from tfrec.reporting.html_page import Section, render_report
from tfrec.reporting.svg_charts import lines
from tfrec.training.run_layout import MANIFEST_FILE, RUN_OUTPUT

if TYPE_CHECKING:
    from tfrec.data import PreparedDataset

METRIC = "ndcg@10"
STUDY_FILE = "study.db"
NUMBER_FILE = "trial.json"
_KEYS = ({"low", "high"}, {"low", "high", "log"}, {"choices"})


def read_space(path: str | Path) -> dict[str, dict[str, Any]]:
    """Reads a search space from YAML: the range or the choices of each option.

    A range is `{low, high}`, with `log: true` for a log scale; bounds that are integers make it an integer range.
    Choices are `{choices: [...]}`.

    Args:
        path: YAML file that maps options (section.key) to ranges or choices.

    Raises:
        InvalidInput: the file cannot be read or is empty, or an option has neither a range nor choices.
    """
    space = read_yaml(path, "the search space")
    if not isinstance(space, dict) or not space:
        raise InvalidInput(
            f"{path} must map options to ranges, e.g. training.learning_rate: {{low: 1.0e-4, high: 0.01}}."
        )
    return {str(option): _validated(str(option), spec) for option, spec in space.items()}


def _validated(option: str, spec: Any) -> dict[str, Any]:
    if not isinstance(spec, dict) or set(spec) not in _KEYS:
        raise InvalidInput(f"{option}: expected {{low, high}}, optionally with log, or {{choices}}; received {spec!r}.")
    if "choices" in spec:
        if not isinstance(spec["choices"], list) or not spec["choices"]:
            raise InvalidInput(f"{option}: expected a list of choices, received {spec['choices']!r}.")
        return dict(spec)
    bounds = [float(b) if isinstance(b, str) and _is_number(b) else b for b in (spec["low"], spec["high"])]
    if any(isinstance(b, bool) or not isinstance(b, int | float) for b in bounds) or bounds[0] > bounds[1]:
        raise InvalidInput(f"{option}: expected numbers with low at most high, received {spec!r}.")
    if spec.get("log") and bounds[0] <= 0:
        raise InvalidInput(f"{option}: a log scale needs low above 0, received {bounds[0]}.")
    return {"low": bounds[0], "high": bounds[1], "log": bool(spec.get("log", False))}


def _is_number(text: str) -> bool:
    """Whether a string is a number: YAML 1.1 parses 1e-4 as a string."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def tune(
    data: PreparedDataset | str | Path,
    space: Mapping[str, Mapping[str, Any]] | str | Path,
    out: str | Path,
    config: ConfigSource = None,
    *,
    trials: int = 20,
) -> dict[str, Any]:
    """Trains runs with hyper-parameters that Optuna's TPE sampler suggests, and keeps the best on validation.

    A trial whose validation is below the median of the other trials at the same epoch is stopped (pruned), and so is
    one whose loss becomes NaN. The study is stored in `out/study.db`. Another call continues it until `trials` have
    finished in all, and replaces a trial that was interrupted. Run one process at a time. The test split is not used.

    Args:
        data: Prepared data to train and validate on, or its folder.
        space: Range or choices of each option, as from `read_space`, or the file that it reads.
        out: Folder to write: study.db, trials.json, report.html, best.yaml (complete configuration), best/ (the run).
        config: Values of all other options: a RunConfig, a mapping of options or a YAML file. The model must be
            next-item.
        trials: Total number of trials, pruned ones included.

    Returns:
        value (best validation NDCG@10), options (those of the best trial), trials (finished) and pruned (of them).

    Raises:
        InvalidInput: another model; an unknown option or invalid value; `out` holds a study of another space, dataset
            or configuration; or no trial finished.
        Unavailable: Optuna is not installed.
    """
    from tfrec.models.family import Ability
    from tfrec.models.registry import families_with, family_of

    optuna = _optuna()
    dataset, config, out = load_dataset(data), as_run_config(config), Path(out)
    space = read_space(space) if isinstance(space, str | Path) else space
    if config.privacy.on:
        raise InvalidInput(
            "tune compares runs on validation without noise, and each of its trials spends privacy.epsilon again. Tune "
            "on other people, or on a public log, and train once with what was found."
        )
    if not family_of(config.model.kind).can(Ability.TUNE, config):
        families = families_with(Ability.TUNE)
        raise InvalidInput(f"tune searches {families} models with a frozen encoder, by validation ndcg@10.")
    for option, spec in space.items():
        for value in spec.get("choices", [spec.get("low"), spec.get("high")]):
            _with_options(config, {option: value})
    out.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{(out / STUDY_FILE).resolve()}",
        study_name="tune",
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1),
    )
    _check_same_study(study, space, dataset, config, out)
    states = optuna.trial.TrialState
    for trial in study.get_trials(states=(states.RUNNING,)):
        study.tell(trial.number, state=states.FAIL)
    sweep(out)
    _keep_best(study, states, out)
    finished = (states.COMPLETE, states.PRUNED)
    while (done := len(study.get_trials(states=finished))) < trials:
        study.sampler = optuna.samplers.TPESampler(seed=config.training.seed + len(study.trials), n_startup_trials=8)
        trial = study.ask()
        say(f"Trial {done + 1} of {trials}")
        _run_trial(optuna, study, trial, space, dataset, config, out)
    return _conclude(study, states, config, out)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise Unavailable("tfrec tune needs Optuna. Install the extra: pip install 'tfrec-bert[tune]'.") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _check_same_study(study: Any, space: Any, dataset: PreparedDataset, config: RunConfig, out: Path) -> None:
    facts = {
        "space": {option: dict(spec) for option, spec in space.items()},
        "data": dataset.manifest["fingerprint"],
        "config": config.model_dump(mode="json"),
    }
    for name, value in facts.items():
        if study.user_attrs.setdefault(name, value) != value:
            raise InvalidInput(f"{out / STUDY_FILE} is a study of another {name}. Pass another --out.")
        study.set_user_attr(name, value)


def _with_options(config: RunConfig, options: Mapping[str, Any]) -> RunConfig:
    known = set(option_names(RunConfig))
    for option in options:
        if option not in known:
            raise InvalidInput(f"The search space names {option!r}, which is no option. Name options as section.key.")
    return config.with_values(options)


def _suggest(trial: Any, option: str, spec: Mapping[str, Any]) -> Any:
    if "choices" in spec:
        return trial.suggest_categorical(option, spec["choices"])
    whole = all(isinstance(spec[end], int) for end in ("low", "high"))
    suggest = trial.suggest_int if whole else trial.suggest_float
    return suggest(option, spec["low"], spec["high"], log=spec["log"])


def _run_trial(
    optuna: Any, study: Any, trial: Any, space: Any, dataset: PreparedDataset, config: RunConfig, out: Path
) -> None:
    from tfrec.runs import train

    options = {option: _suggest(trial, option, spec) for option, spec in space.items()}
    states, run = optuna.trial.TrialState, out / "trial"

    def report(epoch: int, logs: dict[str, Any] | None = None) -> None:
        value = (logs or {}).get(f"valid_{METRIC}")
        if value is not None:
            trial.report(float(value), epoch)
            if trial.should_prune():
                raise optuna.TrialPruned()

    try:
        trained = train(dataset, run, _with_options(config, options), force=True, after_epoch=report)
    except optuna.TrialPruned:
        _prune(study, trial, states, out, f"Pruned: {options}")
        return
    except InvalidInput:
        raise
    except TfrecError as error:  # the loss is NaN: a bad trial, not the end of the study
        _prune(study, trial, states, out, f"{error} {options}")
        return
    value = validation_value(trained.path)
    write_json(run / NUMBER_FILE, trial.number)
    study.tell(trial, value)
    _keep_best(study, states, out)
    say(f"{METRIC} {value:.4f}: {options}")


def _prune(study: Any, trial: Any, states: Any, out: Path, message: str) -> None:
    delete_folder(out / "trial.partial")
    study.tell(trial, state=states.PRUNED)
    say(message)


def _keep_best(study: Any, states: Any, out: Path) -> None:
    """Renames the run of the last trial to best/ if it is the best, else deletes it. Repeatable after a kill."""
    number, best = out / "trial" / NUMBER_FILE, out / "best"
    if not number.is_file() or not study.get_trials(states=(states.COMPLETE,)):
        return
    if read_json(number) == study.best_trial.number:
        publish(out / "trial", best, RUN_OUTPUT, force=True)
    else:
        delete_folder(out / "trial")


def validation_value(run: Path) -> float:
    """Validation NDCG@10 that a run can have, so that trials differ even if none was worth its training.

    Where the trained weights were left out for counts and texts, it is the better of both; what is in the run may have
    the other one, as few queries tell them apart badly.

    Raises:
        InvalidInput: The run was not validated.
    """
    metrics = read_json(run / "metrics_valid.json")
    if METRIC not in metrics:
        raise InvalidInput("The validation split has no queries, so trials cannot be compared. Add events.")
    compared = read_json(run / MANIFEST_FILE).get("score_weights") or {}
    return float(max([metrics[METRIC], *compared.get(f"valid_{METRIC}", {}).values()]))


def _conclude(study: Any, states: Any, config: RunConfig, out: Path) -> dict[str, Any]:
    finished = study.get_trials(states=(states.COMPLETE, states.PRUNED))
    complete = [trial for trial in finished if trial.state == states.COMPLETE]
    if not complete:
        raise InvalidInput("No trial has completed, expected at least one. Raise --trials.")
    best = study.best_trial
    _with_options(config, best.params).save(out / "best.yaml")
    rows = [{"trial": t.number, "state": t.state.name.lower(), METRIC: t.value, **t.params} for t in finished]
    write_json(out / "trials.json", rows)
    write_text(out / "report.html", tuning_report(rows))
    pruned = len(finished) - len(complete)
    return {"value": best.value, "options": best.params, "trials": len(finished), "pruned": pruned}


def tuning_report(rows: list[dict[str, Any]]) -> str:
    """A self-contained HTML page: best value so far, value over each numeric option, and all trials.

    Args:
        rows: For each trial: trial, state, ndcg@10 and the options searched.
    """
    complete = [row for row in rows if row["state"] == "complete"]
    so_far, best = [], float("-inf")
    for place, row in enumerate(complete, 1):
        best = max(best, row[METRIC])
        so_far.append((float(place), best))
    options = [name for name in rows[0] if name not in ("trial", "state", METRIC)]
    figures = [lines(f"Best {METRIC} so far", {"best": so_far}, "finished trials")]
    for option in options:
        if all(isinstance(row[option], int | float) and not isinstance(row[option], bool) for row in complete):
            points = sorted((float(row[option]), row[METRIC]) for row in complete)
            figures.append(lines(f"{METRIC} over {option}", {"trials": points}, option))
    table = [["–" if value is None else value for value in row.values()] for row in rows]
    notes = [
        "Pruned trials were stopped because they were below the median of the others at the same epoch.",
        "All figures are from the validation split.",
    ]
    return render_report("Tuning", [Section("Trials", notes, list(rows[0]), table, figures)])
