# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4. A feed: freshness, creators, exploration
#
# **Everything here is simulated**: people with tastes, creators with topics, posts that appear and age, and likes,
# shares and follows drawn with known probabilities. No figure says anything about a real feed. But unlike a real log, a
# simulation knows the truth, so results can be compared with it.
#
# The notebook needs the extra `notebooks`: run `pip install -e '.[notebooks]'` in a clone first (also on Colab, which
# is untested).

# %% tags=["parameters"]
people = 800
posts = 900
days = 30
epochs = 12
explore_days = 40
folder = "runs/notebooks/04"

# %%
import json
import logging
from pathlib import Path

import tfrec  # before TensorFlow: it chooses Keras 2  # isort: skip
import matplotlib.pyplot as plt
import numpy as np
import polars as pl

from tfrec.experiments import Simulator, draw_lists, epsilon_greedy_policy, thompson_policy

folder = Path(folder)
logging.getLogger("tensorflow").setLevel(logging.ERROR)
rng = np.random.default_rng(0)

# %% [markdown]
# ## The world
#
# `Simulator` gives people tastes (mixtures of topics), and posts a topic, a text and a quality. In addition, each post
# has a creator, who has one topic, and the day on which it appears. Its appeal halves every five days.

# %%
world = Simulator(people, posts, places=8, visits_a_day=0.5, seed=0)
creators = 60
creator_topic = rng.integers(0, world.topic.max() + 1, creators)
fame = rng.gamma(0.7, 1, creators)
creator = np.array([rng.choice(creators, p=(w := fame * (creator_topic == t)) / w.sum()) for t in world.topic])
born = np.sort(rng.integers(-10, days, posts))
items = world.items.with_columns(
    pl.Series("creator", [f"by creator {c}" for c in creator]), pl.Series("born", born)
).drop("topic")
items.head(3)


# %%
def appeal(day):
    """The truth: chance that each person clicks each post on a day when looking at it; 0 before it is born."""
    age = day - born
    return world.appeal() * np.where(age >= 0, 0.5 ** (np.maximum(age, 0) / 5), 0)


def feed(chances, day, visiting):
    """One visit each: lists drawn from `chances`, and what people did to them, as events."""
    lists, propensity = draw_lists(chances[visiting], world.places, rng)
    seen = rng.random(lists.shape) < world.position_decay ** np.arange(world.places)
    click = seen & (rng.random(lists.shape) < np.take_along_axis(appeal(day)[visiting], lists, axis=1))
    parts = []
    for kind, share in (("click", 1.0), ("like", 0.4), ("share", 0.15), ("follow", 0.08)):
        rows, places = np.nonzero(click & (rng.random(lists.shape) < share))
        second = 1_750_000_000 + day * 86_400 + rng.integers(0, 86_000, len(visiting))[rows] + places
        parts.append(
            pl.DataFrame({
                "user_id": pl.Series(world.user_ids)[visiting[rows]],
                "item_id": items["item_id"][lists[rows, places]],
                "event": pl.repeat(kind, len(rows), eager=True),
                "timestamp": second + ("click", "like", "share", "follow").index(kind),
            })
        )  # fmt: skip
    return lists, click, pl.concat(parts)


log = []
for day in range(days):
    live = np.where(born <= day, np.exp(-(day - born) / 6), 0.0)  # the old feed: newest first, with some chance
    chances = np.tile(live / live.sum(), (people, 1))
    log.append(feed(chances, day, np.flatnonzero(rng.random(people) < world.activity))[2])
log = pl.concat(log)
log.group_by("event").len().sort("len", descending=True)

# %% [markdown]
# ## Train on the log
#
# The split is by time, as it must be for a feed: the last tenth of the events is the test. All four behaviours are
# targets. The model reads the kind of each event in a history (a share says more than a click).

# %%
data = tfrec.prepare(log, items, folder / "data", split="global-time", force=True)
config = tfrec.RunConfig().with_values([f"training.epochs={epochs}", "evaluation.bootstrap=200"])
run = tfrec.train(data, folder / "run", config, force=True)
metrics = tfrec.evaluate(run, data)
counts = data.manifest["counts"]["test"]
print(f"{counts['targets']} targets of the test are posts that training knows, {counts['cold_item_targets']} are newer")
pl.DataFrame(
    [{"model": "next-item", "ndcg@10": metrics["ndcg@10"]}]
    + [{"model": name, "ndcg@10": row["ndcg@10"]} for name, row in metrics["baselines"].items()]
)

# %% [markdown]
# ## Freshness
#
# A feed lives from posts that nobody has acted on yet. They have no learned id vector, but they have a text. Among the
# posts that training never saw, the order of the model is compared with that of similarity to the last item, and with
# chance. (A post's text is only three words and a creator here, so plain similarity may well win: the model has seen
# few posts from which to learn what texts mean to people.)

# %%
cold = metrics["slices"]["cold_items"]
names = {"among_cold": "the model", "text_among_cold": "text of the last item", "random_among_cold": "chance"}
plt.figure(figsize=(6, 2.5))
plt.barh(list(names.values()), [cold[name] for name in names])
plt.title(f"ndcg@10 among {cold['items']} new posts, {cold['users']} people")
plt.show()

# %% [markdown]
# The score knows taste, but not age, and the value of a post today depends on both. So lists are ordered by score +
# boost · log(decay by age). How large should the boost be? For a real feed an A/B test decides (notebook 6). Here we
# know the truth: the mean probability that a person clicks what the list shows.

# %%
today = days
histories = data.histories()
scorer = run.scorer(data)
person = np.array([int(user.removeprefix("sim-u")) for user in histories.user_ids])
place = np.array([int(item.removeprefix("sim-i")) for item in data.item_ids])  # catalogue row to post
scores = scorer.scores(histories, np.arange(len(histories)))
age = today - born[place]
truth = appeal(today)[np.ix_(person, place)]
look = world.position_decay ** np.arange(10)


def worth(lists):
    """Clicks of a visit that the truth expects from lists [people, 10]."""
    return float((np.take_along_axis(truth, lists, axis=1) * look).sum(axis=1).mean())


boosts = [0, 0.5, 1, 2, 4, 8, 16]
values = [worth(np.argsort(-(scores - boost * age * np.log(2) / 5), axis=1)[:, :10]) for boost in boosts]
best_boost = boosts[int(np.argmax(values))]
plt.plot(boosts, values, marker="o", label="taste + boost · freshness")
plt.axhline(worth(np.tile(np.argsort(age, kind="stable")[:10], (len(person), 1))), ls=":", label="newest first")
plt.axhline(worth(np.argsort(-truth, axis=1)[:, :10]), ls="--", c="grey", label="the best possible")
plt.gca().set(xlabel="boost", ylabel="clicks a visit (truth)", title="Taste and freshness")
plt.legend()
plt.show()

# %% [markdown]
# ## Creators
#
# Fame feeds on itself. How evenly is attention distributed over creators (Gini: 0 is even, 1 is all on one), and what
# does it cost to limit the posts of one creator in a list?

# %%
final = scores - best_boost * age * np.log(2) / 5
order = np.argsort(-final, axis=1)[:, :200]


def at_most(cap):
    """The first ten of each order with at most `cap` posts of one creator."""
    lists = np.empty((len(order), 10), int)
    for row, ranked in enumerate(order):
        used, kept = {}, []
        for post in ranked:
            owner = creator[place[post]]
            if used.get(owner, 0) < cap:
                used[owner] = used.get(owner, 0) + 1
                kept.append(post)
            if len(kept) == 10:
                break
        lists[row] = kept
    return lists


def gini(lists):
    """Of the looks that creators get."""
    looks = np.bincount(creator[place[lists]].ravel(), np.tile(look, len(lists)), minlength=creators)
    return float((2 * np.arange(1, creators + 1) - creators - 1) @ np.sort(looks) / creators / looks.sum())


caps = pl.DataFrame(
    [
        {"posts of a creator": cap, "gini": gini(at_most(cap)), "clicks a visit": worth(at_most(cap))}
        for cap in (10, 3, 2, 1)
    ]
)
caps

# %% [markdown]
# ## Exploration
#
# There are forty new posts of unknown quality, and every day the clicks so far decide what is shown first. *Greedy*
# shows the post with the best rate so far and never learns about the others. *ε-greedy* leaves a tenth to chance.
# *Thompson* shows a post as often as it may still be the best. All three log their propensities, so that their logs can
# be used for off-policy evaluation.

# %%
shop = Simulator(2000, 40, places=3, fatigue=1.0, visits_a_day=0.3, seed=2)
truth_40 = shop.appeal()


def explore(policy, seed):
    """Mean true appeal of what is shown first, day by day."""
    draw = np.random.default_rng(seed)
    clicks, shown, curve = np.zeros(40, int), np.zeros(40, int), []
    for day in range(explore_days):
        chances = policy(clicks, shown, day)
        visiting = draw.choice(len(truth_40), 100)
        lists, _ = draw_lists(np.tile(chances, (len(visiting), 1)), 1, draw)
        chance = truth_40[visiting, lists[:, 0]]
        np.add.at(shown, lists[:, 0], 1)
        np.add.at(clicks, lists[:, 0], draw.random(len(visiting)) < chance)
        curve.append(truth_40.mean(axis=0)[lists[:, 0]].mean())
    return curve


def rate(clicks, shown):
    """Clicks over showings, with a fifth of a click in one showing assumed before any."""
    return ((clicks + 0.2) / (shown + 1.0))[None]


policies = {
    "greedy": lambda c, s, day: epsilon_greedy_policy(rate(c, s), 0.0)[0],
    "ε-greedy, 0.1": lambda c, s, day: epsilon_greedy_policy(rate(c, s), 0.1)[0],
    "Thompson": lambda c, s, day: thompson_policy(c, s, draws=400, seed=day),
}
curves = {name: np.mean([explore(policy, seed) for seed in range(10)], axis=0) for name, policy in policies.items()}
for name, curve in curves.items():
    plt.plot(curve, label=name)
plt.axhline(truth_40.mean(axis=0).max(), ls="--", c="grey", label="the best post")
plt.gca().set(
    xlabel="day", ylabel="chance to be clicked (truth)", title="What exploring buys (mean of 10 worlds of clicks)"
)
plt.legend()
plt.show()

# %%
figures = {
    "ndcg": metrics["ndcg@10"],
    "cold": {name: cold[name] for name in names},
    "boost": [values[0], max(values)],
    "gini": caps["gini"].to_list(),
    "last_days": {name: float(curve[-5:].mean()) for name, curve in curves.items()},
}
print(json.dumps(figures))
