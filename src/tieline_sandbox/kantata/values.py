"""Checks of attributes: each takes what was sent and gives what is stored, or refuses with the vendor's words."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any

from tieline_sandbox.kantata import errors

Record = dict[str, Any]
Check = Callable[[Any], Any]


class Invalid(Exception):
    """A value that a field does not take; the message is the vendor's."""


def checked(data: Record, fields: dict[str, Check], problems: list[Record]) -> Record:
    """The known attributes; unknown ones are passed over in silence, as the vendor does."""
    values: Record = {}
    for name, check in fields.items():
        if name not in data:
            continue
        try:
            values[name] = check(data[name])
        except Invalid as error:
            problems.append(errors.invalid(f"{name.replace('_', ' ').capitalize()} {error}", name))
    return values


def text(limit: int) -> Check:
    def check(value: Any) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str):
            raise Invalid("is invalid")
        if len(value) > limit:
            raise Invalid(f"is too long (maximum is {limit} characters)")
        return value.strip()

    return check


def one_of(*allowed: str) -> Check:
    def check(value: Any) -> Any:
        if value not in allowed:
            raise Invalid("is not included in the list")
        return value

    return check


def day(value: Any) -> str | None:
    if value in (None, ""):
        return None
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        raise Invalid("is not a valid date")
    try:
        date.fromisoformat(value)
    except ValueError:
        raise Invalid("is not a valid date") from None
    return value


def flag(value: Any) -> bool:
    if value not in (True, False, "true", "false", "1", "0"):
        raise Invalid("is invalid")
    return value in (True, "true", "1")


def whole(value: Any) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"-?\d+", str(value)):
        raise Invalid("must be an integer")
    return int(value)
