"""The metadata catalog: which record types there are, and the fields of one as this account has them.

Custom fields are those of the setting `custom_fields`, or, where it is not given, those that stand on a record.
Source: Oracle help "Working with Resource Metadata" (chapter_1540810168) and "Working with JSON Schema Metadata"
(section_1545129726); public readers of the catalog for the shape of references and sublists. The OpenAPI form
(`application/swagger+json`) is not served.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from tieline_sandbox.kernel.app import encode_json
from tieline_sandbox.netsuite.errors import bad_header, no_such_type
from tieline_sandbox.netsuite.field_sets import Field, Sublist
from tieline_sandbox.netsuite.fields import SPECS
from tieline_sandbox.netsuite.render import RECORDS, link, page
from tieline_sandbox.netsuite.requests import base_url
from tieline_sandbox.netsuite.store import Record

if TYPE_CHECKING:
    from tieline_sandbox.netsuite.model import Account

CATALOG = f"{RECORDS}/metadata-catalog"
SCHEMA = "application/schema+json"
_TYPES: Mapping[str, Record] = {
    "text": {"type": "string"},
    "number": {"type": "number", "format": "double"},
    "money": {"type": "number", "format": "double"},
    "integer": {"type": "integer", "format": "int64"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
    "object": {"type": "object"},
}
_LINKS: Record = {"title": "Links", "type": "array", "readOnly": True, "items": {"$ref": f"{CATALOG}/nsLink"}}
_REFERENCE: Record = {
    "type": "object",
    "properties": {
        "id": {"title": "Internal identifier", "type": "string"},
        "refName": {"title": "Reference Name", "type": "string"},
        "externalId": {"title": "External identifier", "type": "string"},
        "links": _LINKS,
    },
}


def catalog(account: Callable[[], Account]) -> Callable[[Request], Awaitable[Response]]:
    """The handler of the catalog and of one type in it."""

    async def handle(request: Request) -> Response:
        kind = request.path_params.get("kind")
        if kind is None:
            return _listed(request)
        spec = next((name for name in SPECS if name.lower() == kind.lower()), None)
        if spec is None:
            raise no_such_type(f"metadata-catalog/{kind}")
        if SCHEMA not in request.headers.get("accept", ""):
            raise bad_header("Accept", f"This account serves the metadata of one record as {SCHEMA} only.")
        return Response(encode_json(schema_of(account(), spec)), media_type=SCHEMA)

    return handle


def schema_of(account: Account, kind: str) -> Record:
    """The JSON Schema of a record type."""
    spec = SPECS[kind]
    properties = {name: _property(field) for name, field in spec.fields.items()} | {"links": _LINKS}
    lines = {name: _sublist(sublist, _custom(account, kind, name)) for name, sublist in spec.sublists.items()}
    return {
        "type": "object",
        "properties": properties | _custom(account, kind, None) | lines,
        "$schema": "http://json-schema.org/draft-06/hyper-schema#",
    }


def _listed(request: Request) -> Response:
    base = f"{base_url(request)}{CATALOG}"
    items: list[Record] = [
        {
            "name": kind,
            "links": [
                link(f"{base}/{kind}", "canonical"),
                {"rel": "describes", "href": f"{base}/{kind}", "mediaType": SCHEMA},
            ],
        }
        for kind in SPECS
    ]
    shown = page(items, len(items), 0, len(items), base)
    return Response(encode_json(shown), media_type="application/vnd.oracle.resource+json; type=collection")


def _property(field: Field) -> Record:
    described = _REFERENCE if field.kind == "ref" else _TYPES[field.kind]
    return {**described, "nullable": True} | ({"readOnly": True} if field.read_only else {})


def _sublist(sublist: Sublist, custom: Record) -> Record:
    line = {name: _property(field) for name, field in sublist.fields.items()} | {"links": _LINKS} | custom
    counts: Record = {name: {"type": "integer", "readOnly": True} for name in ("count", "offset", "totalResults")}
    return {
        "type": "object",
        "properties": {
            "links": _LINKS,
            "items": {
                "type": "array",
                "items": {"type": "object", "properties": line, "x-ns-filterable": [sublist.key]},
            },
            "hasMore": {"type": "boolean", "readOnly": True},
            **counts,
        },
    }


def _custom(account: Account, kind: str, sublist: str | None) -> Record:
    prefix = ("custcol" if sublist in ("item", "line") else "cust-none") if sublist else SPECS[kind].custom_prefix
    names = account.settings.custom_fields
    if names is None:
        names = sorted({name for entry in account.store.kinds[kind].values() for name in _names(entry.doc, sublist)})
    field = {"type": "string", "nullable": True, "x-ns-custom-field": True}
    return {name: {"title": name, **field} for name in names if name.startswith(prefix)}


def _names(doc: Record, sublist: str | None) -> set[str]:
    if sublist is None:
        return set(doc)
    return {name for line in doc.get(sublist, {"items": []})["items"] for name in line}
