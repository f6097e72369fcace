"""Corrections of value maps beside the files they correct: which of them count, and which the file holds already.

The invariant: a correction is never applied twice, and what the file says otherwise is never passed over in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from tieline.mapping.value_map import Cells, ValueMap


class Standing(StrEnum):
    """How a corrected entry stands to the file of its map."""

    IN_FILE = "in the file"
    TO_EXPORT = "not in the file yet"
    CONFLICT = "the file says otherwise"


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as a person set it; no `value`: taken out. `former` is what stood before, None where it was not kept.

    `seq` is its place in the log.
    """

    seq: int
    key: str
    value: Cells
    former: Cells | None
    by: str
    reason: str
    at: datetime


class Corrected(msgspec.Struct, frozen=True):
    """A value map with its corrections, and how each corrected entry stands to the file."""

    value_map: ValueMap
    standing: dict[str, Standing]

    def keys(self, standing: Standing) -> list[str]:
        return [key for key, found in self.standing.items() if found is standing]


class Corrections:
    """The corrections of all maps in the order of the log, and up to where each key was exported."""

    def __init__(self) -> None:
        self._made: dict[str, list[Correction]] = {}
        self._exported: dict[tuple[str, str], int] = {}
        self.seen = 0
        """The place in the log up to which they were told of."""

    def add(self, value_map: str, correction: Correction) -> None:
        self._made.setdefault(value_map, []).append(correction)

    def exported(self, value_map: str, keys: Iterable[str], up_to: int) -> None:
        """These keys were written to the file, with the corrections up to a place in the log."""
        self._exported |= {(value_map, key): up_to for key in keys}

    def of(self, value_map: str) -> Sequence[Correction]:
        """Oldest first."""
        return self._made.get(value_map, [])

    @property
    def corrected_maps(self) -> list[str]:
        return sorted(self._made)

    def over(self, file: ValueMap, up_to: int | None = None) -> Corrected:
        """The map of a file with the corrections that count, those behind `up_to` left aside."""
        chains: dict[str, list[Correction]] = {}
        for made in self.of(file.name):
            if up_to is None or made.seq <= up_to:
                chains.setdefault(made.key, []).append(made)
        value_map, standing = file, {}
        for key, chain in chains.items():
            value_map, standing[key] = _over(value_map, chain, self._exported.get((file.name, key), 0))
        return Corrected(value_map, standing)


def _over(value_map: ValueMap, chain: Sequence[Correction], exported: int) -> tuple[ValueMap, Standing]:
    """One key: what comes behind the value that the file holds is still to be applied."""
    key = chain[0].key
    held, values = value_map.cells(key), _values(value_map, chain)
    places = [at for at, value in enumerate(values) if value == held]
    later = [made for made in chain if made.seq > exported]
    if not places and len(later) < len(chain):  # edited in the file since it was written there: the file is right
        return _over(value_map, later, exported) if later else (value_map, Standing.IN_FILE)
    number = len(chain) - places[-1] if places else len(chain)
    if number == 0:
        return value_map, Standing.IN_FILE
    try:
        made = value_map.corrected(key, values[-1] or {})
    except ValueError:  # the file has other columns by now
        return value_map, Standing.CONFLICT
    made = msgspec.structs.replace(made, version=value_map.version + number)
    return made, Standing.TO_EXPORT if places or values[0] is None else Standing.CONFLICT


def _values(value_map: ValueMap, chain: Sequence[Correction]) -> list[Cells | None]:
    """What the entry was before the first correction and after each; columns that one leaves out stay."""
    values: list[Cells | None] = [chain[0].former]
    for made in chain:
        before = made.former if made.former is not None else values[-1] or value_map.cells(made.key)
        set_to = made.value if value_map.columns or not made.value else {"value": next(iter(made.value.values()))}
        values.append({**before, **set_to} if set_to else {})
    return values
