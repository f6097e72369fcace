"""The REST API: its operations, scopes and problems, from its OpenAPI document; and that document itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec

from tieline.api.v1.app import MOUNTED_AT, openapi
from tieline.api.v1.problems import KINDS, TYPES
from tieline.api.v1.tokens import PER_MINUTE
from tieline.app.reference.markdown import page, table


@cache
def _told() -> dict[str, Any]:
    return openapi()


def document() -> str:
    """The OpenAPI document as a hub serves it."""
    return msgspec.json.format(msgspec.json.encode(_told(), order="deterministic"), indent=1).decode() + "\n"


def api() -> str:
    """The page: every operation by subject, then the problems."""
    told = _told()
    parts = [
        (
            "How to use it: [use the API](../how-to/use-the-api.md). A hub serves its OpenAPI document at "
            f"`{MOUNTED_AT}/schema/openapi.json`; [the same file](openapi.json) stands here, so that a change of the "
            "API is seen in a review."
        ),
        told["info"]["description"],
        (
            f"A token may make {PER_MINUTE} requests a minute where it does not say otherwise; `RateLimit` and "
            "`RateLimit-Policy` tell what is left."
        ),
    ]
    for tag, operations in _by_tag(told).items():
        rows = [
            (f"`{method.upper()} {MOUNTED_AT}{path}`", operation["summary"], _scope(operation), _parameters(operation))
            for path, method, operation in operations
        ]
        parts += [f"## {tag}", table(("call", "does", "scope", "takes"), rows)]
    return page(
        "The REST API", *parts, "## Problems", _PROBLEMS, table(("type", "status", "means", "what to do"), _problems())
    )


_PROBLEMS = (
    "What goes wrong is answered as `application/problem+json` (RFC 9457): `type`, `title`, `status`, `detail`, "
    f"`instance`; `errors` names each field that is wrong, `choices` what an id may mean. `type` is `{TYPES}` and:"
)


def _problems() -> Iterator[tuple[str, ...]]:
    for name, kind in KINDS.items():
        yield f"`{name}`", str(kind.status), kind.title, kind.do


def _by_tag(told: dict[str, Any]) -> dict[str, list[tuple[str, str, dict[str, Any]]]]:
    found: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            found.setdefault(operation["tags"][0], []).append((path, method, operation))
    return dict(sorted(found.items()))


def _scope(operation: dict[str, Any]) -> str:
    ((scopes,),) = (list(one.values()) for one in operation["security"])
    return ", ".join(f"`{scope}`" for scope in scopes)


def _parameters(operation: dict[str, Any]) -> str:
    names = [f"`{one['name']}`" for one in operation.get("parameters", ()) if one["in"] == "query"]
    body = operation.get("requestBody")
    if body is not None:
        reference = body["content"]["application/json"]["schema"]["$ref"]
        names.append(f"{re.sub('.*/', '', reference)} in the body")
    return ", ".join(names)
