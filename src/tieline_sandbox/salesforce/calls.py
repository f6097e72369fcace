"""A REST call and its answer, apart from HTTP, so that composite requests and the wire share one dispatcher."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tieline_sandbox.kernel.app import decode_json, encode_json
from tieline_sandbox.salesforce import errors

_UNSET: Any = object()


@dataclass(slots=True)
class Call:
    """One request below `/services/data/vXX.0`. `resource` is the rest of the path, without slashes at its ends."""

    method: str
    resource: str
    version: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    groups: tuple[str, ...] = ()
    decoded: Any = _UNSET

    @classmethod
    def inner(cls, method: str, resource: str, version: str, query: Mapping[str, str], data: Any) -> Call:
        """A subrequest of a composite request: its body is decoded already."""
        return cls(method, resource, version, query, {}, encode_json(data), (), data)

    @property
    def data(self) -> dict[str, Any]:
        """The JSON object sent. Raises ApiError JSON_PARSER_ERROR or UNSUPPORTED_MEDIA_TYPE."""
        if self.decoded is _UNSET:
            self.decoded = self._decode()
        if not isinstance(self.decoded, dict):
            message = "The HTTP entity body is required, but this request has no entity body."
            raise errors.ApiError(400, "JSON_PARSER_ERROR", message)
        return self.decoded

    def _decode(self) -> Any:
        kind = self.headers.get("content-type", "application/json")
        if "json" not in kind:
            message = f"Content type ({kind}) not supported by this resource"
            raise errors.ApiError(415, "UNSUPPORTED_MEDIA_TYPE", message)
        if not self.body:
            return None
        try:
            return decode_json(self.body)
        except msgspec.DecodeError as error:
            raise errors.ApiError(400, "JSON_PARSER_ERROR", str(error)) from None


@dataclass(slots=True)
class Answer:
    """Status, JSON body (None: no content) and headers."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[[Call], Answer]
Routes = list[tuple[re.Pattern[str], dict[str, Handler]]]


def dispatch(routes: Routes, call: Call) -> Answer:
    """The answer of the first resource that fits; a refusal is an answer too."""
    try:
        for pattern, handlers in routes:
            match = pattern.fullmatch(call.resource)
            if match is None:
                continue
            handler = handlers.get("GET" if call.method == "HEAD" else call.method)
            if handler is None:
                raise errors.method_not_allowed(call.method, list(handlers))
            call.groups = tuple(match.groups())
            return handler(call)
        raise errors.no_resource()
    except errors.BadJsonValue as error:
        return Answer(error.status, error.located(call.body).body())
    except errors.ApiError as error:
        return Answer(error.status, error.body())
