"""How records are shown: the fields a query chose of them and of their parents, compound addresses, bulk cells."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tieline_sandbox.salesforce.schema import Field, SObject
from tieline_sandbox.salesforce.store import Record, Store

Json = dict[str, Any]
Show = Callable[[Record], Json]
Chosen = tuple[list[Field], Field]
"""The references on the way to a field, and the field."""


class Shower:
    """Makes the functions that show records of one version of the API."""

    def __init__(self, store: Store, version: str) -> None:
        self._store, self._schema, self._version = store, store.schema, version

    def of(self, sobject: SObject, chosen: list[Chosen], depth: int = 0) -> Show:
        """A function from a record to what is chosen of it and of its parents."""
        plain = [field for way, field in chosen if len(way) == depth]
        names = list(dict.fromkeys(f.name for f in plain if f.type != "address"))
        addresses = [f.name for f in plain if f.type == "address"]
        groups: dict[str, list[Chosen]] = {}
        for way, field in chosen:
            if len(way) > depth:
                groups.setdefault(way[depth].name, []).append((way, field))
        parents = [self._parent(part[0][0][depth], part, depth) for part in groups.values()]
        name, base = sobject.name, f"/services/data/v{self._version}/sobjects/{sobject.name}/"

        def show(record: Record) -> Json:
            shown: Json = {"attributes": {"type": name, "url": base + record["Id"]}}
            for field in names:
                shown[field] = record[field]
            for field in addresses:
                shown[field] = address(record, field)
            for relationship, parent in parents:
                shown[relationship] = parent(record)
            return shown

        return show

    def _parent(
        self, reference: Field, chosen: list[Chosen], depth: int
    ) -> tuple[str, Callable[[Record], Json | None]]:
        target = self._schema[reference.refers_to]
        records, show = self._store.tables[target.name].records, self.of(target, chosen, depth + 1)

        def parent(record: Record) -> Json | None:
            found = records.get(record[reference.name]) if record[reference.name] else None
            return show(found) if found is not None else None

        return reference.relationship, parent


def address(record: Record, name: str) -> Json | None:
    """The compound form of an address, e.g. BillingAddress from BillingStreet, BillingCity…"""
    kind = name.removesuffix("Address")
    parts = {
        "city": record[f"{kind}City"],
        "country": record[f"{kind}Country"],
        "countryCode": record[f"{kind}CountryCode"],
        "postalCode": record[f"{kind}PostalCode"],
        "state": record[f"{kind}State"],
        "stateCode": record[f"{kind}StateCode"],
        "street": record[f"{kind}Street"],
    }
    if all(value is None for value in parts.values()):
        return None
    return parts | {"geocodeAccuracy": None, "latitude": None, "longitude": None}


def whole(sobject: SObject, record: Record, version: str) -> Json:
    """A record as GET /sobjects/{object}/{id} shows it: every field, nulls included."""
    url = f"/services/data/v{version}/sobjects/{sobject.name}/{record['Id']}"
    shown: Json = {"attributes": {"type": sobject.name, "url": url}, **record}
    for field in sobject.fields.values():
        if field.type == "address":
            shown[field.name] = address(record, field.name)
    return shown


def cell(shown: Json, column: str) -> str:
    """A value as bulk results write it: times in UTC with Z, nothing for null."""
    value: Any = shown
    for step in column.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return format(value, "f") if isinstance(value, Decimal) else str(value).replace("+0000", "Z")
