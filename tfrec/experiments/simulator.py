"""A simulated shop to practise on: users with tastes, items with texts, position bias and fatigue.

All output is marked: ids begin with "sim-", and every frame has a column `simulated`. The simulator is for tutorials
and for testing methods; its numbers say nothing about a real shop.
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
    """The logs of a simulated period. Every frame has a column `simulated`, which is true.

    Attributes:
        exposures: One row per visit: user_id, arm, timestamp.
        outcomes: user_id, item_id, event (impression or click), timestamp, for `analyse`.
        impressions: One row per item shown, ordered by visit and position, for off-policy evaluation: user_id, visit,
            place (position from 0), item_id, arm, propensity (of the item given those above it), click, timestamp.
    """

    exposures: pl.DataFrame
    outcomes: pl.DataFrame
    impressions: pl.DataFrame


class Simulator:
    """Simulates users who visit, look down a list from the top, and click items to their taste.

    A user clicks the item at position j (from 0) with probability `position_decay`ʲ · sigmoid(4 · taste + quality −
    2.5) · `fatigue`^(how often the user was shown the item before). Tastes are mixtures of topics; an item has one
    topic. How often each user was shown each item is kept between calls of `run`; `reset` clears it.

    Args:
        num_users: int. Number of users.
        num_items: int. Number of items.
        places: int. Length of the lists.
        position_decay: float in (0, 1]. Probability of looking at a position, relative to the one above.
        fatigue: float in (0, 1]. Factor on the click probability for each earlier impression; 1 is no fatigue.
        visits_a_day: float in (0, 1). Mean number of visits per user and day; users differ.
        seed: int. Seed of users and items; `run` has its own.

    Raises:
        InvalidInput: An argument is outside its range.

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
        """Clears the record of what each user was shown."""
        self.shown = np.zeros((len(self.user_ids), len(self.topic)), np.int32)

    def appeal(self) -> np.ndarray:
        """The true probability that each user clicks each item on looking at it for the first time.

        Returns:
            float64 `[users, items]`.
        """
        logit = 4.0 * self.tastes[:, self.topic] + self.quality - 2.5
        return np.asarray(1 / (1 + np.exp(-logit)))

    def clicks_a_visit(self, chances: np.ndarray, draws: int = 200, seed: int = 0) -> float:
        """The true value of a policy: the mean number of clicks of a user's first visit.

        Args:
            chances: float `[users, items]`, rows sum to 1: probabilities of the items at the first position. Each
                further position is drawn from the remaining items.
            draws: int. Number of lists per user to average over.
            seed: int. Seed of the lists.
        """
        rng = np.random.default_rng(seed)
        look = self.position_decay ** np.arange(self.places)
        total = 0.0
        for _ in range(draws):
            lists, _ = draw_lists(chances, self.places, rng)
            total += float((np.take_along_axis(self.appeal(), lists, axis=1) * look).sum(axis=1).mean())
        return total / draws

    def run(self, spec: ExperimentSpec, policies: Mapping[str, np.ndarray], days: int, seed: int = 0) -> SimulatedLogs:
        """Simulates visits of all users, who are shown lists of their arm's policy.

        Args:
            spec: The experiment, which assigns the arms. Users outside it do not visit.
            policies: Arm to probabilities, float `[users, items]` (see `softmax_policy`).
            days: int. Number of days to simulate.
            seed: int. Seed of visits, lists and clicks.

        Raises:
            InvalidInput: An arm has no policy, or nobody visited.
        """
        arms = assign_users(spec, self.user_ids)[ARM].to_list()
        missing = sorted({arm for arm in arms if arm is not None} - set(policies))
        if missing:
            raise InvalidInput(f"Expected a policy for each arm, received none for {', '.join(missing)}.")
        rng = np.random.default_rng(seed)
        parts = []
        for day in range(days):
            for arm, chances in policies.items():
                members = np.flatnonzero(np.array([assigned == arm for assigned in arms]))
                visiting = members[rng.random(len(members)) < self.activity[members]]
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
    """Draws lists without repetition, each position from the remaining items (Plackett-Luce).

    Args:
        chances: float `[rows, items]`, probabilities; at least `places` of each row are above 0.
        places: int. Length of the lists.
        rng: Random generator.

    Returns:
        lists: int64 `[rows, places]`. propensities: float64 `[rows, places]`, the probability of each item given those
        above it.
    """
    with np.errstate(divide="ignore"):
        keys = np.log(np.asarray(chances, np.float64)) + rng.gumbel(size=np.shape(chances))
    lists = np.argsort(-keys, axis=1, kind="stable")[:, :places]
    return lists, list_propensities(chances, lists)


def list_propensities(chances: np.ndarray, lists: np.ndarray) -> np.ndarray:
    """The probability that a policy places each item at its position, given the items above it.

    Args:
        chances: float `[rows, items]`, rows sum to 1.
        lists: int `[rows, places]`, item indices.

    Returns:
        float64 `[rows, places]`.

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
