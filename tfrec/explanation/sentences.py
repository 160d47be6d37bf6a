"""Sentences that say why an item is recommended, from templates in English and Chinese."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tfrec import schema
from tfrec.data.behaviour_text import VERBS


@dataclass(frozen=True)
class Language:
    """The templates of a language. Titles are quoted as they are, with white space collapsed.

    Attributes:
        verbs: What a user did, by event kind; other kinds are `other`.
        other: The verb for other kinds, with `{kind}`.
        did: A verb with the items that it is about.
        quoted: A title.
        also: Between two reasons.
        because: The item with reasons.
        although: Added where an event speaks against the item.
        without: Added with a counterfactual.
        popular: The item where no event raises it.
        unknown: The item, for a user of whom nothing is known.
        absent: Said first of an item that is not in the list.
        speaks: What raises it all the same.
        adding: Added with an event that would bring it in.
    """

    verbs: dict[str, str]
    other: str
    did: str
    quoted: str
    also: str
    because: str
    although: str
    without: str
    popular: str
    unknown: str
    absent: str
    speaks: str
    adding: str


LANGUAGES: Final = {
    "en": Language(
        verbs=VERBS,
        other="{kind}:",
        did="{verb} {items}",
        quoted="“{title}”",
        also=" and ",
        because="{item}, because you {reasons}.",
        although=" That you {reasons} speaks against it.",
        without=" Without {events} it would not be in your list.",
        popular="{item}: no single event of yours raises it.",
        unknown="{item} is popular; we know nothing of you yet.",
        absent="{item} is not in your list.",
        speaks=" That you {reasons} speaks for it.",
        adding=" With {events} as your newest event it would be.",
    ),
    "zh": Language(
        verbs={
            schema.VIEW: "浏览了",
            schema.CLICK: "点击了",
            schema.FAVOURITE: "收藏了",
            schema.CART: "加购了",
            schema.PURCHASE: "购买了",
            schema.RATING: "评价了",
            schema.LIKE: "喜欢",
            schema.SHARE: "分享了",
            schema.FOLLOW: "关注了",
            schema.COMMENT: "评论了",
            schema.RETURN: "退回了",
            schema.TAG: "标记了",
        },
        other="({kind})",
        did="{verb}{items}",
        quoted="“{title}”",
        also="，",
        because="推荐{item}：因为您{reasons}。",
        although="您{reasons}，则使它的排名下降。",
        without="若没有{events}，它不会出现在您的列表中。",
        popular="推荐{item}：您的任何单个行为都没有提高它的排名。",
        unknown="{item}很受欢迎；我们还不了解您。",
        absent="{item}不在您的列表中。",
        speaks="您{reasons}，使它的排名上升。",
        adding="若您最新的行为是{events}，它就会出现。",
    ),
}


@dataclass(frozen=True)
class Fact:
    """An event that a sentence names.

    Attributes:
        title: Title of its item.
        kind: Its event kind.
        effect: What the score loses without it.
    """

    title: str
    kind: str
    effect: float


def sentence(
    language: str, title: str, facts: Sequence[Fact], change: Sequence[str], known: bool, listed: bool = True
) -> str:
    """Says why an item is in a list: what raises its score, what lowers it, and without what it would not be there.

    Args:
        language: "en" or "zh".
        title: Title of the item.
        facts: Events in order of importance; those that lower the score are named as such.
        change: Titles of the events without which a listed item leaves the list, or of the one with which another item
            comes in; empty if there is none.
        known: Whether the user has a history.
        listed: Whether the item is in the list.

    Example:
        >>> sentence("en", "Alien", [Fact("Aliens", "rating", 0.4), Fact("Bambi", "view", -0.1)], [], True)
        '“Alien”, because you rated “Aliens”. That you viewed “Bambi” speaks against it.'
    """
    words = LANGUAGES[language]
    item = quoted(words, title)
    if not known and listed:
        return words.unknown.format(item=item)
    raising, lowering = ([fact for fact in facts if fact.effect * sign > 0] for sign in (1, -1))
    if not listed:
        text = words.absent.format(item=item) + (words.speaks.format(reasons=_said(words, raising)) if raising else "")
    elif raising:
        text = words.because.format(item=item, reasons=_said(words, raising))
    else:
        text = words.popular.format(item=item)
    if lowering:
        text += words.although.format(reasons=_said(words, lowering))
    if change:
        events = words.also.join(quoted(words, name) for name in change)
        text += (words.without if listed else words.adding).format(events=events)
    return text


def _said(words: Language, facts: Sequence[Fact]) -> str:
    """What was done with which items, each kind of event once."""
    of_kind: dict[str, list[str]] = {}
    for fact in facts:
        of_kind.setdefault(fact.kind, []).append(quoted(words, fact.title))
    return words.also.join(
        words.did.format(verb=words.verbs.get(kind) or words.other.format(kind=kind), items=words.also.join(titles))
        for kind, titles in of_kind.items()
    )


def quoted(words: Language, title: str) -> str:
    """A title in the quotation marks of a language, with white space collapsed."""
    return words.quoted.format(title=" ".join(title.split()))
