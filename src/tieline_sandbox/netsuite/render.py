"""Documents as the REST API shows them: links on records and references, sublists as links until expanded."""

from __future__ import annotations

from typing import Any

from tieline_sandbox.netsuite.field_sets import Field
from tieline_sandbox.netsuite.fields import SPECS
from tieline_sandbox.netsuite.store import Entry, Record, Store
from tieline_sandbox.netsuite.values import target_kind

RECORDS = "/services/rest/record/v1"


def link(href: str, rel: str = "self") -> Record:
    return {"rel": rel, "href": href}


def record_url(base: str, entry: Entry) -> str:
    return f"{base}{RECORDS}/{entry.kind}/{entry.id}"


def render(
    store: Store, entry: Entry, base: str, *, expand: bool = False, only: frozenset[str] | None = None
) -> Record:
    """One record. `only` keeps the named fields (and the links)."""
    spec, self_url = SPECS[entry.kind], record_url(base, entry)
    shown: Record = {"links": [link(self_url)]}
    for name, value in entry.doc.items():
        if only is not None and name not in only:
            continue
        if name in spec.sublists:
            shown[name] = _sublist(store, entry, name, base, expand=expand)
        else:
            shown[name] = _cell(store, spec.fields.get(name), value, base)
    return shown


def render_sublist(store: Store, entry: Entry, name: str, base: str) -> Record:
    lines = entry.doc.get(name, {"items": []})["items"]
    fields, url = SPECS[entry.kind].sublists[name].fields, f"{record_url(base, entry)}/{name}"
    items = [
        {"links": [link(f"{url}/{number}")]}
        | {column: _cell(store, fields.get(column), cell, base) for column, cell in line.items()}
        for number, line in enumerate(lines, start=1)
    ]
    counts = {"count": len(items), "hasMore": False, "offset": 0, "totalResults": len(items)}
    return {"links": [link(url)], "items": items} | counts


def _sublist(store: Store, entry: Entry, name: str, base: str, *, expand: bool) -> Record:
    if expand:
        return render_sublist(store, entry, name, base)
    return {"links": [link(f"{record_url(base, entry)}/{name}")]}


def _cell(store: Store, field: Field | None, value: Any, base: str) -> Any:
    if field is None or field.kind != "ref" or not field.targets or not isinstance(value, dict):
        return value
    kind = target_kind(store, field.targets, value["id"])
    if kind is None:
        return value
    return {"links": [link(f"{base}{RECORDS}/{kind}/{value['id']}")], **value}


def page(items: list[Record], total: int, offset: int, limit: int, url: str) -> Record:
    """A page of a collection. `url` is the address without query."""
    links = []
    if offset + limit < total:
        links.append(link(f"{url}?limit={limit}&offset={offset + limit}", "next"))
        links.append(link(f"{url}?limit={limit}&offset={(total - 1) // limit * limit}", "last"))
    if offset:
        links.append(link(f"{url}?limit={limit}&offset=0", "first"))
        links.append(link(f"{url}?limit={limit}&offset={max(0, offset - limit)}", "previous"))
    links.append(link(f"{url}?limit={limit}&offset={offset}"))
    return {
        "links": links,
        "count": len(items),
        "hasMore": offset + len(items) < total,
        "items": items,
        "offset": offset,
        "totalResults": total,
    }
