"""Between typed values and the documents that tables read and make: dates as ISO text, amounts as Decimal."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from tieline.mapping.failures import FieldFailure, MappingFailed

T = TypeVar("T")


def to_document(value: Any) -> dict[str, Any]:
    """A Struct as a document. Amounts stay Decimal: as text they would join instead of add somewhere."""
    document: dict[str, Any] = msgspec.to_builtins(value, builtin_types=(Decimal,))
    return document


def from_document(document: dict[str, Any], kind: type[T], *, table: str = "", version: int = 0) -> T:
    """The Struct a document describes. Raises MappingFailed, naming the table that made the document, when it does not.

    The check is the type's own: a field that is missing or of the wrong kind, or what its constructor refuses.
    """
    try:
        return msgspec.convert(document, kind)
    except (msgspec.ValidationError, ValueError) as exc:
        failure = FieldFailure(kind.__name__, "", "", str(exc), table or kind.__name__, 0)
        raise MappingFailed(table or kind.__name__, version, [failure]) from exc
