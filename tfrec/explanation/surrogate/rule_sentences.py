"""Sentences that say a rule, from templates in English and Chinese."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tfrec.explanation.sentences import LANGUAGES, quoted
from tfrec.explanation.surrogate.rules import Fidelity
from tfrec.explanation.surrogate.traits import Trait


@dataclass(frozen=True)
class RuleLanguage:
    """The templates of a language.

    Attributes:
        traits: From the kind of a trait to its words, with `{subject}`, `{column}` and `{number}`.
        also: Between two conditions.
        rule: A rule, with how many of those whom it speaks of it is right, and of how many of all.
        some: What the rules come to.
        none: Said where there is no rule.
    """

    traits: dict[str, str]
    also: str
    rule: str
    some: str
    none: str


RULE_LANGUAGES: Final = {
    "en": RuleLanguage(
        traits={
            "has": "{subject} in their history",
            "ever": "an event on {subject} ({column})",
            "often": "{number}% or more of their events on {subject} ({column})",
            "newest": "a newest event on {subject} ({column})",
            "shorter": "fewer than {number} events",
            "longer": "{number} events or more",
            "recent": "an event in the last {number} days of the data",
            "idle": "no event in the last {number} days of the data",
            "gets": "get {subject} in their list",
            "first": "get {subject} ({column}) first",
            "mostly": "get a list that is mostly {subject} ({column})",
        },
        also=" and ",
        rule="People with {conditions} {outcome}: {agree:.0%} of them ({low:.0%} to {high:.0%}), {base:.0%} of all.",
        some="These rules speak of {covered:.0%} of {measured:,} users from whom they were not made.",
        none=(
            "No rule was found that is right more often than the base rate, measured on {measured:,} users from whom "
            "rules were not made: what lists hold cannot be said in such words."
        ),
    ),
    "zh": RuleLanguage(
        traits={
            "has": "历史中有{subject}",
            "ever": "对{subject}（{column}）有过行为",
            "often": "至少{number}%的行为属于{subject}（{column}）",
            "newest": "最近一次行为属于{subject}（{column}）",
            "shorter": "行为少于{number}次",
            "longer": "行为不少于{number}次",
            "recent": "在数据的最后{number}天内有行为",
            "idle": "在数据的最后{number}天内没有行为",
            "gets": "列表中会有{subject}",
            "first": "列表首位属于{subject}（{column}）",
            "mostly": "列表大多属于{subject}（{column}）",
        },
        also="且",
        rule="{conditions}的用户，{outcome}：占这类用户的{agree:.0%}（{low:.0%}至{high:.0%}），占所有用户的{base:.0%}。",
        some="这些规则适用于{measured:,}位用户中的{covered:.0%}，规则并非由这些用户得出。",
        none="在{measured:,}位未用于得出规则的用户中，没有规则比基准率更准确：列表的内容无法用这样的话来概括。",
    ),
}


def rule_sentence(language: str, conditions: Sequence[Trait], outcome: Trait, fidelity: Fidelity, everyone: int) -> str:
    """Says a rule and how often it is right.

    Args:
        language: "en" or "zh".
        conditions: What people have.
        outcome: What their lists hold.
        fidelity: How often that is so.
        everyone: int. Number of people that it was measured on.

    Example:
        >>> found = Fidelity(40, 30, 50, (0.6, 0.86), (0.2, 0.6))
        >>> rule_sentence("en", [Trait("has", "Alien")], Trait("gets", "Aliens"), found, 200)
        'People with “Alien” in their history get “Aliens” in their list: 75% of them (60% to 86%), 25% of all.'
    """
    words = RULE_LANGUAGES[language]
    low, high = fidelity.agree
    return words.rule.format(
        conditions=words.also.join(_said(language, trait) for trait in conditions),
        outcome=_said(language, outcome),
        agree=fidelity.hits / fidelity.users,
        low=low,
        high=high,
        base=fidelity.all_hits / everyone,
    )


def rules_summary(language: str, rules: int, covered: float, measured: int) -> str:
    """Says of how many people the rules speak, or that there are none.

    Args:
        language: "en" or "zh".
        rules: int. Number of rules.
        covered: float in 0…1. Share of the measured people with the conditions of a rule.
        measured: int. Number of people that rules were measured on.
    """
    words = RULE_LANGUAGES[language]
    return (words.some if rules else words.none).format(covered=covered, measured=measured)


def _said(language: str, trait: Trait) -> str:
    return (
        RULE_LANGUAGES[language]
        .traits[trait.kind]
        .format(subject=quoted(LANGUAGES[language], trait.subject), column=trait.column, number=trait.number)
    )
