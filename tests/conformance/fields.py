"""Which members of a body a contract does not name: its objects are open, so that a validator lets any name pass."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
_CUSTOM = re.compile(r"__c$|^cust(body|col|entity|item|record)_")


class Names:
    """The names that the schemas of one contract know; `components` are those of the document."""

    def __init__(self, components: Schema) -> None:
        self._components = components

    def unnamed(self, schema: Schema, value: Any, place: str = "") -> Iterator[str]:
        """Places of members that no schema names, array indexes as `*`. Custom fields are a company's own."""
        if isinstance(value, list):
            items = [part["items"] for part in self._parts(schema) if "items" in part]
            for member in value if items else ():
                yield from self.unnamed({"allOf": items}, member, f"{place}/*")
        elif isinstance(value, dict) and "attributes" not in value:
            # a Salesforce record says its type in `attributes`, and is held against that
            named = self._named(schema)
            for name, member in value.items() if named else ():
                if name in named:
                    yield from self.unnamed({"allOf": named[name]}, member, f"{place}/{name}")
                elif not _CUSTOM.search(name):
                    yield f"{place}/{name}"

    def _named(self, schema: Schema) -> dict[str, list[Schema]]:
        """Schemas by member name, over all parts; empty for an object of which nothing is said."""
        named: dict[str, list[Schema]] = {}
        for part in self._parts(schema):
            for name, member in part.get("properties", {}).items():
                named.setdefault(name, []).append(member)
        return named

    def _parts(self, schema: Schema) -> Iterator[Schema]:
        """The schema and all it is put together from; an alternative counts as a part."""
        if "$ref" in schema:
            found: Any = {"components": self._components}
            for step in schema["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            yield from self._parts(found)
        yield schema
        for word in ("allOf", "anyOf", "oneOf"):
            for part in schema.get(word, ()):
                yield from self._parts(part)
