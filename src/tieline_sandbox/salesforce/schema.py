"""What an org is made of: fields, objects, and the schema that links them. Each org has its own, so it can grow.

Invariant: a reference field and the child relationship seen from its parent are two sides of one declaration.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

Type = Literal[
    "id", "string", "textarea", "email", "phone", "url", "picklist", "boolean", "currency", "double",
    "percent", "int", "date", "datetime", "reference", "address",
]  # fmt: skip
TEXT: frozenset[Type] = frozenset({"string", "textarea", "email", "phone", "url", "picklist"})
NUMBER: frozenset[Type] = frozenset({"currency", "double", "percent", "int"})

OnDelete = Literal["keep", "cascade", "refuse"]
"""What becomes of a child when its parent is deleted."""


@dataclass(frozen=True, slots=True)
class Field:
    """One column. `scale` is the number of decimals kept, `default` is given to new records, `title` is its label.

    `children` is the name of the relationship seen from the parent. `format` numbers records: "ORD-{:08}".
    """

    name: str
    type: Type
    length: int = 0
    scale: int = 0
    required: bool = False
    create: bool = True
    update: bool = True
    refers_to: str = ""
    relationship: str = ""
    children: str = ""
    on_delete: OnDelete = "keep"
    values: tuple[str, ...] = ()
    external_id: bool = False
    unique: bool = False
    default: Any = None
    format: str = ""
    title: str = ""

    @property
    def custom(self) -> bool:
        return self.name.endswith("__c")

    @property
    def label(self) -> str:
        if self.title:
            return self.title
        if self.type == "reference":
            return f"{self.relationship.removesuffix('__r')} ID"
        words = self.name.removesuffix("__c").replace("_", " ")
        return "".join(f" {c}" if c.isupper() and i and words[i - 1].islower() else c for i, c in enumerate(words))


@dataclass(frozen=True, slots=True)
class Child:
    """A relationship seen from the parent: its name, the child object and the field that points here."""

    name: str
    sobject: str
    field: str
    on_delete: OnDelete = "keep"


@dataclass
class SObject:
    """An object: its fields by lower-case name, its parents and children by lower-case relationship name."""

    name: str
    prefix: str
    plural: str
    fields: dict[str, Field]
    children: dict[str, Child] = field(default_factory=dict)
    writable: bool = True

    def __post_init__(self) -> None:
        everything = self.fields.values()
        self.parents = {f.relationship.lower(): f for f in everything if f.relationship}
        self.stored = tuple(f for f in everything if f.type != "address")
        self.blank: dict[str, Any] = {f.name: f.default for f in self.stored}
        self.required = tuple(f.name for f in everything if f.required)
        self.indexed = tuple(
            f.name
            for f in everything
            if (f.type == "reference" and (f.refers_to != "User" or f.children)) or f.external_id or f.unique
        ) + (("ProductCode",) if self.name == "Product2" else ())

    @property
    def custom(self) -> bool:
        return self.name.endswith(("__c", "__e"))

    @property
    def event(self) -> bool:
        """A platform event: published, never stored."""
        return self.name.endswith("__e")

    def with_fields(self, fields: Iterable[Field]) -> SObject:
        """The same object with more fields; one of the same name is replaced."""
        more = self.fields | {f.name.lower(): f for f in fields}
        return SObject(self.name, self.prefix, self.plural, more, self.children, self.writable)


class Schema:
    """The objects of one org."""

    def __init__(self, objects: Iterable[SObject]) -> None:
        self._objects: dict[str, SObject] = {}
        self._by_prefix: dict[str, SObject] = {}
        for sobject in objects:
            self.put(sobject)

    def __iter__(self) -> Iterator[SObject]:
        return iter(self._objects.values())

    def __getitem__(self, name: str) -> SObject:
        """The object by name in any case. Raises KeyError."""
        return self._objects[name.lower()]

    def find(self, name: str) -> SObject | None:
        return self._objects.get(name.lower())

    def of_id(self, record_id: str) -> SObject | None:
        """The object whose key prefix an id has."""
        return self._by_prefix.get(record_id[:3])

    def put(self, sobject: SObject) -> None:
        """Add an object, or replace it by a later form of itself."""
        before = self._objects.get(sobject.name.lower())
        self._objects[sobject.name.lower()] = self._by_prefix[sobject.prefix] = sobject
        if before is None:
            self._link_children_of(sobject)
        for reference in sobject.fields.values():
            self._link(sobject, reference)

    def _link(self, sobject: SObject, reference: Field) -> None:
        parent = self._objects.get(reference.refers_to.lower()) if reference.children else None
        if parent is not None:
            child = Child(reference.children, sobject.name, reference.name, reference.on_delete)
            parent.children[reference.children.lower()] = child

    def _link_children_of(self, parent: SObject) -> None:
        """Objects that were put before the parent they refer to."""
        for other in self._objects.values():
            for reference in other.fields.values():
                if reference.refers_to.lower() == parent.name.lower():
                    self._link(other, reference)
