"""Lists in pages: a cursor names the last row of the page before, so rows added meanwhile move nothing.

The invariant: going from page to page gives every row that was there at the beginning once, whatever is added.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response
from litestar.params import QueryParameter

from tieline.api.v1.problems import Refusal, address

T = TypeVar("T")
R = TypeVar("R")
P = TypeVar("P")

MOST = 200
Limit = Annotated[int, QueryParameter(ge=1, le=MOST, description="How many at most.")]
CursorText = Annotated[
    str,
    QueryParameter(max_length=1_000, description="`next` of the page before; it holds for the same list and filters."),
]


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """Some rows of a list. `next` is the cursor of the page behind it, null where the list ends for now."""

    items: list[T]
    next: str | None


def place(name: str, cursor: str, position: type[P]) -> P | None:
    """The position that a cursor of the list `name` holds; None for the beginning. Raises Refusal."""
    if not cursor:
        return None
    try:
        packed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        of, *rest = msgspec.json.decode(packed)
        if of == name:
            return msgspec.convert(rest, position)
    except (binascii.Error, ValueError, TypeError):
        pass  # made up or cut off: said below
    raise Refusal("invalid-cursor", f"{cursor!r} is no cursor of this list")


def page_of(
    request: Request[Any, Any, Any],
    name: str,
    rows: Sequence[R],
    limit: int,
    position: Callable[[R], Sequence[Any]],
    shown: Callable[[R], T],
) -> Response[Page[T]]:
    """The page that shows `rows`, of which one more was read than it takes: whether there is a next."""
    kept = rows[:limit]
    after = _cursor(name, position(kept[-1])) if len(rows) > limit else None
    page = Page(items=[shown(row) for row in kept], next=after)
    return Response(page, headers={"Link": f'<{_next(request, after)}>; rel="next"'} if after else None)


def _cursor(name: str, position: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode([name, *position])).decode().rstrip("=")


def _next(request: Request[Any, Any, Any], cursor: str) -> str:
    query = [(key, value) for key, value in request.query_params.multi_items() if key != "cursor"]
    return f"{address(request)}?{urlencode([*query, ('cursor', cursor)])}"
