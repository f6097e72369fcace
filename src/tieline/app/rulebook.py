"""The tables of rules that are in force, each version kept once in the store with its text.

The invariant: whatever label an effect carries as its mapping, the store holds the table of that label, as soon as a
hub has run on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
import structlog

from tieline.app.project import Project
from tieline.engine.lanes import cancel
from tieline.engine.ports import Batch, Store
from tieline.engine.records import RuleVersion
from tieline.errors import TielineError
from tieline.events import LoggedEvent, ValueMapCorrected, decode_event, event_name
from tieline.mapping import MappingSet, ValueMap
from tieline.mapping.corrections import Correction, Corrections
from tieline.mapping.rule_text import lookups_in
from tieline.mapping.value_map import content_hash
from tieline.mapping.value_map_text import write_value_map
from tieline.mapping.yaml_source import read_yaml
from tieline.processes.resources import CORRECTIONS, Resources, note_correction


class RuleKind(StrEnum):
    """What a table of rules is about."""

    MAPPING = "mapping"
    VALUE_MAP = "value_map"
    OWNERSHIP = "ownership"
    ROUTES = "routes"
    VALIDATION = "validation"
    APPROVALS = "approvals"
    CATALOGUE = "catalogue"


POLICIES = (RuleKind.OWNERSHIP, RuleKind.ROUTES, RuleKind.VALIDATION, RuleKind.APPROVALS, RuleKind.CATALOGUE)
"""One file each, `policies/<kind>.yaml`, under the name of its kind."""

_log = structlog.get_logger("tieline.rules")


async def read_corrections(store: Store, corrections: Corrections) -> None:
    """Every correction of the log that was not taken into account yet."""
    after, events = corrections.seen, []
    for name in CORRECTIONS:
        events += await store.events(type=name, after_seq=after, limit=1_000_000)
    for event in sorted(events, key=lambda event: event.seq):
        note_correction(corrections, event)


async def corrected_mappings(mappings: MappingSet, store: Store) -> MappingSet:
    """The tables of the files with every correction of the log that the files do not hold."""
    corrections = Corrections()
    await read_corrections(store, corrections)
    return mappings.with_corrections(corrections)


def users_of(mappings: MappingSet, name: str) -> list[str]:
    """The tables that look something up in a value map."""
    return sorted(table.name for table in mappings.tables.values() if name in lookups_in(table.rules))


def policy_file(project: Project, kind: RuleKind) -> Path:
    return project.settings.root / "policies" / f"{kind}.yaml"


class Rulebook:
    """Keeps what comes into force: at the start, and with every correction while the hub works."""

    def __init__(self, store: Store, project: Project, resources: Resources) -> None:
        self._store, self._project, self._resources = store, project, resources
        self._waiting: asyncio.Queue[tuple[MappingSet, Correction, str]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Keep what is in force now, and each version that corrections made while no hub ran."""
        held = {version.name: version for version in await self._store.rules_in_force()}
        now = datetime.now(UTC)
        found = list(self._policies(now))
        for file in self._project.mappings.value_maps.values():
            found += self._map_versions(file, held.get(file.name), now)
        found += self._tables(self._resources.mappings, self._resources.mappings.tables, now)
        if fresh := _changes(found, held):
            await self._store.commit(Batch(rules=fresh))
        self._task = asyncio.create_task(self._keep_forever())

    def observe(self, event: LoggedEvent) -> None:
        """Told of every event behind the resources."""
        data = decode_event(event) if event_name(event.type) == ValueMapCorrected.__name__ else None
        if isinstance(data, ValueMapCorrected) and data.value_map in self._resources.mappings.value_maps:
            made = self._resources.corrections.of(data.value_map)[-1]
            self._waiting.put_nowait((self._resources.mappings, made, data.value_map))

    async def close(self) -> None:
        """Stop; what was not kept yet is kept at the next start."""
        if self._task is not None:
            await cancel(self._task)

    async def _keep_forever(self) -> None:
        while True:
            mappings, made, name = await self._waiting.get()
            value_map = mappings.value_maps[name]
            version = _map_version(value_map, write_value_map(value_map), made, made.at)
            try:
                tables = self._tables(mappings, users_of(mappings, name), made.at, made)
                await self._store.commit(Batch(rules=[version, *tables]))
            except (TielineError, OSError) as error:
                # a later version, kept, would hide this one from the next start, which makes up what is missing
                _log.error("versions are kept again at the next start", table=value_map.label, reason=str(error))
                return

    def _map_versions(self, file: ValueMap, held: RuleVersion | None, now: datetime) -> Iterator[RuleVersion]:
        """Those that corrections made since the one that is held, then the one that is in force."""
        corrections = self._resources.corrections
        made = corrections.of(file.name)
        for one in made:
            if one.seq > (held.seq if held else 0):
                value_map = corrections.over(file, one.seq).value_map
                yield _map_version(value_map, write_value_map(value_map), one, min(one.at, now))
        value_map = corrections.over(file).value_map
        if value_map.label == file.label:
            version = _map_version(file, Path(file.file).read_text(encoding="utf-8-sig"), None, now)
            yield msgspec.structs.replace(version, seq=made[-1].seq if made else 0)
        else:
            yield _map_version(value_map, write_value_map(value_map), made[-1], now)

    def _tables(
        self, mappings: MappingSet, names: Iterable[str], now: datetime, made: Correction | None = None
    ) -> Iterator[RuleVersion]:
        for name in sorted(names):
            mapping = mappings.mapping(name)
            uses = [mappings.value_maps[used].label for used in sorted(lookups_in(mapping.table.rules))]
            yield _version(
                name=name,
                label=mapping.label,
                kind=RuleKind.MAPPING,
                version=mapping.version,
                text=Path(mapping.table.file).read_text(encoding="utf-8-sig"),
                owner=mapping.table.owner,
                uses=uses,
                made=made,
                now=now,
            )

    def _policies(self, now: datetime) -> Iterator[RuleVersion]:
        for kind in POLICIES:
            path = policy_file(self._project, kind)
            if not path.is_file():
                continue
            text = path.read_text(encoding="utf-8-sig")
            head = table_head(text, str(path))
            label = f"{kind} v{head['version']} ({content_hash({kind.value: head['content']})[:8]})"
            yield _version(
                name=kind.value,
                label=label,
                kind=kind,
                version=head["version"],
                text=text,
                owner=head["owner"],
                now=now,
            )


def table_head(text: str, file: str) -> dict[str, Any]:
    """Version, owner and note of any table, and all its content. Raises ProblemsFound for what is no YAML."""
    root, problems = read_yaml(text, file)
    problems.raise_if_any()
    content = root.plain() if root.is_map else {}
    version = content.get("version", 1)
    return {
        "version": version if isinstance(version, int) else 1,
        "owner": str(content.get("owner") or ""),
        "note": str(content.get("note") or ""),
        "content": content,
    }


def _map_version(value_map: ValueMap, text: str, made: Correction | None, now: datetime) -> RuleVersion:
    return _version(
        name=value_map.name,
        label=value_map.label,
        kind=RuleKind.VALUE_MAP,
        version=value_map.version,
        text=text,
        owner=value_map.owner,
        made=made,
        now=now,
    )


def _version(
    *,
    name: str,
    label: str,
    kind: RuleKind,
    version: int,
    text: str,
    owner: str,
    now: datetime,
    uses: list[str] | None = None,
    made: Correction | None = None,
) -> RuleVersion:
    return RuleVersion(
        name=name,
        label=label,
        kind=kind.value,
        version=version,
        text=text,
        owner=owner,
        seq=made.seq if made else 0,
        made_by=made.by if made else "",
        reason=made.reason if made else "",
        uses=uses or [],
        first_seen_at=now,
        in_force_at=now,
    )


def _changes(found: list[RuleVersion], held: Mapping[str, RuleVersion]) -> list[RuleVersion]:
    """Those that differ from the one before of their name."""
    fresh, last = [], {name: version.label for name, version in held.items()}
    for version in found:
        if last.get(version.name) != version.label:
            last[version.name] = version.label
            fresh.append(version)
    return fresh
