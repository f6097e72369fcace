"""Recorded traffic: one request and its answer, as the sandbox's request log has them while bodies are recorded."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

FORM, JSON = "application/x-www-form-urlencoded", "application/json"
UNANSWERED = frozenset({"drop_request", "drop_response", "cut_response", "outage"})


class Part(NamedTuple):
    """A body and what its sender calls it. `media` is without parameters and empty where there is no body."""

    media: str
    body: str
    headers: Mapping[str, str]

    def decoded(self) -> Any:
        """JSON, or a form's fields as an object. Raises ValueError when the body is neither."""
        if self.media == FORM:
            return dict(parse_qsl(self.body, keep_blank_values=True, strict_parsing=True))
        return json.loads(self.body)


class Exchange(NamedTuple):
    """`answer` is None where a fault kept it from the client; `query` is as sent, decoded, repeats kept."""

    method: str
    path: str
    query: list[tuple[str, str]]
    status: int
    request: Part
    answer: Part | None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def exchanges(entries: Iterable[Mapping[str, Any]]) -> Iterator[Exchange]:
    """The exchanges among log entries; those made before recording began have no bodies and are left out."""
    for entry in entries:
        if "request_headers" in entry:
            exchange = _exchange(entry)
            yield exchange
            yield from _parts_of_composite(exchange)


def _exchange(entry: Mapping[str, Any]) -> Exchange:
    lost = entry["fault"] in UNANSWERED or entry["status"] is None
    return Exchange(
        entry["method"],
        entry["path"],
        parse_qsl(entry["query"], keep_blank_values=True),
        entry["status"] or 0,
        _part(entry["request_headers"], entry["request"]),
        None if lost else _part(entry["response_headers"], entry["response"]),
    )


def _part(headers: Mapping[str, str], body: str) -> Part:
    folded = {name.lower(): value for name, value in headers.items()}
    media = folded.get("content-type", "").partition(";")[0].strip().lower() if body else ""
    return Part(media, body, folded)


def _parts_of_composite(exchange: Exchange) -> Iterator[Exchange]:
    """Salesforce's composite request carries whole calls: each is an exchange of its own."""
    if not exchange.path.endswith("/composite") or exchange.answer is None or exchange.status != 200:
        return
    asked = exchange.request.decoded()["compositeRequest"]
    answers = {part["referenceId"]: part for part in exchange.answer.decoded()["compositeResponse"]}
    for part in asked:
        answer = answers[part["referenceId"]]
        target = urlsplit(part["url"])
        yield Exchange(
            part["method"],
            target.path,
            parse_qsl(target.query, keep_blank_values=True),
            answer["httpStatusCode"],
            _inner(part.get("body"), exchange.request.headers),
            _inner(answer.get("body"), {}),
        )


def _inner(body: Any, headers: Mapping[str, str]) -> Part:
    return Part("", "", headers) if body is None else Part(JSON, json.dumps(body), headers)
