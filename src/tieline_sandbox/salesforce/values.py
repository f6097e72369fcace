"""JSON values against field types: what is accepted, how it is kept, and how it is refused.

Kept values: numbers as Decimal at the field's scale, dates as "YYYY-MM-DD", times as "YYYY-MM-DDTHH:MM:SS.000+0000"
(UTC), so that both compare as text. An empty string is null, as in Salesforce.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from tieline_sandbox.salesforce import errors
from tieline_sandbox.salesforce.ids import normalized
from tieline_sandbox.salesforce.schema import NUMBER, TEXT, Field

_LIMIT = Decimal(10) ** 18
_EXPONENT = [Decimal(1).scaleb(-scale) for scale in range(7)]
_DAY = re.compile(r"\d{4}-\d\d-\d\d\Z")


def stamp(moment: datetime) -> str:
    """A time as Salesforce writes it; seconds precision, so records often share one stamp."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def instant(moment: datetime) -> str:
    """A time to the millisecond, to compare stamps with: 10:00:00.700 is later than the stamp of that second."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"


def parsed_time(text: str) -> datetime | None:
    """A time with its offset in any of ISO 8601's spellings, or None."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo is not None and len(text) > 10 else None


def is_day(text: str) -> bool:
    if not _DAY.match(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def rounded(value: Decimal, scale: int = 2) -> Decimal:
    return value.quantize(_EXPONENT[scale], ROUND_HALF_UP)


def kept(field: Field, value: Any) -> Any:
    """The value as the org keeps it. Raises ApiError in Salesforce's words when the type or the range is wrong."""
    if value is None or value == "":
        return field.default if field.type == "boolean" else None
    if field.type in TEXT:
        return _text(field, value)
    if field.type in NUMBER:
        return _number(field, value)
    if field.type == "boolean":
        return _boolean(field, value)
    if field.type in ("date", "datetime"):
        return _moment(field, value)
    return _reference(field, value)


def _text(field: Field, value: Any) -> str:
    if not isinstance(value, str):
        raise errors.BadJsonValue(field.name, "string", value)
    if len(value) > field.length:
        raise errors.too_long(field.label, field.name, value, field.length)
    if field.values and value not in field.values:
        raise errors.bad_picklist(field.label, field.name, value)
    if field.type == "email" and "@" not in value:
        message = f"{field.label}: invalid email address: {value}"
        raise errors.ApiError(400, "INVALID_EMAIL_ADDRESS", message, [field.name])
    return value


def _number(field: Field, value: Any) -> Decimal | int:
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise errors.BadJsonValue(field.name, "int" if field.type == "int" else "double", value)
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise errors.BadJsonValue(field.name, "int" if field.type == "int" else "double", value) from None
    if not number.is_finite() or abs(number) >= _LIMIT:
        raise errors.out_of_range(field.label, field.name, value)
    if field.type == "int":
        return int(number)
    return rounded(number, field.scale)


def _boolean(field: Field, value: Any) -> bool:
    if value in ("true", "false"):
        return bool(value == "true")
    if not isinstance(value, bool):
        raise errors.BadJsonValue(field.name, "boolean", value)
    return value


def _moment(field: Field, value: Any) -> str:
    if isinstance(value, str):
        if field.type == "date" and is_day(value):
            return value
        if field.type == "datetime" and (moment := parsed_time(value)) is not None:
            return stamp(moment)
    raise errors.BadJsonValue(field.name, field.type, value)


def _reference(field: Field, value: Any) -> str:
    if not isinstance(value, str):
        raise errors.BadJsonValue(field.name, "reference", value)
    id18 = normalized(value)
    if id18 is None:
        raise errors.malformed_id(field.label, value, field.name)
    return id18
