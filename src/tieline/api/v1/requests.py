"""What is asked of every request before its operation sees it: known parameters, JSON in, JSON out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from litestar import Request
from litestar.datastructures import MultiDict

from tieline.api.v1.operations import QUERY
from tieline.api.v1.problems import MEDIA_TYPE, FieldError, Refusal
from tieline.mapping.problems import nearest_hint

ANSWERED = ("application/json", "application/cloudevents+json", MEDIA_TYPE)


async def check_request(request: Request[Any, Any, Any]) -> None:
    """Raises Refusal. A parameter that nobody reads is refused: a filter spelt wrong must not give everything."""
    if (known := request.route_handler.opt.get(QUERY)) is None:
        return  # OPTIONS, which Litestar answers
    if errors := list(_wrong(request.query_params, list(known.values()))):
        raise Refusal("invalid-request", "", errors)
    if "accept" in request.headers and request.accept.best_match([*ANSWERED]) is None:
        raise Refusal("not-acceptable", f"answers are {' and '.join(ANSWERED)}")
    if request.method == "POST" and request.content_type[0] != "application/json":
        raise Refusal("unsupported-media-type", f"the body must be application/json, not {request.content_type[0]!r}")


def _wrong(given: MultiDict[str], known: list[str]) -> Iterator[FieldError]:
    for name in given:
        values = given.getall(name)
        if name not in known:
            message = f"there is no such parameter{nearest_hint(name, known)}"
        elif len(values) > 1:
            message = "this is given twice; which one is meant?"
        elif values[0] in ("", "null"):
            message = "an empty parameter asks for nothing; leave it out"
        else:
            continue
        yield FieldError(where=f"query.{name}", message=message)
