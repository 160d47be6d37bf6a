"""Compares new data with the profile of the last retraining run, and refuses data that is no longer the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from tfrec import schema
from tfrec.config import RetrainConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.errors import InvalidInput
from tfrec.workflows.retrain.data_profile import Profile, kind_counts, value_counts

LARGEST_LEAD = timedelta(days=1)
"""How far ahead of this machine's clock an event may be dated: a day leaves room for time zones."""

SMALLEST_SHARE = 1e-4
"""Shares in `psi` are at least this, so that a bin that is empty on one side has a finite term."""

NOTED_PSI = 0.1
"""A PSI this far above chance is noted: below 0.1 a shift is usually read as none (Siddiqi 2006)."""

LARGEST_CLOCK_STEP = timedelta(minutes=5)
"""How far this machine's clock may stand behind the last run: clocks are corrected by seconds, not by minutes."""


def psi(expected: np.ndarray, actual: np.ndarray) -> float:
    """Population stability index of two histograms with shares e and a: Σ (a − e) ln(a / e).

    Below 0.1 is usually read as no shift, above 0.25 as a large one (Siddiqi, Credit Risk Scorecards, 2006). Shares
    are at least 0.0001, so that new and vanished bins have a finite term. 0 if either histogram is empty.

    Args:
        expected: Counts `[bins]`.
        actual: Counts `[bins]`, over the same bins.

    Example:
        >>> round(psi(np.array([50, 50]), np.array([60, 40])), 4)
        0.0405
    """
    if not expected.sum() or not actual.sum():
        return 0.0
    e, a = (np.maximum(counts / counts.sum(), SMALLEST_SHARE) for counts in (expected, actual))
    return float(((a - e) * np.log(a / e)).sum())


def psi_by_chance(bins: int, expected: int, actual: int) -> float:
    """The 99.9% quantile of `psi` when both samples come from one distribution.

    PSI is then about (1/n + 1/m) χ² with bins − 1 degrees of freedom (Yurdakul, Statistical Properties of Population
    Stability Index, 2018). The χ² quantile is that of Wilson and Hilferty (1931).

    Args:
        bins: Bins with any count.
        expected: Size n of the earlier sample.
        actual: Size m of the later sample.

    Example:
        >>> round(psi_by_chance(bins=2, expected=10**9, actual=100), 2)
        0.11
    """
    degrees = max(1, bins - 1)
    variance = 2 / (9 * degrees)
    normal_quantile = 3.0902  # of 0.999
    quantile = degrees * (1 - variance + normal_quantile * np.sqrt(variance)) ** 3
    return float(quantile * (1 / max(1, expected) + 1 / max(1, actual)))


def drift_report(dataset: PreparedDataset, before: Profile | None, now: datetime) -> dict[str, Any]:
    """Describes how a dataset differs from the profile of the served run.

    Events are new if they are later than the newest event of the profile. Events that arrived since but are earlier
    are late.

    Args:
        dataset: The new data.
        before: Profile of the served run; None before the first promotion.
        now: Time of this run.

    Returns:
        events, users, items (counts), newest (time of the newest event) and ahead (events dated in the future). With
        a profile also: new_events, late_events, lost_share (share of the earlier events that are missing), new_users,
        new_items, gone_items, gone_share, new_item_share (share of the new events that are on new items),
        unknown_share (share of the new events whose items are in no catalogue), item_columns_gone, unused_columns,
        kinds (shares before and in the new events), psi (of kinds, values and popularity: psi, and chance: what chance
        explains).
    """
    h, kinds = dataset.histories(), dataset.event_kinds
    report: dict[str, Any] = {
        "events": len(h.items),
        "users": len(h),
        "items": dataset.num_items,
        "newest": utc_text(int(h.timestamps.max())),
        "ahead": int((h.timestamps > (now + LARGEST_LEAD).timestamp() * 1e6).sum()),
    }
    if before is None:
        return report
    facts, known = before.facts, set(before.items[schema.ITEM_ID].to_list())
    fresh = h.timestamps > facts["watermark"]
    old = int((~fresh).sum())
    given = dataset.num_items - int(dataset.report["items"]["only_in_events"]["count"])
    catalogue = dataset.item_ids[:given].tolist()
    gone, is_new = known - set(catalogue), [item not in known for item in dataset.item_ids]
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
        "new_item_share": float(np.array(is_new, bool)[items].sum() / n),
        "unknown_share": float((items >= given).sum() / n),
        "item_columns_gone": [c for c in facts["item_columns"] if c not in dataset.items.columns],
        "unused_columns": dataset.report["events"]["unused_columns"],
        "kinds": {
            name: [_rounded(counts[place]) for counts in map(_shares, pairs["kinds"])]
            for place, name in enumerate(names)
        },
        "psi": {name: _psi_with_chance(*pair) for name, pair in pairs.items()},
    }


def refuse_drift(report: dict[str, Any], before: Profile | None, config: RetrainConfig, force: bool = False) -> None:
    """Raises `InvalidInput` for data that no model should be trained on.

    Args:
        report: Of `drift_report`.
        before: Profile of the served run; None before a promotion, which only refuses events dated in the future.
        config: The limits.
        force: Whether data is accepted that has late events and no new ones.
    """
    if report["ahead"]:
        raise InvalidInput(
            f"{report['ahead']} events are dated more than a day ahead of this machine's clock (newest: "
            f"{report['newest']}). Correct the times, or the clock."
        )
    if before is None:
        return
    watermark = utc_text(before.facts["watermark"])
    if report["item_columns_gone"]:
        raise InvalidInput(
            f"items lost the columns {', '.join(map(repr, report['item_columns_gone']))} since the served run. "
            "Was one renamed? Restore its name, or pass --set data.columns."
        )
    for share, limit, option, what in (
        (report["gone_share"], config.max_shrink, "max_shrink", "of the items of the served run's catalogue are gone"),
        (
            report["lost_share"],
            config.max_shrink,
            "max_shrink",
            f"of the events up to {watermark}, the newest of the served run, are gone",
        ),
        (report["unknown_share"], config.max_unknown, "max_unknown", "of the new events are on items of no catalogue"),
    ):
        if share > limit:
            raise InvalidInput(
                f"{share:.0%} {what}, expected at most {limit:.0%}. Pass the whole log and the whole catalogue. If "
                f"this is intended, raise retrain.{option}."
            )
    for name in ("kinds", "values"):
        value, allowed = report["psi"][name]["psi"], config.max_psi + report["psi"][name]["chance"]
        if report["new_events"] and value > allowed:
            unused = ", ".join(map(repr, report["unused_columns"])) or "none"
            raise InvalidInput(
                f"The {name} of the new events are not those of the served run: PSI {value:.2f}, expected at most "
                f"{allowed:.2f} (then and now: {report['kinds']}; unused columns of the events: {unused}). "
                "Was a column renamed? Restore its name, or raise retrain.max_psi."
            )
    if report["late_events"] and not report["new_events"] and not force:
        raise InvalidInput(
            f"{report['late_events']} events arrived since the served run, and none is later than {watermark}, its "
            "newest event. Either they are late, or the clock that dates them jumped back. Correct it, or pass --force."
        )


def refuse_clock(now: datetime, last: dict[str, Any] | None) -> None:
    """Raises `InvalidInput` if this machine's clock is earlier than the last run."""
    if last and now < datetime.fromisoformat(last["at"]) - LARGEST_CLOCK_STEP:
        raise InvalidInput(
            f"This machine's clock says {now:%Y-%m-%d %H:%M}, the last run was at {last['at'][:16]}: it jumped back. "
            "Correct it; nothing was changed."
        )


def drift_notes(report: dict[str, Any]) -> list[str]:
    """The parts of a drift report that someone should look at, in words."""
    notes = [
        f"{name}: PSI {shift['psi']:.2f}"
        for name, shift in report.get("psi", {}).items()
        if shift["psi"] > NOTED_PSI + shift["chance"]
    ]
    late, lost = report.get("late_events", 0), report.get("lost_share", 0.0)
    notes += [f"{late} late events"] if late else []
    notes += [f"{lost:.1%} of the earlier events are gone"] if lost else []
    return notes + ([f"{report['gone_items']} items are gone"] if report.get("gone_items") else [])


def _psi_with_chance(expected: Any, actual: Any) -> dict[str, float]:
    before, after = np.asarray(expected, np.int64), np.asarray(actual, np.int64)
    allowed = psi_by_chance(int(((before + after) > 0).sum()), int(before.sum()), int(after.sum()))
    return {"psi": round(psi(before, after), 4), "chance": round(allowed, 4)}


def _shares(counts: Any) -> np.ndarray:
    values = np.asarray(counts, np.float64)
    return values / max(1.0, values.sum())


def _rounded(value: float) -> float:
    return round(float(value), 4)


def utc_text(microseconds: int) -> str:
    """A time in UTC, as reports and the state have it."""
    return f"{datetime.fromtimestamp(microseconds / 1e6, UTC):%Y-%m-%d %H:%M:%S}"
