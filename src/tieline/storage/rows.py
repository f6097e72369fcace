"""Rows of the database ↔ records of the engine. Times are stored as microseconds since 1970 UTC, lists as JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from operator import attrgetter
from types import NoneType, UnionType
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
R = TypeVar("R", bound=msgspec.Struct)


def to_micros(moment: datetime) -> int:
    """Aware time → microseconds since 1970 UTC."""
    return (moment - EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


class Codec(Generic[R]):
    """How one record type is stored: its columns in order, to a tuple and back."""

    def __init__(self, record: type[R]) -> None:
        hints = get_type_hints(record)
        self.record = record
        self.columns: tuple[str, ...] = tuple(f.name for f in msgspec.structs.fields(record))
        self._values: Callable[[R], tuple[Any, ...]] = attrgetter(*self.columns)
        # most columns are stored as they are: only the others are touched
        encoders = ((at, _encoder(hints[name])) for at, name in enumerate(self.columns))
        self._encoders = [(at, encode) for at, encode in encoders if encode is not None]
        decoders = ((name, _decoder(hints[name])) for name in self.columns)
        self._decoders = [(name, decode) for name, decode in decoders if decode is not None]

    def encode(self, record: R) -> Sequence[Any]:
        """The column values. Raises AttributeError for a record of another type."""
        values = list(self._values(record))
        for at, encode in self._encoders:
            values[at] = encode(values[at])
        return values

    def decode(self, row: Sequence[Any]) -> R:
        values = dict(zip(self.columns, row, strict=True))
        for name, decode in self._decoders:
            if (value := values[name]) is not None:
                values[name] = decode(value)
        return self.record(**values)


def plain_type(hint: Any) -> Any:
    """The type behind an annotation: `datetime | None` → datetime, `list[str]` → list."""
    if get_origin(hint) in (Union, UnionType):
        return next(a for a in get_args(hint) if a is not NoneType)
    return get_origin(hint) or hint


def _encoder(hint: Any) -> Callable[[Any], Any] | None:
    kind = plain_type(hint)
    if kind is datetime:
        return lambda v: None if v is None else to_micros(v)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return attrgetter("value")
    if kind in (list, dict):
        return lambda v: msgspec.json.encode(v).decode()
    return None


def _decoder(hint: Any) -> Callable[[Any], Any] | None:
    kind = plain_type(hint)
    if kind is datetime:
        return from_micros
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind
    if kind in (list, dict):
        return msgspec.json.decode
    return None
