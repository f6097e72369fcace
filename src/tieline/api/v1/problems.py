"""Every answer that is not what was asked for: one table of kinds, told as RFC 9457 problem details.

The invariant: whatever is wrong with a request is said with a status below 500, and names the field where one is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.enums import ParamType
from litestar.exceptions import HTTPException, ValidationException

from tieline.app.cases import NotDecidable
from tieline.app.principal import NotAllowed
from tieline.app.views.resolve import NothingFound, SeveralDeals
from tieline.errors import ConcurrencyConflict, ConfigurationError, StoreFailed, TielineError, TransientError

MEDIA_TYPE = "application/problem+json"
TYPES = "tag:tieline,2026:problem/"
"""Names that lead nowhere on purpose (RFC 9457, 3.1.1): a hub has no address of its own that all clients share."""

_log = structlog.get_logger("tieline.api")


class FieldError(msgspec.Struct, frozen=True, kw_only=True):
    """One field that is wrong. `where` is a path: `query.limit`, `body.action`, `header.Idempotency-Key`."""

    where: str
    message: str


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One of several things that an id may mean: `name` leads to it alone."""

    name: str
    what: str
    deals: tuple[str, ...]


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong (RFC 9457). `type` is what a program goes by, `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str = ""
    instance: str = ""
    errors: tuple[FieldError, ...] = ()
    choices: tuple[Choice, ...] = ()


class Kind(msgspec.Struct, frozen=True):
    """A kind of problem: its status and title, and what a client does about it."""

    status: int
    title: str
    do: str


KINDS: dict[str, Kind] = {
    "invalid-request": Kind(400, "The request is not as it should be", "Correct what `errors` names."),
    "invalid-cursor": Kind(400, "The cursor is not one of this list", "Begin the list again, without `cursor`."),
    "unauthenticated": Kind(401, "A valid token is needed", "Send `Authorization: Bearer tl_…` with a token in force."),
    "not-allowed": Kind(403, "This token may not do this", "Use a token with that scope, of a person with that right."),
    "not-found": Kind(404, "Nothing was found", "Check the id; `GET /v1/resolve` takes any id of any system."),
    "method-not-allowed": Kind(405, "This cannot be done here", "`Allow` names the methods of the address."),
    "not-acceptable": Kind(406, "Only JSON is answered here", "Accept `application/json` and problems as JSON."),
    "conflict": Kind(409, "Somebody else was first", "Read again what stands now, then decide again."),
    "several-found": Kind(409, "The id means several things", "Ask again with the `name` of one of `choices`."),
    "key-in-use": Kind(409, "The same request is being carried out", "Repeat it after `Retry-After`."),
    "outcome-unknown": Kind(
        409,
        "It is not known what became of the request",
        "The hub stopped, broke or was restored in the midst of it. Read what stands; if it is not done, send it again "
        "with a new key.",
    ),
    "too-large": Kind(413, "The body is too large", "Send less at once; a body may have 1 MB."),
    "unsupported-media-type": Kind(415, "The body must be JSON", "Send `Content-Type: application/json`."),
    "refused": Kind(422, "This cannot be done", "`detail` says why and what can be done instead."),
    "key-reused": Kind(422, "The key belongs to another request", "Make a new key for every request that is another."),
    "quota-exceeded": Kind(429, "Too many requests", "Wait as long as `Retry-After` says."),
    "broken": Kind(500, "Something broke here", "The log of the hub says what. Read what stands before trying again."),
    "not-now": Kind(503, "Not now", "Nothing was done: repeat it later, with the same key."),
}
"""The kinds of problems by the last part of their type."""


class Refusal(Exception):
    """A request that is answered with a problem of this kind."""

    def __init__(
        self,
        kind: str,
        detail: str,
        errors: Iterable[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.errors, self.headers = kind, detail, tuple(errors), dict(headers or {})


def answer(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """The problem that an error is told as."""
    handler = request.scope.get("route_handler")
    problem, headers = problem_of(error, address(request), handler.opt.get("query", {}) if handler else {})
    if problem.status == 500:
        _log.error("an API call broke", path=problem.instance, exc_info=error)
    return Response(problem, status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


def address(request: Request[Any, Any, Any]) -> str:
    """The path as the client wrote it: the application is mounted, and `path` is what is left of it."""
    raw: bytes = request.scope.get("raw_path") or b""
    return raw.decode("ascii", "replace")


def problem_of(
    error: Exception, instance: str, named: Mapping[str, str] | None = None
) -> tuple[Problem, dict[str, str]]:
    """The problem of an error, and the headers that go with it. `named`: how the code's parameters are called."""
    if isinstance(error, Refusal):
        return _problem(error.kind, error.detail, instance, errors=error.errors), error.headers
    if isinstance(error, TielineError):
        return _of_ours(error, instance)
    if isinstance(error, ValidationException):
        return _problem("invalid-request", "", instance, errors=_fields(error, named or {})), {}
    if isinstance(error, HTTPException):
        kind = _BY_STATUS.get(error.status_code, "invalid-request" if error.status_code < 500 else "broken")
        return _problem(kind, _DETAILS.get(kind, error.detail), instance), dict(error.headers or {})
    return _problem("broken", "Nothing was changed halfway.", instance), {}


_BY_STATUS = {404: "not-found", 405: "method-not-allowed", 413: "too-large"}
_DETAILS = {
    "not-found": "There is no such address; GET /api/schema/openapi.json lists those there are.",
    "method-not-allowed": "The header `Allow` names what can be done here.",
}
_OURS: tuple[tuple[type[TielineError], str], ...] = (
    (NotAllowed, "not-allowed"),
    (NothingFound, "not-found"),
    (SeveralDeals, "several-found"),
    (ConcurrencyConflict, "conflict"),
    (NotDecidable, "refused"),
    (TransientError, "not-now"),
    (StoreFailed, "not-now"),
    (ConfigurationError, "invalid-request"),
    (TielineError, "refused"),
)


def _of_ours(error: TielineError, instance: str) -> tuple[Problem, dict[str, str]]:
    kind = next(name for of, name in _OURS if isinstance(error, of))
    choices: tuple[Choice, ...] = ()
    if isinstance(error, SeveralDeals):
        choices = tuple(Choice(name=m.name, what=m.what, deals=m.deals) for m in error.matches)
    headers = {"Retry-After": str(round(error.retry_after_s) or 5)} if isinstance(error, TransientError) else {}
    return _problem(kind, str(error), instance, choices=choices), headers


def _problem(kind: str, detail: str, instance: str, **more: Any) -> Problem:
    known = KINDS[kind]
    return Problem(type=TYPES + kind, title=known.title, status=known.status, detail=detail, instance=instance, **more)


def _fields(error: ValidationException, named: Mapping[str, str]) -> tuple[FieldError, ...]:
    """What Litestar says of each parameter or field of the body."""
    if missing := _MISSING.match(error.detail):
        return (FieldError(where=f"{missing[1]}.{missing[2]}", message="this is needed"),)
    told = [one for one in error.extra if isinstance(one, dict)] if isinstance(error.extra, list) else []
    return tuple(_field(one, named) for one in told) or (FieldError(where="request", message=error.detail),)


_MISSING = re.compile(r"Missing required (\w+) parameter '(.+?)' for path")
_FIELD = re.compile(r"Object (?:missing required|contains unknown) field `(.+?)`")
_BODY = "data"
"""What handlers call the body."""


def _field(told: dict[str, Any], named: Mapping[str, str]) -> FieldError:
    source, key, message = told.get("source", "body"), str(told.get("key", "")), str(told.get("message", ""))
    path = [source.value if isinstance(source, ParamType) else str(source)]
    path += [named.get(key, key)] if key not in ("", _BODY) else []
    path += _FIELD.findall(message)
    return FieldError(where=".".join(path), message=message)
