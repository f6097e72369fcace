"""Correct a value map with all that follows from it, take a correction back, and bring corrections into the files.

The invariant: a file is written only where it still says what the correction was made against.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tieline.app import cases
from tieline.app.principal import PEOPLE, Permission, Principal
from tieline.app.rulebook import users_of
from tieline.app.views.case import causes_of
from tieline.app.views.rules_read import RulesView, file_of_map
from tieline.engine.cases import CORRECT_MAP
from tieline.engine.ports import Batch, Store
from tieline.engine.records import CaseRow, CaseState
from tieline.errors import ConcurrencyConflict, ConfigurationError, TielineError
from tieline.events import CorrectionsExported, Event, make_event
from tieline.mapping import ValueMap
from tieline.mapping.corrections import Standing
from tieline.mapping.value_map_text import edit_value_map, write_value_map

MOST_RELEASED = 1_000


class CannotCorrect(TielineError):
    """The entry cannot be set to this. Says what the map takes."""


class CorrectionPreview(msgspec.Struct, frozen=True, kw_only=True):
    """What a correction would do: `before` and `after` by column, {} for no entry; the cases it releases."""

    value_map: str
    key: str
    before: dict[str, str]
    after: dict[str, str]
    cases: list[CaseRow]
    tables: list[str]


class MapExport(msgspec.Struct, frozen=True, kw_only=True):
    """What an export writes for one map: `changed` by key, {} for an entry that is taken out, and the file's new text.

    `conflicts` are left out because the file says otherwise: key → what it says.
    """

    value_map: str
    file: Path
    changed: dict[str, dict[str, str]]
    conflicts: dict[str, dict[str, str]]
    up_to: int
    text: str


def map_in_force(view: RulesView, name: str) -> ValueMap:
    """A value map with its corrections. Raises CannotCorrect."""
    found = view.mappings.value_maps.get(name)
    if found is None:
        raise CannotCorrect(f"there is no value map {name!r}; there are: {', '.join(sorted(view.mappings.value_maps))}")
    return found


def columns_of(value_map: ValueMap) -> list[str]:
    """The columns in the order of the map; a map of single values has the one column `value`."""
    rows = [row for row in value_map.entries.values() if isinstance(row, dict)]
    return list(dict.fromkeys(column for row in rows for column in row)) or ["value"]


async def preview_correction(view: RulesView, name: str, key: str, cells: dict[str, str]) -> CorrectionPreview:
    """Raises CannotCorrect."""
    value_map = map_in_force(view, name)
    key, after = key.strip(), _checked(value_map, key.strip(), cells)
    return CorrectionPreview(
        value_map=name,
        key=key,
        before=value_map.cells(key),
        after=after,
        cases=await _waiting_for(view, name, key) if after else [],
        tables=users_of(view.mappings, name),
    )


async def correct(
    view: RulesView,
    store: Store,
    name: str,
    key: str,
    cells: dict[str, str],
    *,
    by: Principal,
    reason: str,
    seen: dict[str, str] | None = None,
) -> list[str]:
    """Set an entry ({}: take it out) and try again what waits for it; returns the ids of those cases.

    `seen` is the entry as who decided saw it, where they saw it. Raises NotAllowed, CannotCorrect, ConcurrencyConflict.
    """
    by.require(Permission.CORRECT)
    if not reason.strip():
        raise CannotCorrect("say why: the reason is kept with the correction, and whoever reads it later will ask")
    plan = await preview_correction(view, name, key, cells)
    if seen not in (None, plan.before):
        raise ConcurrencyConflict(f"{plan.key!r} was set to something else meanwhile; look at it again, then decide")
    causes, why = {case.cause for case in plan.cases}, reason.strip()
    return await cases.correct_value_map(
        store, map_in_force(view, name), plan.key, plan.after, by=by, reason=why, causes=sorted(causes)
    )


async def undo(view: RulesView, store: Store, name: str, seq: int, *, by: Principal, reason: str) -> list[str]:
    """Set the entry of a correction back to what stood before it, by a further correction.

    Raises NotAllowed, CannotCorrect.
    """
    key, former = what_undo_sets(view, name, seq)
    return await correct(view, store, name, key, former, by=by, reason=reason)


def what_undo_sets(view: RulesView, name: str, seq: int) -> tuple[str, dict[str, str]]:
    """The key and what stood there before a correction. Raises CannotCorrect."""
    made = next((made for made in view.corrections.of(name) if made.seq == seq), None)
    if made is None:
        raise CannotCorrect(f"the value map {name!r} has no correction {seq}")
    if made.former is None:
        raise CannotCorrect("what stood before this correction was not kept; set the entry to what it should be")
    return made.key, made.former


def plan_export(view: RulesView) -> list[MapExport]:
    """What of the corrections is not in the files yet, map by map.

    Raises ConfigurationError for a file that only a person can edit.
    """
    plans = [_plan(view, name) for name in view.corrections.corrected_maps if name in view.project.mappings.value_maps]
    return [plan for plan in plans if plan.changed or plan.conflicts]


async def export(view: RulesView, store: Store, *, by: Principal) -> list[MapExport]:
    """Write corrections into the files of the project; returns what was written and what was not.

    Raises NotAllowed, ConfigurationError.
    """
    by.require(Permission.CORRECT)
    plans = plan_export(view)
    for plan in plans:
        if plan.changed:
            _write(plan.file, plan.text)
            await store.commit(Batch(events=[_exported(plan, by)]))
    return plans


# --- inside -----------------------------------------------------------------------------------------------------------


def _checked(value_map: ValueMap, key: str, cells: dict[str, str]) -> dict[str, str]:
    """The entry as it would be. Columns that are not given, or blank, stay as they are."""
    before = value_map.cells(key)
    known = columns_of(value_map)
    given = {column: cell.strip() for column, cell in _ordered(cells, known).items() if cell.strip()}
    if not key:
        raise CannotCorrect("name the key: the word that the other system uses")
    if given:
        try:
            after = value_map.corrected(key, given).cells(key)
        except ValueError as error:
            raise CannotCorrect(str(error)) from error
        if not before and (missing := [column for column in known if column not in after]):
            raise CannotCorrect(f"a new entry of {value_map.name} needs a value for {', '.join(missing)}")
    elif len(value_map.entries) < 2:
        raise CannotCorrect(f"{key!r} is the only entry of {value_map.name}; a map cannot be empty")
    else:
        after = {}
    if after == before:
        raise CannotCorrect(f"{key!r} is that already" if before else f"{value_map.name} has no entry {key!r}")
    return after


def _ordered(cells: dict[str, str], columns: Sequence[str]) -> dict[str, str]:
    """In the order of the map: the log keeps none."""
    return {column: cells[column] for column in dict.fromkeys([*columns, *cells]) if column in cells}


async def _waiting_for(view: RulesView, name: str, key: str) -> list[CaseRow]:
    """The open cases that wait for this entry."""
    found: dict[str, CaseRow] = {}
    for cause in dict.fromkeys(causes_of(view.project, name, key)):
        for case in await view.store.cases(states=[CaseState.OPEN], cause=cause, limit=MOST_RELEASED):
            if CORRECT_MAP in case.actions:
                found[case.id] = case
    return list(found.values())


def _plan(view: RulesView, name: str) -> MapExport:
    held = file_of_map(view, name)
    corrected = view.corrections.over(held)
    root = view.project.settings.root
    own = Path(held.file).is_relative_to(root)
    file = Path(held.file) if own else root / "value_maps" / f"{name}.yaml"  # a shipped map is not ours to write
    keys = corrected.keys(Standing.TO_EXPORT)
    columns = columns_of(held)
    changed = {key: _ordered(corrected.value_map.cells(key), columns) for key in keys}
    made: Sequence[int] = [made.seq for made in view.corrections.of(name) if made.key in changed]
    before = _text(file) if own else write_value_map(held)
    return MapExport(
        value_map=name,
        file=file,
        changed=changed,
        conflicts={key: held.cells(key) for key in corrected.keys(Standing.CONFLICT)},
        up_to=max(made, default=0),
        text=edit_value_map(before, changed, corrected.value_map.version, str(file)) if changed else before,
    )


def _text(file: Path) -> str:
    with file.open(encoding="utf-8-sig", newline="") as opened:  # its line ends are its own
        return opened.read()


def _write(file: Path, text: str) -> None:
    """All of it or nothing: a hub that starts in the middle reads the one or the other."""
    beside = file.with_name(f".{file.name}.{uuid.uuid4().hex[:8]}")
    try:
        file.parent.mkdir(exist_ok=True)
        beside.write_text(text, encoding="utf-8", newline="")
        if file.exists():
            beside.chmod(file.stat().st_mode)
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ConfigurationError(
            f"{file} cannot be written: {error.strerror}; check its owner and permissions"
        ) from error


def _exported(plan: MapExport, by: Principal) -> Event:
    data = CorrectionsExported(value_map=plan.value_map, keys=sorted(plan.changed), up_to=plan.up_to, by=by.name)
    now = datetime.now(UTC)
    return make_event(data, source=PEOPLE, id=f"map/{plan.value_map}/exported/{now.isoformat()}", time=now)
