"""One request and its answer, as a recording holds them: a line of JSON each, after a first line that says of what.

The invariant: what `asked` and `answered` make holds no secret and no address, so that it may be kept in a repository
and be played by a server on another port.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from typing import Literal
from urllib.parse import quote

import msgspec
from starlette.types import Scope

from tieline_sandbox.kernel.hiding import hide_in_body, hide_pairs

HERE = "http://sandbox.invalid"
"""Stands for the address of the sandbox, in links and headers."""
_KEPT = frozenset({"accept", "content-type", "prefer", "idempotency-key", "zuora-version"})
_KEPT_BEGINNINGS = ("x-netsuite-", "sforce-")
_ANSWER_LEFT_OUT = frozenset({"connection", "content-length", "date", "set-cookie", "transfer-encoding"})


class Body(msgspec.Struct, frozen=True, omit_defaults=True):
    """Text, or the base64 of what is no text."""

    text: str = ""
    base64: str = ""

    def content(self, here: str) -> bytes:
        return base64.b64decode(self.base64) if self.base64 else self.text.replace(HERE, here).encode()


NO_BODY = Body()
"""The one that is left out of the file."""


class Request(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was asked. Of the headers only those that shape an answer are kept."""

    method: str
    path: str
    query: str = ""
    headers: dict[str, str] = {}
    body: Body = NO_BODY


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came back."""

    status: int
    headers: dict[str, str] = {}
    body: Body = NO_BODY


class Exchange(msgspec.Struct, frozen=True, omit_defaults=True):
    """`answer` is None when none came, or half of one: the fault says why. `at` is the sandbox's time."""

    at: str
    request: Request
    answer: Answer | None = None
    fault: str | None = None


class About(msgspec.Struct, frozen=True):
    """The first line of a recording: which vendor, and the sandbox that played it."""

    recording: Literal[1]
    """The version of this format."""
    vendor: str
    recorded_at: str
    sandbox: str
    """The version of the package."""
    seed: int
    clock: str
    """The time of the sandbox when the recording began."""


def address_of(scope: Scope) -> str:
    """The address that the client called, as vendors repeat it in links."""
    hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    return f"{scope['scheme']}://{''.join(hosts)}"


def asked(scope: Scope, content: bytes) -> Request:
    """The request without secrets, and with nothing that differs each time it is sent."""
    here = address_of(scope)
    given = _decoded(scope["headers"])
    content_type = given.get("content-type", "")
    # whoever sends files invents a boundary at each request
    if boundary := re.search(r'boundary="?([^";]+)', content_type):
        content = content.replace(boundary[1].encode(), b"boundary")
        given["content-type"] = content_type.replace(boundary[1], "boundary")
    query = scope["query_string"].decode("latin-1").replace(quote(here, safe=""), quote(HERE, safe=""))
    return Request(
        scope["method"],
        scope["path"],
        hide_pairs(query.replace(here, HERE)),
        {name: value for name, value in given.items() if name in _KEPT or name.startswith(_KEPT_BEGINNINGS)},
        _body(content, content_type, here),
    )


def answered(status: int, headers: Mapping[str, str], content: bytes, here: str) -> Answer:
    """The answer without secrets."""
    kept = {n: v.replace(here, HERE) for n, v in headers.items() if n.lower() not in _ANSWER_LEFT_OUT}
    return Answer(status, kept, _body(content, headers.get("content-type", ""), here))


def _body(content: bytes, content_type: str, here: str) -> Body:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return Body(base64=base64.b64encode(content).decode())
    return Body(hide_in_body(text.replace(here, HERE), content_type)) if text else NO_BODY


def _decoded(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
