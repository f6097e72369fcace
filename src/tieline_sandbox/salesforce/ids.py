"""Salesforce record ids: 15 case-sensitive characters, or 18 with a checksum of the capitals.

An id is a 3-character key prefix (which object), a 3-character instance, and 9 base-62 digits that count up.
Source: Salesforce Object Reference, "ID field type".
"""

from __future__ import annotations

import re

INSTANCE = "Aa0"

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_FORM = re.compile(r"[A-Za-z0-9]{15}(?:[A-Z0-5]{3})?\Z")


def checksum(id15: str) -> str:
    """The three characters that make a 15-character id safe in systems that ignore case."""
    suffix = ""
    for start in (0, 5, 10):
        bits = sum(1 << place for place in range(5) if "A" <= id15[start + place] <= "Z")
        suffix += _CHECK[bits]
    return suffix


def mint(prefix: str, number: int) -> str:
    """The 18-character id of the number-th record of an object."""
    digits = ""
    for _ in range(9):
        number, digit = divmod(number, 62)
        digits = _DIGITS[digit] + digits
    id15 = prefix + INSTANCE + digits
    return id15 + checksum(id15)


def normalized(text: str) -> str | None:
    """The 18-character form of an id, or None when the text is not one (wrong length, characters or checksum)."""
    if not _FORM.match(text):
        return None
    id18 = text[:15] + checksum(text[:15])
    return id18 if len(text) == 15 or text == id18 else None
