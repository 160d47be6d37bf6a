"""The simulated retail log with the steps before a purchase: impressions, views and favourites."""

from __future__ import annotations

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.data.datasets.simulated_retail import SERVICES, retail_log

DEVICES = ("phone", "desktop", "tablet")


def retail_behaviours(
    users: int = 400, products: int = 200, *, days: int = 370, impressions: bool = False, seed: int = 0
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Simulates a web shop on top of `retail_log`. It contains no real person or shop.

    Each purchase is preceded by a view in the half hour before, and in a third of the cases by a favourite. With each
    purchase two more items are viewed: one that shares the last word of its description, and a popular one; one in six
    of these becomes a favourite. Users on a phone buy less: three quarters of their purchases are dropped, and only the
    views and favourites remain.

    Args:
        users: int. As in `retail_log`.
        products: int. As in `retail_log`.
        days: int. As in `retail_log`.
        impressions: Whether to add an impression a minute before each view, and two impressions without a view.
        seed: int. As in `retail_log`.

    Returns:
        events: user_id, item_id, event (view, favourite, purchase and, if asked for, impression), timestamp (int64,
        seconds), context_device (string). items: item_id, description.

    Example:
        >>> log, catalogue = retail_behaviours(users=30, products=40)
        >>> sorted(log["event"].unique()), catalogue.height
        (['favourite', 'purchase', 'view'], 40)
    """
    raw, catalogue = retail_log(users, products, days=days, seed=seed)
    rng = np.random.default_rng([seed, 1])
    bought = raw.filter(
        pl.col(schema.USER_ID).is_not_null(),
        pl.col(schema.EVENT) == schema.PURCHASE,
        pl.col(schema.VALUE) > 0,
        ~pl.col(schema.ITEM_ID).is_in(list(SERVICES)),
    ).unique(maintain_order=True)
    place = {item: i for i, item in enumerate(catalogue[schema.ITEM_ID])}
    item = np.array([place[name] for name in bought[schema.ITEM_ID]])
    names = bought[schema.USER_ID]
    time = bought[schema.TIMESTAMP].str.to_datetime("%Y-%m-%d %H:%M").dt.epoch("s").to_numpy()
    user_device = {name: DEVICES[rng.choice(3, p=[0.4, 0.4, 0.2])] for name in names.unique().sort()}
    phone = np.array([user_device[name] == "phone" for name in names])
    similar, popular = _similar_items(catalogue, item, rng), item[rng.permutation(len(item))]
    bought_now = ~phone | (rng.random(len(item)) < 0.25)
    user = names.to_numpy()
    rows: list[tuple[np.ndarray, np.ndarray, str, np.ndarray]] = []
    for viewed, favourite_rate in ((item, 1 / 3), (similar, 1 / 6), (popular, 1 / 6)):
        ahead = rng.integers(3, 30, len(viewed)) * 60
        rows.append((user, viewed, schema.VIEW, time - ahead))
        liked = rng.random(len(viewed)) < favourite_rate
        rows.append((user[liked], viewed[liked], schema.FAVOURITE, (time - ahead + 60)[liked]))
        if impressions:
            rows.append((user, viewed, schema.IMPRESSION, time - ahead - 60))
            for _ in range(2):
                unseen = item[rng.permutation(len(item))]
                rows.append((user, unseen, schema.IMPRESSION, time - ahead - 60))
    rows.append((user[bought_now], item[bought_now], schema.PURCHASE, time[bought_now]))
    ids = catalogue[schema.ITEM_ID].to_numpy()
    frames = [
        pl.DataFrame({schema.USER_ID: u, schema.ITEM_ID: ids[i], schema.EVENT: kind, schema.TIMESTAMP: t})
        for u, i, kind, t in rows
    ]
    log = pl.concat([frame.cast({schema.TIMESTAMP: pl.Int64}) for frame in frames])
    log = log.sort(schema.TIMESTAMP, schema.USER_ID, maintain_order=True)
    return log.with_columns(pl.col(schema.USER_ID).replace_strict(user_device).alias("context_device")), catalogue


def _similar_items(catalogue: pl.DataFrame, items: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each item, a random one whose description has the same last word; it may be the item itself."""
    last = catalogue["description"].str.split(" ").list.last().to_numpy()
    order = np.argsort(last, kind="stable")
    first, count = np.unique(last[order], return_index=True)[1], np.unique(last, return_counts=True)[1]
    group = np.unique(last, return_inverse=True)[1][items]
    return order[first[group] + (rng.random(len(items)) * count[group]).astype(np.int64)]
