"""System of record for each field of each entity, and the proof that no synchronisation can go round in circles."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from tieline.mapping.problems import Mark, Problem, Problems, nearest_hint
from tieline.mapping.yaml_source import Fields, Node, read_yaml, read_yaml_file

TABLE_KEYS = ("ownership", "sync", "version", "owner", "note")
FIELD_KEYS = ("system", "otherwise", "owner", "note")
SYNC_KEYS = ("from", "to", "entity", "fields", "note")
OTHERWISE = ("refuse", "ignore", "case")
EVERY = "*"


class Owned(msgspec.Struct, frozen=True):
    """Who holds the truth of a field, and what happens to a write by anyone else."""

    entity: str
    field: str
    system: str
    otherwise: str = "refuse"
    owner: str = ""
    note: str = ""


class Flow(msgspec.Struct, frozen=True):
    """Fields of an entity that are carried from one system to another; `fields` may hold `*`."""

    source: str
    target: str
    entity: str
    fields: tuple[str, ...]
    mark: Mark = Mark()


class Loop(msgspec.Struct, frozen=True):
    """A field that comes back to where it started: `systems` begins and ends with the same one."""

    entity: str
    field: str
    systems: tuple[str, ...]

    def __str__(self) -> str:
        field = "every field" if self.field == EVERY else f"'{self.field}'"
        return f"{field} of {self.entity} can go round: {' → '.join(self.systems)}"


class Ownership(msgspec.Struct, frozen=True):
    """The ownership matrix."""

    owned: dict[tuple[str, str], Owned]
    flows: tuple[Flow, ...] = ()
    version: int = 1
    file: str = ""

    def find(self, entity: str, field: str) -> Owned | None:
        """The row of a field, else the row `*` of its entity."""
        return self.owned.get((entity, field)) or self.owned.get((entity, EVERY))

    def owner_of(self, entity: str, field: str) -> str:
        """The system of record, "" when the table names none."""
        found = self.find(entity, field)
        return found.system if found else ""

    def may_write(self, entity: str, field: str, system: str) -> bool:
        """Whether a change made in this system counts. A field nobody owns may be written by nobody."""
        return self.owner_of(entity, field) == system

    def decide(self, entity: str, field: str, system: str) -> str:
        """What to do with a change made in a system: accept, refuse, ignore or case."""
        found = self.find(entity, field)
        if found is None:
            return "refuse"
        return "accept" if found.system == system else found.otherwise

    def systems(self, entity: str) -> set[str]:
        """The systems that hold the truth of some field of an entity."""
        return {o.system for (e, _), o in self.owned.items() if e == entity}


def load_ownership(source: Path | str, *, file: str = "") -> Ownership:
    """Read an ownership table from a file or a text.

    Raises ProblemsFound with everything wrong in it, a synchronisation that can oscillate included.
    """
    root, problems = read_yaml_file(source) if isinstance(source, Path) else read_yaml(source, file or "<text>")
    fields = Fields(root, problems, "an ownership table")
    fields.only(TABLE_KEYS)
    owned = _matrix(fields, problems)
    flows = tuple(_flow(node, problems) for node in fields.items("sync"))
    table = Ownership(owned, flows, fields.integer("version", 1), problems.file)
    problems.found += check_flows(table)
    problems.raise_if_any()
    return table


def check_flows(table: Ownership, more: Iterable[Flow] = ()) -> list[Problem]:
    """What is wrong with the synchronisation: writes into the owner of a field, and loops."""
    problems = Problems(table.file)
    flows = (*table.flows, *more)
    for flow in flows:
        for field in flow.fields:
            for name in _named(table, flow.entity, field):
                if table.owner_of(flow.entity, name) == flow.target:
                    what = f"'{name}' of {flow.entity}" if name != EVERY else f"every field of {flow.entity}"
                    problems.add(flow.mark, f"{flow.source} writes to {flow.target}, which owns {what}")
    for loop in find_loops(table, flows):
        first = next(f for f in flows if f.source == loop.systems[0] and f.target == loop.systems[1])
        problems.add(first.mark, str(loop))
    return problems.found


def find_loops(table: Ownership, flows: Iterable[Flow]) -> list[Loop]:
    """One loop for each field that can go round."""
    edges: dict[tuple[str, str], dict[str, list[str]]] = {}
    for flow in flows:
        for field in flow.fields:
            for name in _named(table, flow.entity, field) | _in_flows(flows, flow.entity, field):
                edges.setdefault((flow.entity, name), {}).setdefault(flow.source, []).append(flow.target)
    loops = []
    for (entity, field), graph in sorted(edges.items()):
        systems = _cycle(graph)
        if systems:
            loops.append(Loop(entity, field, systems))
    return _without_repeats(loops)


def _named(table: Ownership, entity: str, field: str) -> set[str]:
    """The fields that a flow's `*` stands for."""
    return {field} if field != EVERY else {EVERY, *(f for e, f in table.owned if e == entity)}


def _in_flows(flows: Iterable[Flow], entity: str, field: str) -> set[str]:
    return {f for flow in flows if flow.entity == entity for f in flow.fields} if field == EVERY else {field}


def _cycle(graph: dict[str, list[str]]) -> tuple[str, ...]:
    """A closed path of the graph, empty when there is none."""
    done: set[str] = set()
    for start in sorted(graph):
        trail = [start]
        branches = [iter(sorted(set(graph[start])))]
        while branches:
            following = next(branches[-1], None)
            if following is None:
                done.add(trail.pop())
                branches.pop()
            elif following in trail:
                return (*trail[trail.index(following) :], following)
            elif following not in done:
                trail.append(following)
                branches.append(iter(sorted(set(graph.get(following, ())))))
    return ()


def _without_repeats(loops: list[Loop]) -> list[Loop]:
    """A loop of every field says the same as one of each field."""
    whole = {(loop.entity, loop.systems) for loop in loops if loop.field == EVERY}
    return [loop for loop in loops if loop.field == EVERY or (loop.entity, loop.systems) not in whole]


def _matrix(fields: Fields, problems: Problems) -> dict[tuple[str, str], Owned]:
    node = fields.require("ownership")
    owned: dict[tuple[str, str], Owned] = {}
    for entity, entry in Fields(node, problems, "'ownership'").entries.items() if node else ():
        for field, row in Fields(entry.node, problems, f"'{entity}'").entries.items():
            owned[entity, field] = _owned(entity, field, row.node, problems)
    return owned


def _owned(entity: str, field: str, node: Node, problems: Problems) -> Owned:
    if isinstance(node.value, str) and node.value:
        return Owned(entity, field, node.value)
    fields = Fields(node, problems, f"'{entity}.{field}'")
    fields.only(FIELD_KEYS)
    fields.require("system")
    otherwise = fields.text("otherwise", "refuse")
    if otherwise not in OTHERWISE:
        hint = nearest_hint(otherwise, OTHERWISE)
        problems.add(fields.mark("otherwise"), f"'{otherwise}' is none of {', '.join(OTHERWISE)}{hint}")
    return Owned(entity, field, fields.text("system"), otherwise, fields.text("owner"), fields.text("note"))


def _flow(node: Node, problems: Problems) -> Flow:
    fields = Fields(node, problems, "a synchronisation")
    fields.only(SYNC_KEYS)
    for key in ("from", "to", "entity"):
        fields.require(key)
    names = tuple(str(item.raw) for item in fields.items("fields")) or (EVERY,)
    if fields.text("from") and fields.text("from") == fields.text("to"):
        problems.add(node.mark, "a system is not synchronised with itself")
    return Flow(fields.text("from"), fields.text("to"), fields.text("entity"), names, node.mark)
