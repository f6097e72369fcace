"""The rules as finance reads them: what is in force, since when, who uses it, what is wrong with it, what changed.

Reads what the hub kept (tieline.app.rulebook): nothing is shown as in force that no hub has worked with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from weakref import WeakKeyDictionary

import msgspec

from tieline.app.project import Project
from tieline.app.rulebook import RuleKind, policy_file, table_head, users_of
from tieline.app.views.resolve import NothingFound
from tieline.app.views.rules_sheet import Change, Sheet, differences, sheet_of, sheet_of_map, text_difference
from tieline.app.views.words import counted
from tieline.engine.ports import Operation, Store
from tieline.engine.records import Effect, RuleVersion
from tieline.mapping import ExampleResult, MappingSet, ProblemsFound, ValueMap, load_value_map, run_examples
from tieline.mapping import Mapping as CompiledTable
from tieline.mapping.corrections import Correction, Corrections, Standing
from tieline.mapping.problems import nearest_hint

MOST_COUNTED = 1_000
"""Documents are counted up to here; beyond, it is said that there are more."""
VERSIONS_SHOWN = 50
DOCUMENTS_SHOWN = 50


class RulesView(msgspec.Struct, frozen=True, kw_only=True):
    """What reading the rules takes. `mappings` are in force now; `project` holds them as the files had them."""

    project: Project
    store: Store
    mappings: MappingSet
    corrections: Corrections
    operations: Mapping[tuple[str, str, str], Operation]


class Used(msgspec.Struct, frozen=True):
    """How many documents were made with a version; None where documents do not tell. `more`: than are counted."""

    documents: int | None
    more: bool = False


class RuleLine(msgspec.Struct, frozen=True, kw_only=True):
    """A table as the list shows it."""

    name: str
    kind: RuleKind
    owner: str
    version: int
    label: str
    since: datetime
    made_by: str
    used: Used
    problems: list[str]


class EntryLine(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a sheet; of a value map also its last correction, and how that stands to the file."""

    key: str
    cells: dict[str, str]
    corrected: Correction | None = None
    standing: Standing | None = None


class RulePage(msgspec.Struct, frozen=True, kw_only=True):
    """One table in one of its versions. `entries` is a page of its rows; `more` begins the next one, "" for none."""

    line: RuleLine
    shown: RuleVersion
    sheet: Sheet
    entries: list[EntryLine]
    number: int
    more: str
    versions: list[RuleVersion]
    examples: list[ExampleResult]
    uses: list[str]
    used_by: list[str]
    used: Used
    documents: list[Effect]
    file: str

    @property
    def is_current(self) -> bool:
        return self.shown.label == self.line.label


class RuleDifference(msgspec.Struct, frozen=True, kw_only=True):
    """Two versions of a table, entry by entry; `lines` is the difference of their texts."""

    before: RuleVersion
    after: RuleVersion
    sheet: Sheet
    changes: list[Change]
    maps: list[tuple[str, str]]
    lines: list[str]


async def list_rules(view: RulesView, *, kind: str = "", search: str = "") -> list[RuleLine]:
    """The tables of the project that a hub has worked with, by kind and name."""
    held = {version.name: version for version in await view.store.rules_in_force()}
    order = list(RuleKind)
    here = _here(view)
    wanted = [v for v in held.values() if v.name in here and kind in ("", v.kind) and _fits(v, search)]
    lines = [await _line(view, version, held) for version in wanted]
    return sorted(lines, key=lambda line: (order.index(line.kind), line.name))


async def read_rule(
    view: RulesView, name: str, *, label: str = "", search: str = "", after: str = "", limit: int = 100
) -> RulePage:
    """A table with a page of its rows, in the version of this label or the one in force. Raises NothingFound."""
    held = {version.name: version for version in await view.store.rules_in_force()}
    current = _found(held, name)
    shown = await _labelled(view, name, label) if label else current
    is_current = shown.label == current.label
    in_force = view.mappings.value_maps.get(name) if is_current else None
    # what a correction of this moment made is in force before it is kept
    sheet = sheet_of_map(in_force) if in_force else _sheet(view, shown)
    keys = [key for key, cells in sheet.rows.items() if _contains(search, key, *cells.values())]
    first = keys.index(after) + 1 if after in keys else 0
    page = keys[first : first + limit]
    return RulePage(
        line=await _line(view, current, held),
        shown=shown,
        sheet=sheet,
        entries=_entries(view, shown, sheet, page, is_current),
        number=len(keys),
        more=page[-1] if page and len(keys) > first + limit else "",
        versions=await view.store.rule_versions(name, limit=VERSIONS_SHOWN),
        examples=examples_of(view.mappings.mapping(name)) if is_current and name in view.mappings.tables else [],
        uses=shown.uses,
        used_by=users_of(view.mappings, name) if shown.kind == RuleKind.VALUE_MAP else [],
        used=await _used(view, shown, held),
        documents=await view.store.effects(mapping=shown.label, limit=DOCUMENTS_SHOWN, newest=True)
        if shown.kind == RuleKind.MAPPING
        else [],
        file=str(_file(view, shown)),
    )


async def compare_versions(view: RulesView, name: str, before: str, after: str) -> RuleDifference:
    """Two versions of a table. Raises NothingFound."""
    old, new = await _labelled(view, name, before), await _labelled(view, name, after)
    sheets = _sheet(view, old), _sheet(view, new)
    maps = list(zip(sorted(set(old.uses) - set(new.uses)), sorted(set(new.uses) - set(old.uses)), strict=False))
    # a corrected map is written anew: line by line it would differ from its file everywhere
    as_text = new.kind != RuleKind.VALUE_MAP
    return RuleDifference(
        before=old,
        after=new,
        sheet=sheets[1],
        changes=differences(*sheets),
        maps=maps,
        lines=text_difference(old.text, new.text) if as_text else [],
    )


def history_of(view: RulesView, name: str, key: str = "") -> list[Correction]:
    """The corrections of a value map, or of one of its entries, the last one first."""
    return [made for made in reversed(view.corrections.of(name)) if key in ("", made.key)]


def file_of_map(view: RulesView, name: str) -> ValueMap:
    """A value map as its file has it now. Raises ProblemsFound where the file cannot be read any more."""
    loaded = Path(view.project.mappings.value_map(name).file)
    exported = view.project.settings.root / "value_maps" / f"{name}.yaml"
    shipped = not loaded.is_relative_to(view.project.settings.root)
    path = exported if shipped and exported.is_file() else loaded
    stat = path.stat()
    return _load(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=64)
def _load(path: Path, changed_ns: int, size: int) -> ValueMap:
    return load_value_map(path)


_EXAMPLES: WeakKeyDictionary[CompiledTable, list[ExampleResult]] = WeakKeyDictionary()


def examples_of(mapping: CompiledTable) -> list[ExampleResult]:
    """What became of the examples of a table; each table is asked once."""
    if mapping not in _EXAMPLES:
        _EXAMPLES[mapping] = run_examples(mapping, Path(mapping.table.file).parent)
    return _EXAMPLES[mapping]


def _here(view: RulesView) -> set[str]:
    """The tables that the project has today."""
    policies = {kind.value for kind in RuleKind if policy_file(view.project, kind).is_file()}
    return {*view.mappings.tables, *view.mappings.value_maps, *policies}


def _sheet(view: RulesView, version: RuleVersion) -> Sheet:
    in_force = view.mappings.value_maps.get(version.name)
    if in_force is not None and in_force.label == version.label:
        return sheet_of_map(in_force)  # thousands of entries need not be read again
    return sheet_of(version.kind, version.text)


def _found(held: Mapping[str, RuleVersion], name: str) -> RuleVersion:
    if name not in held:
        raise NothingFound(f"there is no table of rules {name!r}{nearest_hint(name, held)}")
    return held[name]


async def _labelled(view: RulesView, name: str, label: str) -> RuleVersion:
    found = await view.store.rule_version(name, label)
    if found is None:
        raise NothingFound(
            f"no version {label!r} of {name!r} was kept: versions are kept since the hub first ran with this release"
        )
    return found


def _fits(version: RuleVersion, search: str) -> bool:
    return _contains(search, version.name, version.owner, version.text)


def _contains(search: str, *texts: str) -> bool:
    wanted = search.casefold().strip()
    return not wanted or any(wanted in text.casefold() for text in texts)


async def _line(view: RulesView, version: RuleVersion, held: Mapping[str, RuleVersion]) -> RuleLine:
    return RuleLine(
        name=version.name,
        kind=RuleKind(version.kind),
        owner=version.owner,
        version=version.version,
        label=version.label,
        since=version.in_force_at,
        made_by=version.made_by,
        used=await _used(view, version, held),
        problems=_problems(view, version),
    )


async def _used(view: RulesView, version: RuleVersion, held: Mapping[str, RuleVersion]) -> Used:
    """Documents say which table made them; which map a table looked up in, its versions say."""
    writing = {operation.mapping for operation in view.operations.values()}
    if version.kind == RuleKind.MAPPING and version.name in writing:
        return await _count(view, [version.label])
    if version.kind == RuleKind.VALUE_MAP:
        using = [v for v in held.values() if v.name in writing and any(_same_map(version, used) for used in v.uses)]
        labels = [v.label for v in using]
        return await _count(view, labels) if labels else Used(None)
    return Used(None)


def _same_map(version: RuleVersion, label: str) -> bool:
    """Whether a label names this map with this content: the number of its version counts up when it comes back."""
    return label.startswith(f"{version.name} v") and label.rpartition("(")[2] == version.label.rpartition("(")[2]


async def _count(view: RulesView, labels: Sequence[str]) -> Used:
    number = await view.store.count_made_with(labels, MOST_COUNTED + 1)
    return Used(min(number, MOST_COUNTED), number > MOST_COUNTED)


def _entries(
    view: RulesView, shown: RuleVersion, sheet: Sheet, keys: Sequence[str], is_current: bool
) -> list[EntryLine]:
    if shown.kind != RuleKind.VALUE_MAP or shown.name not in view.project.mappings.value_maps:
        return [EntryLine(key=key, cells=sheet.rows[key]) for key in keys]
    last = {made.key: made for made in view.corrections.of(shown.name) if is_current or made.seq <= shown.seq}
    standing = _standing(view, shown.name) if is_current else {}
    return [
        EntryLine(key=key, cells=sheet.rows[key], corrected=last.get(key), standing=standing.get(key)) for key in keys
    ]


def _standing(view: RulesView, name: str) -> dict[str, Standing]:
    try:
        return view.corrections.over(file_of_map(view, name)).standing
    except (ProblemsFound, OSError):
        return {}


def _file(view: RulesView, version: RuleVersion) -> Path:
    if version.name in view.mappings.tables:
        return Path(view.mappings.tables[version.name].file)
    if version.name in view.mappings.value_maps:
        return Path(view.mappings.value_maps[version.name].file)
    return policy_file(view.project, RuleKind(version.kind))


def _problems(view: RulesView, version: RuleVersion) -> list[str]:
    try:
        found = _of_map(view, version) if version.kind == RuleKind.VALUE_MAP else _of_file(view, version)
    except (ProblemsFound, OSError) as error:
        found = [f"its file cannot be read as it is now: {error}"]
    if version.name in view.mappings.tables:
        failed = sum(not result.ok for result in examples_of(view.mappings.mapping(version.name)))
        found += [f"{counted(failed, 'example')} come out otherwise than written"] if failed else []
    return found


def _of_map(view: RulesView, version: RuleVersion) -> list[str]:
    if version.name not in view.mappings.value_maps:
        return []
    standing = _standing(view, version.name).values()
    waiting, odd = (sum(s is kind for s in standing) for kind in (Standing.TO_EXPORT, Standing.CONFLICT))
    found = [f"{counted(waiting, 'correction')} not in the file yet"] if waiting else []
    found += [f"{counted(odd, 'entry')} of which the file says otherwise"] if odd else []
    over = view.corrections.over(file_of_map(view, version.name)).value_map
    if over.content_hash != view.mappings.value_map(version.name).content_hash:
        found.append(CHANGED)
    return found


CHANGED = "its file was changed since the hub started; the next start takes it"


def _of_file(view: RulesView, version: RuleVersion) -> list[str]:
    """Whether the file says something else by now; remarks and line breaks are no change."""
    path = _file(view, version)
    text = path.read_text(encoding="utf-8-sig")
    if text == version.text:
        return []
    same = table_head(text, str(path))["content"] == table_head(version.text, version.label)["content"]
    return [] if same else [CHANGED]
