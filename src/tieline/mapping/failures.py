"""How a document that cannot be translated is reported: every failing field, in sentences for the owner of the data."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tieline.errors import TranslationError


class FieldFailure(msgspec.Struct, frozen=True):
    """One field that could not be made. `value` is shortened for display."""

    target: str
    source: str
    value: str
    reason: str
    file: str
    line: int
    owner: str = ""
    ref: tuple[str, str] | None = None
    unmapped: tuple[str, str, tuple[str, ...]] | None = None

    def __str__(self) -> str:
        cause = f" from {self.source}" if self.source else ""
        asks = f" (owner: {self.owner})" if self.owner else ""
        return f"{self.target}{cause}: {self.reason} [{self.file}:{self.line}]{asks}"


class MappingFailed(TranslationError):
    """The document cannot be made from this source. `failures` holds every failing field."""

    def __init__(self, table: str, version: int, failures: Sequence[FieldFailure]) -> None:
        self.table = table
        self.version = version
        self.failures = list(failures)
        count = "one field" if len(self.failures) == 1 else f"{len(self.failures)} fields"
        lines = "\n".join(f"  {failure}" for failure in self.failures)
        super().__init__(f"{table} v{version} could not fill {count}:\n{lines}")


class MissingReference(MappingFailed):
    """Nothing is wrong but that other documents do not stand at the target yet: (kind, canonical id) in `missing`."""

    @property
    def missing(self) -> list[tuple[str, str]]:
        return list(dict.fromkeys(f.ref for f in self.failures if f.ref))

    @property
    def kind(self) -> str:
        return self.missing[0][0]

    @property
    def id(self) -> str:
        return self.missing[0][1]


class UnmappedValue(MappingFailed):
    """A value map lacks a key: somebody adds the entry, and the document can be made."""

    @property
    def unmapped(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """(value map, key, nearest known keys), each once."""
        return list(dict.fromkeys(f.unmapped for f in self.failures if f.unmapped))

    @property
    def value_map(self) -> str:
        return self.unmapped[0][0]

    @property
    def key(self) -> str:
        return self.unmapped[0][1]

    @property
    def nearest(self) -> tuple[str, ...]:
        return self.unmapped[0][2]


def failed(table: str, version: int, failures: Sequence[FieldFailure]) -> MappingFailed:
    """The error for these failures: the special kinds only when curing them would cure the document."""
    kind: type[MappingFailed] = MappingFailed
    if all(f.ref for f in failures):
        kind = MissingReference
    elif all(f.ref or f.unmapped for f in failures):
        kind = UnmappedValue
    return kind(table, version, failures)
