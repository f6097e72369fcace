"""How an operation of the API is declared: its docstring describes it, its right and its problems are told with it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import msgspec
from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter, QueryParameter

from tieline.api.v1.problems import KINDS, MEDIA_TYPE, Problem
from tieline.api.v1.tokens import NEEDS
from tieline.app.principal import Permission
from tieline.app.views.reading import View
from tieline.app.views.resolve import NothingFound, resolve

TOKEN = "token"  # noqa: S105 - the name of the security scheme
QUERY = "query"
"""The option of a handler that holds the query parameters it reads: name in the code → name in the address."""
MOST_BYTES = 1_000_000
LONGEST = 200

DealFilter = Annotated[
    str, QueryParameter(max_length=LONGEST, description="Only of this deal: the id of any document of it will do.")
]
ConnectionFilter = Annotated[str, QueryParameter(max_length=LONGEST, description="Only in this system.")]
KindFilter = Annotated[str, QueryParameter(max_length=LONGEST, description="Only documents of this kind.")]
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000, description="Why; kept with what is done.")]
IdempotencyKey = Annotated[
    str,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=LONGEST,
        pattern="^[!-~]+$",
        description=(
            "A text of your own, new for every request: sent again with the same body, it is answered as the first "
            "time and nothing is done twice. Kept for 48 hours."
        ),
    ),
]

_READ = (400, 401, 403, 404, 405, 406, 409, 422, 429, 500, 503)
_WRITE = (*_READ, 413, 415)


async def deal_of(view: View, ident: str) -> str | None:
    """The deal that a filter names by any id; None for none. Raises NothingFound, SeveralDeals."""
    if not ident:
        return None
    if deal := (await resolve(view, ident, quick=True)).deal:
        return deal
    raise NothingFound(f"{ident!r} belongs to no deal yet")


def reads(
    path: str, *, tag: str, media_type: str = "application/json"
) -> Callable[[Callable[..., Any]], HTTPRouteHandler]:
    """An operation that only looks."""

    def declare(function: Callable[..., Any]) -> HTTPRouteHandler:
        return get(path, media_type=media_type, **_told(function, tag, Permission.READ, _READ))(function)

    return declare


def takes(path: str, *, tag: str, needs: Permission) -> Callable[[Callable[..., Any]], HTTPRouteHandler]:
    """An operation with a body; it answers 200, the first time and again."""

    def declare(function: Callable[..., Any]) -> HTTPRouteHandler:
        told = _told(function, tag, needs, _WRITE)
        return post(path, status_code=200, request_max_body_size=MOST_BYTES, **told)(function)

    return declare


def _told(function: Callable[..., Any], tag: str, needs: Permission, statuses: tuple[int, ...]) -> dict[str, Any]:
    summary, _, more = (inspect.getdoc(function) or "").partition("\n")
    first, *rest = function.__name__.split("_")
    return {
        "summary": summary.rstrip("."),
        "description": more.strip() or summary,
        "operation_id": first + "".join(word.capitalize() for word in rest),
        "tags": [tag],
        "security": [{TOKEN: [needs.value]}],
        "opt": {NEEDS: needs, QUERY: _query(function)},
        "responses": {status: _spec(status) for status in statuses},
    }


def _query(function: Callable[..., Any]) -> dict[str, str]:
    hints = get_type_hints(function, include_extras=True)
    marks = ((name, mark) for name, hint in hints.items() for mark in getattr(hint, "__metadata__", ()))
    return {name: mark.name or name for name, mark in marks if isinstance(mark, QueryParameter)}


def _spec(status: int) -> ResponseSpec:
    names = [name for name, kind in KINDS.items() if kind.status == status]
    return ResponseSpec(
        data_container=Problem,
        generate_examples=False,
        description=", ".join(f"{name}: {KINDS[name].title}" for name in names),
        media_type=MEDIA_TYPE,
    )
