"""All tables and value maps of a project: several folders, where a later folder overrides an earlier one by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Mapping as Lookup
from pathlib import Path
from typing import Any

from tieline.errors import ConfigurationError
from tieline.mapping.check import check
from tieline.mapping.compile import Mapping, compile_table
from tieline.mapping.corrections import Corrections
from tieline.mapping.examples import ExampleResult, run_examples
from tieline.mapping.functions import BUILTINS
from tieline.mapping.problems import Mark, Problem, Problems, ProblemsFound, nearest_hint
from tieline.mapping.shapes import JsonSchema
from tieline.mapping.signatures import Functions
from tieline.mapping.table import Table, table_from
from tieline.mapping.value_map import ValueMap, value_map_from
from tieline.mapping.yaml_source import read_yaml_file

Named = Lookup[str, Callable[..., Any]]


class MappingSet:
    """Tables by name, value maps by name, and `problems` of the files. A table is compiled when first asked for."""

    def __init__(
        self,
        tables: Lookup[str, Table],
        value_maps: Lookup[str, ValueMap],
        functions: Functions = BUILTINS,
        problems: Iterable[Problem] = (),
    ) -> None:
        self.tables = dict(tables)
        self.value_maps = dict(value_maps)
        self.functions = functions
        self._file_problems = list(problems)
        self._compiled: dict[str, Mapping] = {}

    @classmethod
    def load(cls, *folders: Path, functions: Named | None = None) -> MappingSet:
        """Read every *.yaml below the folders. Faulty files are left out and told in `problems`."""
        tables: dict[str, Table] = {}
        maps: dict[str, ValueMap] = {}
        problems: list[Problem] = []
        for folder in folders:
            here_tables: dict[str, Table] = {}
            here_maps: dict[str, ValueMap] = {}
            for path in sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")]):
                problems += _read(path, here_tables, here_maps)
            tables |= here_tables
            maps |= here_maps
        return cls(tables, maps, BUILTINS.with_(functions or {}), problems)

    @property
    def problems(self) -> list[Problem]:
        """What is wrong in the files, and with each table against the value maps and functions."""
        found = list(self._file_problems)
        for table in self.tables.values():
            found += check(table, value_maps=self.value_maps, functions=self.functions)
        return sorted(set(found))

    def check(self, schemas: Lookup[str, JsonSchema]) -> list[Problem]:
        """As `problems`, and against the JSON Schemas of sources and targets, by the names the tables use."""
        found = list(self._file_problems)
        for table in self.tables.values():
            sides = schemas.get(table.source), schemas.get(table.target)
            found += check(table, *sides, value_maps=self.value_maps, functions=self.functions)
        return sorted(set(found))

    @property
    def names(self) -> list[str]:
        return sorted(self.tables)

    def mapping(self, name: str) -> Mapping:
        """The compiled table `source -> target`. Raises ConfigurationError when absent, ProblemsFound when faulty."""
        if name not in self._compiled:
            table = self.tables.get(name)
            if table is None:
                raise ConfigurationError(f"there is no mapping '{name}'{nearest_hint(name, self.tables)}")
            self._compiled[name] = compile_table(table, value_maps=self.value_maps, functions=self.functions.values())
        return self._compiled[name]

    def find(self, name: str) -> Mapping | None:
        return self.mapping(name) if name in self.tables else None

    def value_map(self, name: str) -> ValueMap:
        """Raises ConfigurationError when there is none of that name."""
        if name not in self.value_maps:
            raise ConfigurationError(f"there is no value map '{name}'{nearest_hint(name, self.value_maps)}")
        return self.value_maps[name]

    def with_value_map(self, value_map: ValueMap) -> MappingSet:
        """This set with one value map added or replaced; the tables are compiled anew, and their hashes change."""
        maps = {**self.value_maps, value_map.name: value_map}
        return MappingSet(self.tables, maps, self.functions, self._file_problems)

    def with_corrections(self, corrections: Corrections) -> MappingSet:
        """This set, as read from files, with the corrections that the files do not hold."""
        known = [self.value_maps[name] for name in corrections.corrected_maps if name in self.value_maps]
        maps = self.value_maps | {m.name: corrections.over(m).value_map for m in known}
        return MappingSet(self.tables, maps, self.functions, self._file_problems)

    def run_examples(self) -> list[ExampleResult]:
        """The examples of all tables. Raises ProblemsFound for a faulty table."""
        return [
            result
            for name in self.names
            for result in run_examples(self.mapping(name), Path(self.tables[name].file).parent)
        ]


def _read(path: Path, tables: dict[str, Table], maps: dict[str, ValueMap]) -> list[Problem]:
    try:
        root, problems = read_yaml_file(path)
    except ProblemsFound as exc:
        return exc.problems
    if root.is_map and "value_map" in root.value:
        value_map = value_map_from(root, problems)
        _keep(maps, value_map.name, value_map, problems)
    elif root.is_map and "mapping" in root.value:
        table = table_from(root, problems)
        _keep(tables, table.name, table, problems)
    else:
        problems.add(Mark(), "this file is neither a mapping table nor a value map")
    return problems.found


def _keep(known: dict[str, Any], name: str, made: Any, problems: Problems) -> None:
    if name in known:
        problems.add(Mark(), f"'{name}' is also in {known[name].file}")
    elif not problems.found:
        known[name] = made
