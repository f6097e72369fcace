"""The catalogue: who owns each process and class of case, how soon it must be dealt with, and who is asked next."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tieline.errors import ConfigurationError
from tieline.mapping.problems import Problems, nearest_hint
from tieline.mapping.yaml_source import Fields, read_yaml, read_yaml_file

TABLE_KEYS = ("catalogue", "version", "owner", "note", "processes", "cases")
PROCESS_KEYS = ("owner", "slo_hours", "escalate_to", "expects", "note")
EXPECTS_KEYS = ("at_least", "within_hours", "on")
MOST_EXPECTED = 10_000
WEEKDAYS, EVERY_DAY = "weekdays", "every day"
CASE_KEYS = ("owner", "slo_hours", "escalate_to", "next_step", "note")
DEFAULT = "default"


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """What usually comes: so many runs begin in any so many hours; on `weekdays`, Saturdays and Sundays (UTC) do not
    count as time."""

    at_least: int = 1
    within_hours: int = 24
    on: str = EVERY_DAY


class ProcessEntry(msgspec.Struct, frozen=True):
    """A process: its owner, the hours in which a run should finish, and who hears of it when it does not.

    `expects` is the traffic whose absence is worth an alarm; None where silence says nothing.
    """

    name: str
    owner: str
    slo_hours: int
    escalate_to: str = ""
    note: str = ""
    expects: Expectation | None = None


class CaseClass(msgspec.Struct, frozen=True):
    """A class of cases. `next_step` tells the owner what to do first."""

    name: str
    owner: str
    slo_hours: int
    escalate_to: str = ""
    next_step: str = ""
    note: str = ""


class Catalogue(msgspec.Struct, frozen=True):
    """Processes and case classes by name; the entry `default` of the cases stands in for classes nobody described."""

    processes: dict[str, ProcessEntry]
    cases: dict[str, CaseClass]
    version: int = 1
    file: str = ""

    def process(self, name: str) -> ProcessEntry:
        """Raises ConfigurationError for a process nobody owns."""
        if name not in self.processes:
            hint = nearest_hint(name, self.processes)
            raise ConfigurationError(f"{self.file}: process '{name}' is not in the catalogue{hint}")
        return self.processes[name]

    def case_class(self, name: str) -> CaseClass:
        """The class, or the default under this name."""
        return self.cases.get(name) or msgspec.structs.replace(self.cases[DEFAULT], name=name)


def load_catalogue(source: Path | str, *, file: str = "") -> Catalogue:
    """Read a catalogue from a file or a text. Raises ProblemsFound with everything wrong in it."""
    root, problems = read_yaml_file(source) if isinstance(source, Path) else read_yaml(source, file or "<text>")
    fields = Fields(root, problems, "a catalogue")
    fields.only(TABLE_KEYS)
    processes = {name: _process(name, inner) for name, inner in _entries(fields, "processes", problems)}
    cases = {name: _case(name, inner) for name, inner in _entries(fields, "cases", problems)}
    if DEFAULT not in cases:
        problems.add(fields.mark("cases"), "the cases need an entry 'default'")
    problems.raise_if_any()
    return Catalogue(processes, cases, fields.integer("version", 1), problems.file)


def _entries(fields: Fields, key: str, problems: Problems) -> list[tuple[str, Fields]]:
    node = fields.require(key)
    if node is None:
        return []
    if not node.is_map:
        problems.add(node.mark, f"'{key}' must be a mapping of names to entries")
        return []
    return [(name, Fields(entry.node, problems, f"'{name}'")) for name, entry in node.value.items()]


def _common(fields: Fields, keys: tuple[str, ...]) -> tuple[str, int, str, str]:
    fields.only(keys)
    fields.require("owner")
    fields.require("slo_hours")
    hours = fields.integer("slo_hours", 1)
    if hours < 1:
        fields.problems.add(fields.mark("slo_hours"), "'slo_hours' must be at least 1")
    return fields.text("owner"), hours, fields.text("escalate_to"), fields.text("note")


def _process(name: str, fields: Fields) -> ProcessEntry:
    owner, hours, escalate_to, note = _common(fields, PROCESS_KEYS)
    return ProcessEntry(name, owner, hours, escalate_to, note, _expectation(name, fields))


def _expectation(name: str, fields: Fields) -> Expectation | None:
    node = fields.find("expects")
    if node is None:
        return None
    if not node.is_map:
        fields.problems.add(node.mark, "'expects' must be a mapping like {at_least: 1, within_hours: 24, on: weekdays}")
        return None
    inner = Fields(node, fields.problems, f"the expectation of '{name}'")
    inner.only(EXPECTS_KEYS)
    at_least, hours, on = inner.integer("at_least", 1), inner.integer("within_hours", 24), inner.text("on") or EVERY_DAY
    if not 1 <= at_least <= MOST_EXPECTED:
        inner.problems.add(inner.mark("at_least"), f"'at_least' must be between 1 and {MOST_EXPECTED:,}")
    if hours < 1:
        inner.problems.add(inner.mark("within_hours"), "'within_hours' must be at least 1")
    if on not in (WEEKDAYS, EVERY_DAY):
        inner.problems.add(inner.mark("on"), f"'on' must be '{WEEKDAYS}' or '{EVERY_DAY}'")
    return Expectation(at_least=at_least, within_hours=hours, on=on)


def _case(name: str, fields: Fields) -> CaseClass:
    owner, hours, escalate_to, note = _common(fields, CASE_KEYS)
    return CaseClass(name, owner, hours, escalate_to, fields.text("next_step"), note)
