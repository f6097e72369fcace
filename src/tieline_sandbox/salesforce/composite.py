"""Composite requests: up to 25 subrequests in one call, later ones naming what earlier ones answered.

`@{ref.id}` and `@{ref.records[0].Id}` are replaced in URLs and in bodies. Source: REST API Developer Guide,
"Composite" and "allOrNone Parameters in Composite and Collections Requests".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tieline_sandbox.salesforce import errors
from tieline_sandbox.salesforce.calls import Answer, Call
from tieline_sandbox.salesforce.model import Org

MAX_SUBREQUESTS = 25
MAX_HEAVY = 5
_REFERENCE = re.compile(r"@\{(\w+)\.([\w.\[\]]+)\}")
_STEP = re.compile(r"(\w+)|\[(\d+)\]")
_PATH = re.compile(r"/services/data/v(\d+\.\d)/(.+)")
_HEAVY = re.compile(r"/(query|queryAll|composite/sobjects)\b")
Json = dict[str, Any]


class _Halted(Exception):
    """A subrequest of an all-or-none call failed."""


class Composite:
    """Handlers of /composite and /composite/tree."""

    def __init__(self, org: Org, dispatch: Callable[[Call], Answer]) -> None:
        self._org, self._dispatch = org, dispatch

    def composite(self, call: Call) -> Answer:
        requests = call.data.get("compositeRequest")
        if not isinstance(requests, list) or not requests:
            raise errors.ApiError(400, "JSON_PARSER_ERROR", "The compositeRequest list is required")
        _check_limits(requests)
        all_or_none = call.data.get("allOrNone") is True
        answers: list[Json] = []
        try:
            with self._org.unit():
                self._run(requests, answers, all_or_none=all_or_none)
        except _Halted:
            answers = _halted(requests, answers)
        return Answer(200, {"compositeResponse": answers})

    def tree(self, call: Call) -> Answer:
        """Records with their children, all or none; up to 200 in all."""
        sobject = self._org.sobject(call.groups[0])
        records = call.data.get("records")
        if not isinstance(records, list):
            raise errors.ApiError(400, "INVALID_INPUT", "The records list is required")
        results: list[Json] = []
        reference = ""
        try:
            with self._org.unit():
                for record in records:
                    reference = _reference_of(record)
                    self._plant(sobject.name, record, {}, results)
        except errors.ApiError as error:
            failed = error.save_result()["errors"]
            return Answer(400, {"hasErrors": True, "results": [{"referenceId": reference, "errors": failed}]})
        return Answer(201, {"hasErrors": False, "results": results})

    def _plant(self, name: str, record: Json, parent: Json, results: list[Json]) -> None:
        sobject = self._org.sobject(name)
        nested = {k: v for k, v in record.items() if isinstance(v, dict) and isinstance(v.get("records"), list)}
        data = {k: v for k, v in record.items() if k not in nested} | parent
        saved = self._org.create(sobject, data)
        results.append({"referenceId": _reference_of(record), "id": saved["Id"]})
        if len(results) > 200:
            raise errors.too_many_records()
        for key, value in nested.items():
            child = sobject.children.get(key.lower())
            if child is None:
                raise errors.no_column(key, sobject.name)
            for inner in value["records"]:
                self._plant(child.sobject, inner, {child.field: saved["Id"]}, results)

    def _run(self, requests: list[Json], answers: list[Json], *, all_or_none: bool) -> None:
        known: dict[str, Any] = {}
        for request in requests:
            answer = self._one(request, known, all_or_none=all_or_none)
            if answer.status < 300:
                known[request["referenceId"]] = answer.body
            answers.append(_shown(request, answer))
            failed = answer.status >= 300 or (all_or_none and _rows_failed(answer.body))
            if failed and all_or_none:
                raise _Halted

    def _one(self, request: Json, known: dict[str, Any], *, all_or_none: bool) -> Answer:
        try:
            url, body = _filled(request["url"], known), _filled(request.get("body"), known)
            match = _PATH.fullmatch(urlsplit(url).path)
            if match is None:
                raise errors.no_resource()
            if all_or_none and match[2].startswith("composite/sobjects") and isinstance(body, dict):
                body = body | {"allOrNone": True}
            query = dict(parse_qsl(urlsplit(url).query))
            return self._dispatch(
                Call.inner(request["method"].upper(), unquote(match[2]).strip("/"), match[1], query, body)
            )
        except errors.ApiError as error:
            return Answer(error.status, error.body())


def _check_limits(requests: list[Json]) -> None:
    if len(requests) > MAX_SUBREQUESTS:
        message = f"The compositeRequest list can't have more than {MAX_SUBREQUESTS} subrequests"
        raise errors.ApiError(400, "LIMIT_EXCEEDED", message)
    for request in requests:
        if not isinstance(request, dict) or not all(isinstance(request.get(k), str) for k in ("method", "url")):
            raise errors.ApiError(400, "JSON_PARSER_ERROR", "Each subrequest needs a method and a url")
        if not isinstance(request.get("referenceId"), str):
            raise errors.ApiError(400, "JSON_PARSER_ERROR", "Each subrequest needs a referenceId")
    heavy = sum(1 for request in requests if _HEAVY.search(request["url"]))
    if heavy > MAX_HEAVY:
        message = f"The compositeRequest list can't have more than {MAX_HEAVY} query or collection subrequests"
        raise errors.ApiError(400, "LIMIT_EXCEEDED", message)
    references = [request["referenceId"] for request in requests]
    if len(set(references)) < len(references):
        raise errors.ApiError(400, "INVALID_INPUT", "Duplicate ReferenceId provided")


def _filled(value: Any, known: dict[str, Any]) -> Any:
    """The value with its references replaced. Raises ApiError PROCESSING_HALTED for one that is not known."""
    if isinstance(value, dict):
        return {key: _filled(inner, known) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, known) for inner in value]
    if not isinstance(value, str) or "@{" not in value:
        return value
    return _REFERENCE.sub(lambda match: str(_looked_up(match[1], match[2], known)), value)


def _looked_up(reference: str, path: str, known: dict[str, Any]) -> Any:
    value: Any = known.get(reference)
    try:
        for name, index in _STEP.findall(path):
            value = value[name] if name else value[int(index)]
    except (KeyError, IndexError, TypeError):
        message = f"Invalid reference specified. No value for {reference}.{path} found in {reference}."
        raise errors.ApiError(400, "PROCESSING_HALTED", message) from None
    return value


def _rows_failed(body: Any) -> bool:
    return isinstance(body, list) and any(isinstance(row, dict) and row.get("success") is False for row in body)


def _halted(requests: list[Json], answers: list[Json]) -> list[Json]:
    """What an undone composite call answers: the failure in its own words, the rest halted."""
    undone = errors.halted()
    failed = len(answers) - 1
    return [
        answers[i] if i == failed else _shown(request, Answer(undone.status, undone.body()))
        for i, request in enumerate(requests)
    ]


def _shown(request: Json, answer: Answer) -> Json:
    return {
        "body": answer.body,
        "httpHeaders": answer.headers,
        "httpStatusCode": answer.status,
        "referenceId": request["referenceId"],
    }


def _reference_of(record: Any) -> str:
    attributes = record.get("attributes") if isinstance(record, dict) else None
    reference = attributes.get("referenceId") if isinstance(attributes, dict) else None
    if not isinstance(reference, str):
        raise errors.ApiError(400, "INVALID_INPUT", "Include a referenceId in the attributes of each record")
    return reference
