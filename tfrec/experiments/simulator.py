"""A made-up shop to practise on: users with tastes, items with text, position bias and fatigue.

Everything it makes is marked: ids begin with "sim-" and every frame has a column `simulated`. It is for tutorials and
tests of method; no number from it says anything about a real shop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.errors import InvalidInput
from tfrec.experiments.design.assignment import ARM, assign_users
from tfrec.experiments.design.spec import ExperimentSpec

START = 1_750_000_000
DAY = 86_400
TOPICS = {
    "tea": "green black herbal leaf pot cup",
    "garden": "spade seed rose soil hose fern",
    "music": "vinyl piano drum jazz choir guitar",
    "sport": "ball racket shoe bike rope mat",
    "books": "novel poem atlas comic history crime",
    "tools": "hammer saw drill screw glue tape",
}
IMPRESSION = "impression"


@dataclass(frozen=True)
class SimulatedLogs:
    """What a simulated period leaves behind; every frame has `simulated` = true.

    Attributes:
        exposures: user_id, arm, timestamp: one row a visit.
        outcomes: user_id, item_id, event (impression or click), timestamp: what `analyse` reads.
        impressions: One row an item shown: user_id, visit, place (from 0), item_id, arm, propensity (of the item given
            those above it), click, timestamp: what off-policy evaluation reads, in the order of visits and places.
    """

    exposures: pl.DataFrame
    outcomes: pl.DataFrame
    impressions: pl.DataFrame


class Simulator:
    """Users who visit, look down a list, and click what suits them.

    A user clicks the item in place j with chance `position_decay`ʲ · sigmoid(a · taste + quality − b) ·
    `fatigue`^(times the user was shown the item before). Tastes are mixtures of topics; an item has one topic. The
    state (who was shown what) lasts between calls of `run`; `reset` forgets it.

    Args:
        num_users, num_items: int.
        places: int. Length of the lists shown.
        position_decay: In (0, 1]. Chance to look at a place over that to look at the one above.
        fatigue: In (0, 1]. 1 is none.
        visits_a_day: Mean visits of a user a day, below 1; users differ.
        seed: int. The same seed gives the same world; `run` has its own.

    Example:
        >>> shop = Simulator(num_users=20, num_items=8)
        >>> shop.items["item_id"][0], shop.items.columns
        ('sim-i0', ['item_id', 'title', 'topic', 'simulated'])
    """

    def __init__(
        self,
        num_users: int = 500,
        num_items: int = 60,
        *,
        places: int = 3,
        position_decay: float = 0.7,
        fatigue: float = 0.9,
        visits_a_day: float = 0.3,
        seed: int = 0,
    ) -> None:
        if num_users < 2 or num_items < places or places < 1:
            raise InvalidInput(f"Expected 2 users and {places} items or more, received {num_users}, {num_items}.")
        if not 0 < position_decay <= 1 or not 0 < fatigue <= 1 or not 0 < visits_a_day < 1:
            raise InvalidInput("Expected position_decay and fatigue in (0, 1], and visits_a_day in (0, 1).")
        rng = np.random.default_rng(seed)
        self.places, self.position_decay, self.fatigue = places, position_decay, fatigue
        self.tastes = rng.dirichlet(np.full(len(TOPICS), 0.4), num_users)
        self.topic = rng.integers(0, len(TOPICS), num_items)
        self.quality = rng.normal(0, 0.5, num_items)
        self.activity = np.clip(visits_a_day * rng.gamma(2, 0.5, num_users), 0.01, 0.95)
        self.user_ids = np.array([f"sim-u{i}" for i in range(num_users)])
        self.items = self._catalogue(rng)
        self.reset()

    def _catalogue(self, rng: np.random.Generator) -> pl.DataFrame:
        names = list(TOPICS)
        titles = [f"{names[t]} {' '.join(rng.choice(TOPICS[names[t]].split(), 2, replace=False))}" for t in self.topic]
        ids = [f"sim-i{i}" for i in range(len(titles))]
        topics = [names[t] for t in self.topic]
        return _marked(pl.DataFrame({schema.ITEM_ID: ids, "title": titles, "topic": topics}))

    def reset(self) -> None:
        """Forgets who was shown what."""
        self.shown = np.zeros((len(self.user_ids), len(self.topic)), np.int32)

    def appeal(self) -> np.ndarray:
        """The truth: chance that each user clicks each item when looking at it, never shown before.

        float64 `[users, items]`.
        """
        logit = 4.0 * self.tastes[:, self.topic] + self.quality - 2.5
        return np.asarray(1 / (1 + np.exp(-logit)))

    def clicks_a_visit(self, chances: np.ndarray, draws: int = 200, seed: int = 0) -> float:
        """The truth of a policy: mean clicks of a user's first visit, by `draws` lists for each user.

        Args:
            chances: float `[users, items]`, rows sum to 1: of the first place; those below draw from what is left.
        """
        rng = np.random.default_rng(seed)
        look = self.position_decay ** np.arange(self.places)
        total = 0.0
        for _ in range(draws):
            lists, _ = draw_lists(chances, self.places, rng)
            total += float((np.take_along_axis(self.appeal(), lists, axis=1) * look).sum(axis=1).mean())
        return total / draws

    def run(self, spec: ExperimentSpec, policies: Mapping[str, np.ndarray], days: int, seed: int = 0) -> SimulatedLogs:
        """Lets the users visit for some days, each user shown the lists of their arm.

        Args:
            spec: Chooses the arms; users outside the experiment do not visit.
            policies: Arm to chances float `[users, items]` (see `softmax_policy`).
            days: int. seed: Of visits, lists and clicks.
        """
        arms = assign_users(spec, self.user_ids)[ARM].to_list()
        missing = sorted({arm for arm in arms if arm is not None} - set(policies))
        if missing:
            raise InvalidInput(f"Expected a policy for each arm, received none for {', '.join(missing)}.")
        rng = np.random.default_rng(seed)
        parts = []
        for day in range(days):
            for arm, chances in policies.items():
                here = np.flatnonzero(np.array([given == arm for given in arms]))
                visiting = here[rng.random(len(here)) < self.activity[here]]
                if len(visiting):
                    parts.append(self._visits(visiting, chances, day, rng).with_columns(pl.lit(arm).alias(ARM)))
        if not parts:
            raise InvalidInput("Nobody visited. Simulate more days or users.")
        return self._logs(pl.concat(parts))

    def _visits(self, users: np.ndarray, chances: np.ndarray, day: int, rng: np.random.Generator) -> pl.DataFrame:
        lists, propensities = draw_lists(chances[users], self.places, rng)
        rows = users[:, None]
        look = self.position_decay ** np.arange(self.places)
        chance = self.appeal()[rows, lists] * look * self.fatigue ** self.shown[rows, lists]
        clicks = rng.random(chance.shape) < chance
        self.shown[rows, lists] += 1
        times = START + day * DAY + rng.integers(0, DAY, len(users))
        flat = np.repeat(np.arange(len(users)), self.places)
        return pl.DataFrame(
            {
                schema.USER_ID: self.user_ids[users][flat],
                "place": np.tile(np.arange(self.places), len(users)),
                schema.ITEM_ID: self.items[schema.ITEM_ID].to_numpy()[lists.ravel()],
                "propensity": propensities.ravel(),
                "click": clicks.ravel(),
                schema.TIMESTAMP: times[flat],
            }
        )

    def _logs(self, impressions: pl.DataFrame) -> SimulatedLogs:
        impressions = impressions.with_columns((pl.int_range(pl.len()) // self.places).alias("visit"))
        exposures = impressions.filter(pl.col("place") == 0).select(schema.USER_ID, ARM, schema.TIMESTAMP)
        columns = [pl.col(schema.USER_ID), pl.col(schema.ITEM_ID), pl.col(schema.TIMESTAMP)]
        shown = impressions.select(*columns, pl.lit(IMPRESSION).alias(schema.EVENT))
        clicked = impressions.filter("click").select(*columns, pl.lit(schema.CLICK).alias(schema.EVENT))
        return SimulatedLogs(_marked(exposures), _marked(pl.concat([shown, clicked])), _marked(impressions))


def draw_lists(chances: np.ndarray, places: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draws lists without repetition, each place from what is left (Plackett-Luce).

    Args:
        chances: float `[rows, items]`, at least `places` of them above 0 in each row. places: int.

    Returns:
        lists int64 `[rows, places]`, and the chance of each item given those above it, float64 `[rows, places]`.
    """
    with np.errstate(divide="ignore"):
        keys = np.log(np.asarray(chances, np.float64)) + rng.gumbel(size=np.shape(chances))
    lists = np.argsort(-keys, axis=1, kind="stable")[:, :places]
    return lists, list_propensities(chances, lists)


def list_propensities(chances: np.ndarray, lists: np.ndarray) -> np.ndarray:
    """The chance that a policy puts each item of a list where it is, given those above it.

    Args:
        chances: float `[rows, items]`, rows sum to 1. lists: int `[rows, places]`.

    Example:
        >>> list_propensities(np.array([[0.5, 0.3, 0.2]]), np.array([[0, 1]])).round(2)
        array([[0.5, 0.6]])
    """
    own = np.take_along_axis(np.asarray(chances, np.float64), lists, axis=1)
    before = np.cumsum(own, axis=1) - own
    left = np.maximum(1 - before, 1e-12)
    return np.minimum(own / left, 1.0)


def _marked(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.lit(True).alias("simulated"))
