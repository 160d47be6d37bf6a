"""Takes e-mail addresses and phone numbers out of item texts, which people wrote."""

from __future__ import annotations

import re

import polars as pl

from tfrec import schema
from tfrec.errors import InvalidInput, Unavailable

EMAIL, PHONE = "[e-mail]", "[phone]"
_EMAIL = re.compile(r"[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,63}")
"""What is written as an address; bounded, so that hostile text takes no longer than other text."""
_MAY_BE_PHONE = re.compile(r"\d\D{0,4}\d\D{0,4}\d\D{0,4}\d\D{0,4}\d\D{0,4}\d\D{0,4}\d")
"""Seven digits near each other: without them there is no phone number, and the search is spared."""


def without_contacts(items: pl.DataFrame, region: str | None) -> pl.DataFrame:
    """The catalogue with `[e-mail]` and `[phone]` in the place of addresses and numbers, in all columns of words.

    Phone numbers are those that exist, by the numbering plans of the package phonenumbers (Google's libphonenumber).

    Args:
        items: The catalogue.
        region: Country, such as "DE", whose numbers are found without their country code too; None for none.

    Raises:
        InvalidInput: There is no such region.
        Unavailable: The package phonenumbers is not installed.
    """
    _checked(region)
    columns = [name for name, kind in items.schema.items() if kind == pl.String and name != schema.ITEM_ID]
    return items.with_columns(
        pl.Series(name, [None if text is None else scrubbed(text, region) for text in items[name]], pl.String)
        for name in columns
    )


def scrubbed(text: str, region: str | None) -> str:
    """A text without e-mail addresses and phone numbers.

    Args:
        text: The text.
        region: As for `without_contacts`.
    """
    from phonenumbers import PhoneNumberMatcher

    text = _EMAIL.sub(EMAIL, text) if "@" in text else text
    if not _MAY_BE_PHONE.search(text):
        return text
    for match in reversed(list(PhoneNumberMatcher(text, region))):
        text = text[: match.start] + PHONE + text[match.end :]
    return text


def _checked(region: str | None) -> None:
    try:
        from phonenumbers import SUPPORTED_REGIONS
    except ImportError:
        raise Unavailable(
            "data.scrub_contacts needs phonenumbers. Install the extra: pip install 'tfrec-bert[scrub]'."
        ) from None
    if region is not None and region not in SUPPORTED_REGIONS:
        raise InvalidInput(f"data.scrub_region: expected a country of two letters, such as DE; received {region!r}.")
