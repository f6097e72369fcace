"""What the record service reads from a request: preferences, paging, keys and bodies."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import msgspec
from starlette.requests import Request

from tieline_sandbox.kernel.app import decode_json
from tieline_sandbox.netsuite.errors import (
    NetSuiteError,
    bad_header,
    bad_parameter,
    no_such_type,
    unreadable,
    user_error,
)
from tieline_sandbox.netsuite.fields import SPECS
from tieline_sandbox.netsuite.model import WriteOptions

PAGE = 1000
_EXTERNAL_ID = re.compile(r"[A-Za-z0-9_-]+\Z")
_MODES = ("Error", "Warning", "Ignore")


def base_url(request: Request) -> str:
    return f"{request.url.scheme}://{request.headers.get('host', 'localhost')}"


def kind_of(request: Request) -> str:
    kind: str = request.path_params["kind"]
    if kind not in SPECS:
        raise no_such_type(kind)
    return kind


def key_of(request: Request) -> str:
    """An internal id or `eid:…`. External ids in a URL hold letters, digits, underscores and hyphens only."""
    key = unquote(request.path_params["id"])
    if " " in key:
        raise user_error("Invalid url. Spaces are not allowed in the URL.")
    if key.startswith("eid:") and not _EXTERNAL_ID.match(key[4:]):
        raise NetSuiteError(
            400,
            "INVALID_ID",
            f"Invalid external ID '{key[4:]}'. Use letters, numbers, underscores and hyphens.",
            where={"o:errorUrl": request.url.path},
        )
    return key


def paging(request: Request) -> tuple[int, int]:
    """(limit, offset). The offset must be a multiple of the limit."""
    limit, offset = _whole(request, "limit", PAGE), _whole(request, "offset", 0)
    if not 1 <= limit <= PAGE:
        raise bad_parameter("limit", f"The value of the limit parameter must be between 1 and {PAGE}.")
    if offset % limit:
        raise bad_parameter("offset", "The offset must be divisible by the limit.")
    return limit, offset


def _whole(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not text.isdigit():
        raise bad_parameter(name, f"Invalid value '{text}' of the query parameter '{name}'. Use a whole number.")
    return int(text)


def flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "false").lower() == "true"


def write_options(request: Request) -> WriteOptions:
    replace = request.query_params.get("replace", "")
    return WriteOptions(
        names=_mode(request, "X-NetSuite-PropertyNameValidation", "Warning"),
        values=_mode(request, "X-NetSuite-PropertyValueValidation", "Error"),
        replace=frozenset(name.strip() for name in replace.split(",") if name.strip()),
    )


def _mode(request: Request, header: str, default: str) -> str:
    given = request.headers.get(header, default)
    mode = next((mode for mode in _MODES if mode.lower() == given.lower()), None)
    if mode is None:
        raise bad_header(header, f"Invalid value '{given}'. Use Error, Warning or Ignore.")
    return mode


def preferences(request: Request) -> set[str]:
    return {part.strip().lower() for part in request.headers.get("prefer", "").split(",") if part.strip()}


async def json_body(request: Request, *, required: bool = True) -> Any:
    """Decoded with exact decimals; None for an empty body that is not required. Raises INVALID_CONTENT or 415."""
    body = await request.body()
    if not body and not required:
        return None
    declared = request.headers.get("content-type", "application/json").split(";")[0].strip().lower()
    if declared not in ("application/json", "application/vnd.oracle.resource+json"):
        raise NetSuiteError(415, "INVALID_HEADER", f"Unsupported media type {declared}.")
    try:
        return decode_json(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise unreadable() from error
