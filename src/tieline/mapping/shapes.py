"""The shape of a document as the checker sees it: a view on a JSON Schema, or "anything" where nobody wrote one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tieline.mapping.paths import Segment, format_segments
from tieline.mapping.problems import nearest_hint

JsonSchema = Mapping[str, Any]
ANY_KIND = "any"
SCALARS = frozenset({"number", "text", "boolean", "date", "datetime"})
_FORMATS = {"decimal": "number", "date": "date", "date-time": "datetime"}
_JSON_KINDS = {"integer": "number", "number": "number", "boolean": "boolean", "null": "blank", "string": "text"}


class Shape:
    """What a value may be. `kinds` holds words of: number text boolean date datetime blank list object any."""

    __slots__ = ("_items", "_objects", "_root", "choices", "kinds")

    def __init__(self, kinds: Iterable[str], items: Iterable[Shape] = ()) -> None:
        self.kinds = frozenset(kinds)
        self.choices: frozenset[str] = frozenset()
        self._items: list[Shape | JsonSchema] = list(items)
        self._objects: list[JsonSchema] = []
        self._root: JsonSchema = {}

    @classmethod
    def from_schema(cls, schema: JsonSchema | bool | None, root: JsonSchema | None = None) -> Shape:
        """The shape a JSON Schema describes. References are looked up in `root`, by default the schema itself."""
        if schema is None or isinstance(schema, bool) or not schema:
            return ANYTHING
        shape = cls(())
        shape._root = root if root is not None else schema
        kinds: set[str] = set()
        choices: set[str] = set()
        for part in _alternatives(schema, shape._root):
            kinds |= shape._read(part, choices)
        shape.kinds = frozenset(kinds) if kinds else frozenset({ANY_KIND})
        shape.choices = frozenset(choices)
        return shape

    def _read(self, part: JsonSchema, choices: set[str]) -> set[str]:
        values = part["enum"] if "enum" in part else [part["const"]] if "const" in part else None
        if values is not None:
            choices |= {value for value in values if isinstance(value, str)}
            return {_kind_of_constant(value) for value in values}
        named = part.get("type")
        kinds: set[str] = set()
        for name in [named] if isinstance(named, str) else named or ():
            if name == "object":
                self._objects.append(part)
            elif name == "array":
                self._items.append(part.get("items") or {})
            kinds.add(self._kind(name, part))
        if not kinds and "properties" in part:
            self._objects.append(part)
            kinds.add("object")
        return kinds or {ANY_KIND}

    def _kind(self, name: str, part: JsonSchema) -> str:
        if name == "string":
            return _FORMATS.get(str(part.get("format")), "text")
        return {"object": "object", "array": "list"}.get(name) or _JSON_KINDS.get(name, ANY_KIND)

    @property
    def is_any(self) -> bool:
        return ANY_KIND in self.kinds

    @property
    def solid(self) -> frozenset[str]:
        """The kinds without blank."""
        return self.kinds - {"blank"}

    @property
    def item(self) -> Shape:
        """What a list holds."""
        if len(self._items) == 1:
            only = self._items[0]
            return only if isinstance(only, Shape) else Shape.from_schema(only, self._root)
        return ANYTHING

    @property
    def is_open(self) -> bool:
        """Whether an object may hold fields that its schema does not name."""
        if self.is_any:
            return True
        return any(o.get("additionalProperties") or "properties" not in o for o in self._objects)

    @property
    def names(self) -> list[str]:
        return [name for o in self._objects for name in o.get("properties", {})]

    @property
    def required(self) -> list[str]:
        """Fields without which the object is not valid; none where several shapes are possible."""
        return list(self._objects[0].get("required", ())) if len(self._objects) == 1 and not self.is_any else []

    def field(self, name: str) -> Shape | None:
        """The shape of a field, None when there can be no such field."""
        for schema in self._objects:
            if name in schema.get("properties", {}):
                return Shape.from_schema(schema["properties"][name], self._root)
        if not self.is_open:
            return None
        extras = [o["additionalProperties"] for o in self._objects if isinstance(o.get("additionalProperties"), dict)]
        return Shape.from_schema(extras[0], self._root) if extras and not self.is_any else ANYTHING

    def __str__(self) -> str:
        words = sorted(self.solid) or ["nothing"]
        return " or ".join(words)


class _Record(Shape):
    """An object whose fields are shapes already."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, Shape]) -> None:
        super().__init__({"object"})
        self._fields = dict(fields)

    @property
    def is_open(self) -> bool:
        return False

    @property
    def names(self) -> list[str]:
        return list(self._fields)

    def field(self, name: str) -> Shape | None:
        return self._fields.get(name)


def record(fields: Mapping[str, Shape]) -> Shape:
    """An object with exactly these fields: how a caller describes the facts that rules may read."""
    return _Record(fields)


ANYTHING = Shape({ANY_KIND})
NUMBER, TEXT, BOOLEAN, DATE, DATETIME, BLANK = (
    Shape({kind}) for kind in ("number", "text", "boolean", "date", "datetime", "blank")
)


def list_of(item: Shape) -> Shape:
    return Shape({"list"}, [item])


def union(*shapes: Shape) -> Shape:
    """A value that is one or the other; details are lost where they differ."""
    solid = [s for s in shapes if s.kinds != {"blank"}]
    if len(solid) == 1:
        return solid[0]
    if all(s.kinds <= SCALARS | {"blank"} for s in solid):
        return Shape(frozenset().union(*(s.kinds for s in solid)))
    return solid[0] if solid and all(s is solid[0] for s in solid) else ANYTHING


def follow(shape: Shape, segments: tuple[Segment, ...], *, through_lists: bool) -> Shape | str:
    """The shape at the end of a path, or a sentence saying where the path leaves the schema.

    With `through_lists` a name after a list means that field of each item, and the result is a list.
    """
    many = False
    for at, segment in enumerate(segments):
        if isinstance(segment, int):
            if not shape.is_any and "list" not in shape.kinds:
                return f"'{format_segments(segments[:at])}' is no list"
            shape = ANYTHING if shape.is_any else shape.item
            continue
        if through_lists and "list" in shape.kinds and not shape.is_any:
            many, shape = True, shape.item
        found = shape.field(segment)
        if found is None:
            return _unknown(shape, segments, at)
        shape = found
    return list_of(shape.item if "list" in shape.kinds else shape) if many else shape


def _unknown(shape: Shape, segments: tuple[Segment, ...], at: int) -> str:
    inside, name = format_segments(segments[:at]), str(segments[at])
    if "object" not in shape.kinds:
        hint = "; reach its items with `each:` or [0]" if "list" in shape.kinds else ""
        return f"'{inside}' is {shape} and has no field '{name}'{hint}"
    return f"unknown field '{name}'{f' in {inside}' if inside else ''}{nearest_hint(name, shape.names)}"


def schema_of(kind: type[Any]) -> JsonSchema:
    """The JSON Schema of a msgspec type or TypedDict."""
    return msgspec.json.schema(kind)


def _kind_of_constant(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "blank" if value is None else "text" if isinstance(value, str) else "number"


def _alternatives(schema: JsonSchema, root: JsonSchema, depth: int = 0) -> list[JsonSchema]:
    """The schema with references followed and anyOf/oneOf/allOf opened, as a flat list."""
    if depth > 20:
        return []
    if "$ref" in schema:
        return _alternatives(_lookup(str(schema["$ref"]), root), root, depth + 1)
    parts: list[JsonSchema] = [schema] if "type" in schema or "enum" in schema or "const" in schema else []
    parts += [schema] if not parts and "properties" in schema else []
    for word in ("anyOf", "oneOf", "allOf"):
        for inner in schema.get(word, ()):
            parts += _alternatives(inner, root, depth + 1)
    return parts or [{}]


def _lookup(reference: str, root: JsonSchema) -> JsonSchema:
    found: Any = root
    for step in reference.removeprefix("#/").split("/"):
        found = found.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, Mapping) else {}
    return found if isinstance(found, Mapping) else {}
