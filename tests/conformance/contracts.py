"""Recorded traffic held against the vendors' published contracts (OpenAPI 3.1).

Of each exchange are checked: the path and method, the query parameters and required headers, the request body, the
status and the answer's body; and for Salesforce, whose contract leaves records open, each record against its object.
What does not fit is a finding. Findings that are known and explained stand in `deviations.py`; any other is a failure.
The contracts are not part of this project: where they are absent, `find` says so with None.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import jsonschema_rs
from tests.conformance.deviations import DEVIATIONS, NULL_IS_ABSENT, Deviation
from tests.conformance.exchanges import JSON, Exchange, Part, exchanges
from tests.conformance.fields import Names

CONTRACTS = Path(__file__).parents[2] / "../shared/contracts"
Schema = Mapping[str, Any]
_ROOT = "urn:contract"


class Finding(NamedTuple):
    """What does not fit. `where` is path, query, header, request, status or answer; `operation` is `GET /v1/orders`."""

    operation: str
    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.operation}: {self.where}: {self.text}"


class Report:
    """What was checked for one vendor, and what came of it."""

    def __init__(self, vendor: str) -> None:
        self.vendor = vendor
        self.operations: Counter[str] = Counter()
        self.bodies = 0
        self.unknown: Counter[Finding] = Counter()
        self.known: Counter[Deviation] = Counter()

    @property
    def exchanges(self) -> int:
        return self.operations.total()


def find(vendor: str) -> Path | None:
    """The published contract of a vendor, or None where it is not at hand."""
    path = CONTRACTS / vendor / "trimmed.openapi.json"
    return path if path.exists() else None


class Contract:
    """One vendor's contract, compiled piece by piece as traffic asks for it."""

    def __init__(self, vendor: str, document: Schema) -> None:
        self.vendor = vendor
        self._base = urlsplit(document["servers"][0]["url"].replace("{", "").replace("}", "")).path
        self._schemas: Schema = document["components"]["schemas"]
        self._paths = sorted(document["paths"].items(), key=lambda item: item[0].count("{"))
        self._patterns = [re.compile(re.sub(r"\\\{[^}]+\\\}", "([^/]+)", re.escape(path))) for path, _ in self._paths]
        self._names = Names(document["components"])
        resources = [(_ROOT, {"components": document["components"]})]
        self._registry = jsonschema_rs.Registry(resources, draft=jsonschema_rs.Draft202012)
        self._validators: dict[str, jsonschema_rs.Draft202012Validator] = {}

    @classmethod
    def load(cls, vendor: str, path: Path) -> Contract:
        return cls(vendor, json.loads(path.read_text()))

    def judge(self, entries: Iterable[Mapping[str, Any]]) -> Report:
        """Check everything recorded; `entries` are those of the sandbox's `/_sandbox/requests`."""
        report = Report(self.vendor)
        for exchange in exchanges(entries):
            self._judge(exchange, report)
        return report

    def _judge(self, exchange: Exchange, report: Report) -> None:
        path, operation = self._operation(exchange)
        name = f"{exchange.method} {path}"
        report.operations[name] += 1
        found = (
            [("path", "is not in the contract")] if operation is None else self._findings(exchange, operation, report)
        )
        for where, text in found:
            finding = Finding(name, where, text)
            deviation = _known(self.vendor, finding)
            if deviation is None:
                report.unknown[finding] += 1
            else:
                report.known[deviation] += 1

    def _operation(self, exchange: Exchange) -> tuple[str, Schema | None]:
        """The most literal template that fits, with its operation; the path itself and None when there is none."""
        below = exchange.path.removeprefix(self._base)
        for pattern, (path, operations) in zip(self._patterns, self._paths, strict=True):
            # a trailing slash changes nothing at any of these vendors
            if pattern.fullmatch(below.rstrip("/")) and exchange.method.lower() in operations:
                return path, operations[exchange.method.lower()]
        return below, None

    def _findings(self, exchange: Exchange, operation: Schema, report: Report) -> Iterator[tuple[str, str]]:
        if not 400 <= exchange.status < 500:
            # what was refused may have been wrong on purpose
            yield from self._asked(exchange, operation, report)
        if exchange.answer is not None:
            yield from self._answer(exchange, operation["responses"], exchange.answer, report)
            if self.vendor == "salesforce":
                yield from self._records("answer", exchange.answer)

    def _asked(self, exchange: Exchange, operation: Schema, report: Report) -> Iterator[tuple[str, str]]:
        yield from _parameters(exchange, operation, self._problems)
        described = operation.get("requestBody")
        if described is None and exchange.request.body:
            yield "request", "has a body where none is described"
        elif described is not None:
            yield from self._body("request", exchange.request, described, report)
        if self.vendor == "salesforce":
            yield from self._records("request", exchange.request)
            named = re.search(r"/services/data/v[\d.]+/sobjects/(\w+)(/|$)", exchange.path)
            if named and exchange.request.body:
                yield from self._record("request", named[1], exchange.request.decoded())

    def _answer(self, exchange: Exchange, responses: Schema, answer: Part, report: Report) -> Iterator[tuple[str, str]]:
        status = str(exchange.status)
        names = (status, f"{status[0]}XX", *(["default"] if exchange.status >= 300 else []))
        response = next((responses[name] for name in names if name in responses), None)
        if response is None:
            yield "status", f"{status} is not described"
        elif answer.body or response.get("content"):
            yield from self._body(f"answer {status}", answer, response, report)

    def _body(self, where: str, part: Part, described: Schema, report: Report) -> Iterator[tuple[str, str]]:
        content = described.get("content", {})
        if not part.body:
            if described.get("required") or (where.startswith("answer") and content):
                yield where, "has no body"
            return
        media, schema = _described_as(content, part.media)
        if media != part.media:
            yield where, f"is {part.media}, described is {media or 'no body'}"
        try:
            value = part.decoded()
        except ValueError as error:
            yield where, f"cannot be read: {error}"
            return
        report.bodies += 1
        if self.vendor in NULL_IS_ABSENT:
            value, nulls = _without_nulls(value)
            if nulls:
                report.known[NULL_IS_ABSENT[self.vendor]] += 1
        yield from ((where, text) for text in self._problems(schema, value))
        yield from ((where, f"{place} is not named") for place in dict.fromkeys(self._names.unnamed(schema, value)))

    def _records(self, where: str, part: Part) -> Iterator[tuple[str, str]]:
        """Salesforce's contract leaves records open: hold each against the fields of the object it says it is."""
        if part.media == JSON:
            for kind, record in _typed(part.decoded()):
                yield from self._record(where, kind, record)

    def _record(self, where: str, kind: str, record: Schema) -> Iterator[tuple[str, str]]:
        schema = self._schemas.get(kind)
        if schema is None:
            yield where, f"{kind} is not an object of the contract"
            return
        spelled = {name.casefold(): name for name in schema["properties"]}  # names are the same in any case
        # relations arrive under names of their own, with records that are checked by themselves
        own = {name: value for name, value in record.items() if not isinstance(value, dict | list)}
        published = {spelled[name.casefold()]: value for name, value in own.items() if name.casefold() in spelled}
        for name in own:
            if name.casefold() not in spelled and not name.endswith("__c"):
                yield where, f"{kind}.{name} is not a field of the object"
        for text in self._problems({"$ref": f"#/components/schemas/{kind}"}, published):
            yield where, f"{kind}: {text}"

    def _problems(self, schema: Schema, value: Any) -> list[str]:
        key = json.dumps(schema)
        if key not in self._validators:
            absolute = json.loads(key.replace('"#/components', f'"{_ROOT}#/components'))
            self._validators[key] = jsonschema_rs.Draft202012Validator(absolute, registry=self._registry)
        return [_told(error) for error in self._validators[key].iter_errors(value)]


def _parameters(exchange: Exchange, operation: Schema, problems: Any) -> Iterator[tuple[str, str]]:
    """Unknown, missing and ill-typed query parameters; required headers that are missing."""
    described = {(p["in"], p["name"].lower()): p for p in operation.get("parameters", [])}
    for name, text in exchange.query:
        parameter = described.get(("query", name.lower()))
        if parameter is None:
            yield "query", f"{name} is not described"
        else:
            yield from (
                ("query", f"{name}: {told}") for told in problems(parameter["schema"], _typed_text(parameter, text))
            )
    given = {("query", name.lower()) for name, _ in exchange.query} | {("header", n) for n in exchange.request.headers}
    for place, name in described.keys() - given:
        if place in ("query", "header") and described[place, name].get("required"):
            yield place, f"{described[place, name]['name']} is required"


def _typed_text(parameter: Schema, text: str) -> Any:
    """The value a parameter's text stands for; the text itself when it does not fit the type."""
    schema = parameter["schema"]
    kind = schema.get("type")
    if kind == "array":
        return [text]
    if kind in ("integer", "number", "boolean"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _described_as(content: Schema, media: str) -> tuple[str, Schema]:
    """The described media type nearest to `media` (itself, else the first) and its schema; empty when there is none."""
    described = {name.partition(";")[0].strip().lower(): one.get("schema", {}) for name, one in content.items()}
    nearest = media if media in described else next(iter(described), "")
    return nearest, described.get(nearest, {})


def _without_nulls(value: Any) -> tuple[Any, int]:
    """The value without null members, and how many there were."""
    if isinstance(value, dict):
        kept = {name: _without_nulls(member) for name, member in value.items() if member is not None}
        nulls = len(value) - len(kept) + sum(count for _, count in kept.values())
        return {name: member for name, (member, _) in kept.items()}, nulls
    if isinstance(value, list):
        members = [_without_nulls(member) for member in value]
        return [member for member, _ in members], sum(count for _, count in members)
    return value, 0


def _typed(value: Any) -> Iterator[tuple[str, Schema]]:
    """Every Salesforce record in a body, children too: it says its own type in `attributes`."""
    if isinstance(value, dict):
        attributes = value.get("attributes")
        if isinstance(attributes, dict) and isinstance(attributes.get("type"), str):
            yield attributes["type"], value
        for member in value.values():
            yield from _typed(member)
    elif isinstance(value, list):
        for member in value:
            yield from _typed(member)


def _told(error: jsonschema_rs.ValidationError) -> str:
    """Where and what, without the value: numbers in the place become `*`, so that like findings count as one."""
    place = "/".join("*" if isinstance(step, int) else step for step in error.instance_path)
    message = re.sub(r"\s+", " ", str(error.message))
    return f"/{place}: {message if len(message) <= 160 else message[:70] + ' … ' + message[-80:]}"


def _known(vendor: str, finding: Finding) -> Deviation | None:
    return next((deviation for deviation in DEVIATIONS if deviation.explains(vendor, finding)), None)
