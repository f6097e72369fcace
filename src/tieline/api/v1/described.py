"""The OpenAPI document with what Litestar leaves out: what each shape means, closed bodies, examples, headers.

The invariant: everything added here is true of the answers; tests/api holds the two together.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any, get_type_hints

import msgspec
from litestar import Litestar, Response
from litestar.handlers import HTTPRouteHandler

EXAMPLES: dict[str, dict[str, Any]] = {
    "Decision": {
        "action": "link",
        "reason": "the same company",
        "arguments": {"external_id": "1042"},
    },
    "Approval": {"approved": True, "reason": "agreed with the region"},
    "Comment": {"text": "asked the customer for the tax id"},
    "Assignment": {"owner": "rita", "reason": "she knows the customer"},
    "Correction": {"key": "GTXPro", "value": {"netsuite": "881"}, "reason": "a new product"},
    "ReplayWanted": {"deal": "salesforce-006WON000000001AAA"},
    "ReplayRequest": {"process": "post-invoice", "since": "2026-11-01T00:00:00Z", "reason": "the tax table was wrong"},
    "StopSystem": {"how": "drain", "reason": "month end"},
    "ResumeSystem": {"reason": "the books are closed"},
}
"""A body of each shape that operations take."""
_HEADERS = {
    "200": {"Link": "The address of the next page, where there is one.", "RateLimit": "What is left of the quota."},
    "401": {"WWW-Authenticate": "What kind of token is needed."},
    "405": {"Allow": "What can be done here."},
    "409": {"Retry-After": "Seconds, where repeating helps."},
    "429": {"Retry-After": "Seconds until the next request is taken."},
    "503": {"Retry-After": "Seconds until it is worth trying again."},
}
_PAGE = re.compile(r"\bPage_(?:\w+\.)*(\w+)_")
"""How Litestar calls a page of something."""
_FALSE = ("deprecated", "allowEmptyValue", "allowReserved")


def completed(application: Litestar, document: dict[str, Any]) -> dict[str, Any]:
    """The document, completed."""
    told: dict[str, Any] = msgspec.json.decode(_PAGE.sub(r"\1Page", msgspec.json.encode(document).decode()))
    components = told["components"]
    _describe(application, components["schemas"])
    components["responses"] = {}
    for path in told["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                _plain(parameter)
            _share_problems(operation["responses"], components["responses"])
    return told


def _describe(application: Litestar, schemas: dict[str, Any]) -> None:
    """Docstrings; bodies take no other fields than theirs."""
    for kind in {kind for handler in _handlers(application) for kind in _structs(handler)}:
        schema = schemas.get(kind.__name__)
        if schema is None:
            continue
        schema["description"] = inspect.cleandoc(kind.__doc__ or "")
        if kind.__struct_config__.forbid_unknown_fields:
            schema["additionalProperties"] = False
            schema["examples"] = [EXAMPLES[kind.__name__]]


def _plain(parameter: dict[str, Any]) -> None:
    """A parameter that may be left out: no default that says so, and neither null nor nothing for a value."""
    for name in _FALSE:
        parameter.pop(name, None)
    schema = parameter["schema"]
    values = [one for one in schema.pop("oneOf", ()) if one != {"type": "null"}]
    for value in values:  # one: a query has no other unions
        schema.update(value)
    if schema.get("default") == "":
        del schema["default"]
    if parameter["in"] == "query" and schema.get("type") == "string":
        schema.setdefault("minLength", 1)


def _share_problems(responses: dict[str, Any], shared: dict[str, Any]) -> None:
    """The problems of all operations are told once."""
    for status, response in responses.items():
        headers = _HEADERS.get(status, {})
        response["headers"] = {n: {"description": text, "schema": {"type": "string"}} for n, text in headers.items()}
        if status != "200":
            shared[f"Problem{status}"] = response
            responses[status] = {"$ref": f"#/components/responses/Problem{status}"}


def _handlers(application: Litestar) -> Iterator[HTTPRouteHandler]:
    for route in application.routes:
        for handler in getattr(route, "route_handlers", ()):
            if handler.resolve_include_in_schema():
                yield handler


def _structs(handler: HTTPRouteHandler) -> Iterator[type[msgspec.Struct]]:
    """Every Struct that the operation takes or answers, those inside others too."""
    hints = get_type_hints(handler.fn, include_extras=True)
    for hint in (hints["return"], hints.get("data")):
        inner = getattr(hint, "__args__", (hint,)) if getattr(hint, "__origin__", None) is Response else (hint,)
        yield from _inside(msgspec.inspect.multi_type_info([one for one in inner if one is not None]))


def _inside(found: Any) -> Iterator[type[msgspec.Struct]]:
    """The Structs in what msgspec knows of types."""
    seen: set[int] = set()
    waiting = [*found]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or not isinstance(one, msgspec.Struct):
            continue
        seen.add(id(one))
        if isinstance(one, msgspec.inspect.StructType):
            yield one.cls
        for name in one.__struct_fields__:
            value = getattr(one, name)
            waiting += value if isinstance(value, tuple) else [value]
