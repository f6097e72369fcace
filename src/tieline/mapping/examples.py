"""Run the examples of a table: what is given must become exactly what is expected."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from tieline.errors import ConfigurationError, TranslationError
from tieline.mapping.compile import Mapping
from tieline.mapping.table import Example
from tieline.mapping.values import Unfit, as_datetime, plain, short, to_decimal

_ABSENT = object()
_JSON = msgspec.json.Decoder(float_hook=Decimal)


class Difference(msgspec.Struct, frozen=True):
    """One path where the document is not as expected."""

    path: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.path or 'the document'}: expected {self.expected}, found {self.found}"


class ExampleResult(msgspec.Struct, frozen=True):
    """What became of one example: `given`, and what was `made` of it. `error` is set when no document could be made."""

    mapping: str
    name: str
    file: str
    line: int
    differences: list[Difference]
    error: str = ""
    given: Any = None
    made: Any = None

    @property
    def ok(self) -> bool:
        return not self.differences and not self.error

    def __str__(self) -> str:
        if self.ok:
            return f"{self.mapping}, {self.name}: as expected"
        lines = [self.error] if self.error else [str(d) for d in self.differences]
        return f"{self.file}:{self.line}: {self.mapping}, {self.name}:\n" + "\n".join(f"  {line}" for line in lines)


def run_examples(mapping: Mapping, base_dir: Path) -> list[ExampleResult]:
    """Run every example. Files are read beside the table, from `base_dir`, and nowhere above it."""
    return [_run(mapping, example, base_dir) for example in mapping.table.examples]


def _run(mapping: Mapping, example: Example, base_dir: Path) -> ExampleResult:
    differences: list[Difference] = []
    error, given, found = "", None, None
    try:
        given, expect = _content(example.given, base_dir), _content(example.expect, base_dir)
        found = mapping.run(given, connection=example.connection, refs=example.refs)
        differences = list(compare(expect, found))
    except (TranslationError, ConfigurationError) as exc:
        error = str(exc)
    file, line = mapping.table.file, example.mark.line
    return ExampleResult(mapping.name, example.name, file, line, differences, error, given, found)


def _content(given: Any, base_dir: Path) -> Any:
    if not isinstance(given, dict) or set(given) != {"file"}:
        return given
    path = (base_dir / str(given["file"])).resolve()
    if not path.is_relative_to(base_dir.resolve()):
        raise ConfigurationError(f"the example file {given['file']} lies outside of {base_dir}")
    return read_json(path)


def read_json(path: Path) -> Any:
    """A JSON file with exact numbers. Raises ConfigurationError."""
    try:
        return _JSON.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError) as exc:
        raise ConfigurationError(f"{path}: {exc}") from exc


def compare(expected: Any, found: Any, path: str = "") -> Iterator[Difference]:
    """Each difference. Numbers are equal by amount (also written as text, as JSON often must), moments by time."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in [*expected, *(k for k in found if k not in expected)]:
            inner = f"{path}.{key}" if path else str(key)
            yield from compare(expected.get(key, _ABSENT), found.get(key, _ABSENT), inner)
    elif isinstance(expected, list) and isinstance(found, list):
        for at in range(max(len(expected), len(found))):
            left = expected[at] if at < len(expected) else _ABSENT
            right = found[at] if at < len(found) else _ABSENT
            yield from compare(left, right, f"{path}[{at}]")
    elif not _same(expected, found):
        yield Difference(path, _shown(expected), _shown(found))


def _same(expected: Any, found: Any) -> bool:
    if isinstance(expected, bool) or isinstance(found, bool) or expected is _ABSENT or found is _ABSENT:
        return expected is found
    if isinstance(found, (int, Decimal)) and isinstance(expected, (int, Decimal, str)):
        try:
            return to_decimal(expected) == to_decimal(found)
        except Unfit:
            return False
    if plain(expected) == plain(found):
        return True
    try:
        both_text = isinstance(expected, str) and isinstance(found, str) and "T" in expected
        return both_text and as_datetime(expected) == as_datetime(found)
    except Unfit:
        return False


def _shown(value: Any) -> str:
    return "nothing" if value is _ABSENT else short(value)
