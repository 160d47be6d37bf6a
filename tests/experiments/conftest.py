"""Small experiment logs, generated user by user."""

import numpy as np
import polars as pl
import pytest

START, DAY = 1_700_000_000, 86_400


@pytest.fixture
def make_logs():
    """`make_logs(rng, users, lift)`: exposures and outcomes (impression, click, buy) of users with lasting habits."""

    def make(rng, users=400, lift=0.0, days=10, before=10):
        ids = np.array([f"u{i:05d}" for i in range(users)])
        treated = rng.random(users) < 0.5
        first = START + rng.integers(0, days * DAY // 2, users)
        habit = rng.gamma(2, 1, users)
        exposures = pl.DataFrame({"user_id": ids, "arm": np.where(treated, "treatment", "control"), "timestamp": first})
        parts = []
        for period, low, high in (("before", first - before * DAY, first), ("after", first, first + days * DAY)):
            factor = np.where(treated & (period == "after"), 1 + lift, 1.0)
            for event, rate in (("impression", 6 * habit), ("click", 2 * habit * factor), ("buy", 0.3 * factor)):
                rows = np.repeat(np.arange(users), rng.poisson(rate))
                times = low[rows] + (rng.random(len(rows)) * (high - low)[rows]).astype(np.int64)
                value = rng.exponential(10, len(rows))
                parts.append(
                    pl.DataFrame({"user_id": ids[rows], "timestamp": times, "value": value}).with_columns(
                        event=pl.lit(event)
                    )
                )
        return exposures, pl.concat(parts).sample(fraction=1, shuffle=True, seed=1)

    return make
