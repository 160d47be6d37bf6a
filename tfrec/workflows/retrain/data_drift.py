"""Is tonight's data what it was? New items, unknown ids, the mix of behaviours; and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from tfrec import schema
from tfrec.config import RetrainConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.errors import InvalidInput
from tfrec.workflows.retrain.data_profile import Profile, kind_counts, value_counts

AHEAD = timedelta(days=1)
FLOOR = 1e-4
_NOTED = 0.1


def psi(expected: np.ndarray, found: np.ndarray) -> float:
    """Population stability index between two counts over the same bins: Σ (f − e) ln(f / e) over their shares.

    Below 0.1 is read as no shift, above 0.25 as a large one (Siddiqi, Credit Risk Scorecards, 2006). Shares below
    0.0001 count as that, so a bin that is new or gone has a finite part. 0 where either has no count.

    Example:
        >>> round(psi(np.array([50, 50]), np.array([60, 40])), 4)
        0.0405
    """
    if not expected.sum() or not found.sum():
        return 0.0
    e, f = (np.maximum(counts / counts.sum(), FLOOR) for counts in (expected, found))
    return float(((f - e) * np.log(f / e)).sum())


def chance(bins: int, expected: int, found: int) -> float:
    """What `psi` stays below 999 times of 1000 when nothing moved: it is about (1/n + 1/m) χ² (Yurdakul, 2018), with
    the quantile of χ² by Wilson and Hilferty's cube.

    Example:
        >>> round(chance(bins=2, expected=10**9, found=100), 2)
        0.11
    """
    free = max(1, bins - 1)
    spread = 2 / (9 * free)
    quantile = free * (1 - spread + 3.0902 * np.sqrt(spread)) ** 3
    return float(quantile * (1 / max(1, expected) + 1 / max(1, found)))


def drift_report(dataset: PreparedDataset, before: Profile | None, now: datetime) -> dict[str, Any]:
    """What is new in a dataset since a profile.

    Events are new when they lie after the newest of the profile; events that came in since and lie before are `late`.

    Returns:
        events, users, items; and with a profile: new_events, late_events, lost_share (of the events up to then),
        new_users, new_items, gone_items, gone_share, new_item_share, unknown_share (of the new events: on items that
        came in since, on items in no catalogue), item_columns_gone, kinds (shares then and in the new events), psi (of
        kinds, values and popularity: value, and what chance allows), unused_columns.
    """
    h, kinds = dataset.histories(), dataset.event_kinds
    report: dict[str, Any] = {
        "events": len(h.items),
        "users": len(h),
        "items": dataset.num_items,
        "newest": _when(int(h.timestamps.max())),
        "ahead": int((h.timestamps > (now + AHEAD).timestamp() * 1e6).sum()),
    }
    if before is None:
        return report
    facts, known = before.facts, set(before.items[schema.ITEM_ID].to_list())
    fresh = h.timestamps > facts["watermark"]
    old = int((~fresh).sum())
    given = dataset.num_items - int(dataset.report["items"]["only_in_events"]["count"])
    catalogue = dataset.item_ids[:given].tolist()
    gone, came = known - set(catalogue), [item not in known for item in dataset.item_ids]
    items, n = h.items[fresh], max(1, int(fresh.sum()))
    now_kinds = kind_counts(h, kinds, fresh)
    names = sorted({*facts["kinds"], *now_kinds})
    pairs = {
        "kinds": ([facts["kinds"].get(k, 0) for k in names], [now_kinds.get(k, 0) for k in names]),
        "values": (facts["values"], value_counts(h.values[fresh], facts["edges"])),
        "popularity": (before.reference(), before.popularity(dataset.item_ids[items].tolist())),
    }
    first = h.timestamps[h.offsets[:-1][h.lengths > 0]]
    return {
        **report,
        "new_events": int(fresh.sum()),
        "late_events": max(0, old - facts["events"]),
        "lost_share": max(0.0, 1 - old / facts["events"]),
        "new_users": int((first > facts["watermark"]).sum()),
        "new_items": len(set(catalogue) - known),
        "gone_items": len(gone),
        "gone_share": len(gone) / max(1, len(known)),
        "new_item_share": float(np.array(came, bool)[items].sum() / n),
        "unknown_share": float((items >= given).sum() / n),
        "item_columns_gone": [c for c in facts["item_columns"] if c not in dataset.items.columns],
        "unused_columns": dataset.report["events"]["unused_columns"],
        "kinds": {
            name: [_share(counts[place]) for counts in map(_shares, pairs["kinds"])] for place, name in enumerate(names)
        },
        "psi": {name: _measured(*pair) for name, pair in pairs.items()},
    }


def refuse_drift(report: dict[str, Any], before: Profile | None, knobs: RetrainConfig, force: bool = False) -> None:
    """Raises `InvalidInput` for data that no model should be trained on; `force` lets late events alone pass."""
    if report["ahead"]:
        raise InvalidInput(
            f"{report['ahead']} events are dated more than a day ahead of this machine's clock (newest: "
            f"{report['newest']}). Correct the times, or the clock."
        )
    if before is None:
        return
    watermark = _when(before.facts["watermark"])
    if report["item_columns_gone"]:
        raise InvalidInput(
            f"items lost the columns {', '.join(map(repr, report['item_columns_gone']))} since the last run. "
            "Was one renamed? Name it as it was, or pass --set data.columns."
        )
    for share, limit, knob, what in (
        (report["gone_share"], knobs.max_shrink, "max_shrink", "of the items of the last run's catalogue are gone"),
        (
            report["lost_share"],
            knobs.max_shrink,
            "max_shrink",
            f"of the events up to the last run's, {watermark}, are gone",
        ),
        (report["unknown_share"], knobs.max_unknown, "max_unknown", "of the new events are on items of no catalogue"),
    ):
        if share > limit:
            raise InvalidInput(
                f"{share:.0%} {what}, expected at most {limit:.0%}. Pass the whole log and the whole catalogue; where "
                f"it is meant so, raise retrain.{knob}."
            )
    for name in ("kinds", "values"):
        value, allowed = report["psi"][name]["psi"], knobs.max_psi + report["psi"][name]["chance"]
        if report["new_events"] and value > allowed:
            unused = ", ".join(map(repr, report["unused_columns"])) or "none"
            raise InvalidInput(
                f"The {name} of the new events are not those of the last run: PSI {value:.2f}, expected at most "
                f"{allowed:.2f} (then and now: {report['kinds']}; unused columns of the events: {unused}). "
                "Was a column renamed? Correct it, or raise retrain.max_psi."
            )
    if report["late_events"] and not report["new_events"] and not force:
        raise InvalidInput(
            f"{report['late_events']} events came in since the last run and none lies after {watermark}, the newest "
            "then: the clock that dates them jumped back, or they are late. Correct it, or pass --force."
        )


def refuse_clock(now: datetime, last: dict[str, Any] | None) -> None:
    """Raises `InvalidInput` when this machine's clock stands before the last run."""
    if last and now < datetime.fromisoformat(last["at"]) - timedelta(minutes=5):
        raise InvalidInput(
            f"This machine's clock says {now:%Y-%m-%d %H:%M}, the last run was at {last['at'][:16]}: it jumped back. "
            "Set it right; nothing was changed."
        )


def drift_notes(report: dict[str, Any]) -> list[str]:
    """The drift in words, only what is worth a look."""
    notes = [
        f"{name}: PSI {found['psi']:.2f}"
        for name, found in report.get("psi", {}).items()
        if found["psi"] > _NOTED + found["chance"]
    ]
    late, lost = report.get("late_events", 0), report.get("lost_share", 0.0)
    notes += [f"{late} late events"] if late else []
    notes += [f"{lost:.1%} of the earlier events are gone"] if lost else []
    return notes + ([f"{report['gone_items']} items are gone"] if report.get("gone_items") else [])


def _measured(expected: Any, found: Any) -> dict[str, float]:
    one, other = np.asarray(expected, np.int64), np.asarray(found, np.int64)
    allowed = chance(int(((one + other) > 0).sum()), int(one.sum()), int(other.sum()))
    return {"psi": round(psi(one, other), 4), "chance": round(allowed, 4)}


def _shares(counts: Any) -> np.ndarray:
    values = np.asarray(counts, np.float64)
    return values / max(1.0, values.sum())


def _share(value: float) -> float:
    return round(float(value), 4)


def _when(microseconds: int) -> str:
    return f"{datetime.fromtimestamp(microseconds / 1e6, UTC):%Y-%m-%d %H:%M:%S}"
