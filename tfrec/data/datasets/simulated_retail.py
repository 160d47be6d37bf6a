"""A simulated raw retail log, as a shop would export it before any cleaning. It contains no real person or shop.

The constants are chosen by hand to resemble gift-shop logs such as UCI's Online Retail; none is fitted to data.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tfrec import schema

START = dt.datetime(2022, 12, 1)
SERVICES = {"POST": 0.05, "M": 0.02, "D": 0.01, "BANK CHARGES": 0.005}
"""Service codes that shops book as products, and the share of orders that contain them."""
KINDS = (
    "mug", "lantern", "cushion", "apron", "lunch bag", "cake tin", "teapot", "candle", "picture frame", "doormat",
    "jigsaw", "bunting", "wall clock", "storage jar", "hot water bottle", "garden trowel", "doll", "necklace",
    "gift wrap", "bird house",
)  # fmt: skip
THEMES = (
    "retrospot",
    "vintage",
    "christmas",
    "woodland",
    "nautical",
    "rose",
    "london",
    "easter",
    "circus",
    "botanical",
)
LOOKS = ("red", "blue", "white", "pink", "green", "small", "large", "set of 3", "ceramic", "wooden", "metal", "glass")
PEAKS = {"christmas": 345, "easter": 95, "garden trowel": 140, "hot water bottle": 340, "bird house": 110}
"""Day of the year around which a theme or kind sells several times as often."""


def retail_log(
    users: int = 1200, products: int = 600, *, days: int = 370, seed: int = 0
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Simulates the raw log of a gift shop, in invoice order, and its catalogue.

    Customers like a few kinds and themes of products, which the descriptions name. They buy whole baskets in one
    minute, and buy products again. Popularity follows a power law and the seasons. The log is dirty: a fifth of the
    orders have a blank user; one line in fifty is returned, as a purchase of negative value or as a `return` event;
    some lines are services (POST, M, D, BANK CHARGES) that are not in the catalogue; one line in a hundred is repeated.

    Args:
        users: int. Number of customers. Some order every week, most only a few times.
        products: int. Number of items in the catalogue.
        days: int. Length of the log in days.
        seed: int. The same seed gives the same log.

    Returns:
        events: user_id, item_id, event (purchase or return), timestamp (string, to the minute), value (quantity,
        float64). items: item_id, description.

    Example:
        >>> log, catalogue = retail_log(users=50, products=80)
        >>> log.columns, catalogue.height
        (['user_id', 'item_id', 'event', 'timestamp', 'value'], 80)
    """
    rng = np.random.default_rng(seed)
    shop = _shop(products, rng)
    lines = _Lines()
    for user in range(users):
        _add_orders(str(12_000 + user), shop, days, lines, rng)
    return lines.frame(rng), shop.catalogue


@dataclass
class _Shop:
    catalogue: pl.DataFrame
    kind: NDArray[np.int64]
    theme: NDArray[np.int64]
    months: NDArray[np.float64]  # [12, products] log popularity


@dataclass
class _Lines:
    rows: list[tuple[str | None, str, str, dt.datetime, float]] = field(default_factory=list)

    def frame(self, rng: np.random.Generator) -> pl.DataFrame:
        names = [schema.USER_ID, schema.ITEM_ID, schema.EVENT, schema.TIMESTAMP, schema.VALUE]
        rows = [row for row in self.rows for _ in range(1 + (rng.random() < 0.01))]
        frame = pl.DataFrame(rows, names, orient="row").sort(schema.TIMESTAMP, maintain_order=True)
        return frame.with_columns(pl.col(schema.TIMESTAMP).dt.strftime("%Y-%m-%d %H:%M"))


def _shop(products: int, rng: np.random.Generator) -> _Shop:
    kind, theme = rng.integers(0, len(KINDS), products), rng.integers(0, len(THEMES), products)
    look = rng.integers(0, len(LOOKS), products)
    text = [f"{LOOKS[x]} {THEMES[t]} {KINDS[k]}".upper() for x, t, k in zip(look, theme, kind)]
    ids = [f"{number}{'ABC'[number % 3]}" for number in rng.choice(80_000, products, replace=False) + 10_000]
    peak = np.array([max(PEAKS.get(THEMES[t], 0), PEAKS.get(KINDS[k], 0)) for t, k in zip(theme, kind)])
    middle = np.arange(12)[:, None] * 30.4 + 15
    distance = np.abs((middle - peak + 182) % 365 - 182)
    season = np.where(peak > 0, 2.5 * np.exp(-((distance / 30) ** 2)) - 0.5, 0)
    catalogue = pl.DataFrame({schema.ITEM_ID: ids, "description": text})
    return _Shop(catalogue, kind, theme, rng.normal(0, 1.0, products) + season)


def _add_orders(name: str, shop: _Shop, days: int, lines: _Lines, rng: np.random.Generator) -> None:
    """Draws a customer with their taste and appends all their orders to `lines`."""
    taste = 2.5 * np.isin(shop.kind, rng.choice(len(KINDS), 3)) + 1.5 * np.isin(shop.theme, rng.choice(len(THEMES), 2))
    chance = np.exp(shop.months + taste + rng.normal(0, 0.5, len(shop.kind)))
    chance = np.cumsum(chance, axis=1) / chance.sum(axis=1, keepdims=True)
    loyal, basket, blank = rng.beta(2, 3), 2 + rng.pareto(2) * 4, rng.random() < 0.1
    orders = min(52, 1 + int(3 * rng.pareto(1.3)))
    ids = shop.catalogue[schema.ITEM_ID]
    bought: list[int] = []
    for day in np.sort(rng.integers(0, days, orders)):
        time = START + dt.timedelta(days=int(day), minutes=int(rng.integers(8 * 60, 18 * 60)))
        user = None if blank or rng.random() < 0.1 else name
        again = [place for place in {*bought[-60:]} if rng.random() < loyal / 3]
        new = np.searchsorted(chance[time.month - 1], rng.random(1 + rng.poisson(basket * (1 - loyal))))
        basket_now: list[Any] = list(dict.fromkeys([*sorted(again), *new.tolist()]))
        for place in basket_now:
            quantity = float(rng.integers(1, 13))
            lines.rows.append((user, ids[place], schema.PURCHASE, time, quantity))
            if rng.random() < 0.02:
                kind, sign = (schema.RETURN, 1) if rng.random() < 0.5 else (schema.PURCHASE, -1)
                back = time + dt.timedelta(days=int(rng.integers(1, 20)))
                lines.rows.append((user, ids[place], kind, back, sign * quantity))
        lines.rows += [(user, code, schema.PURCHASE, time, 1.0) for code, p in SERVICES.items() if rng.random() < p]
        bought += basket_now
