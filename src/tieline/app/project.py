"""A user's project: its settings, tables and processes, loaded and checked before anything runs."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from datetime import timedelta
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import msgspec

from tieline.app.settings import ConnectionSettings, Settings
from tieline.connectors.sdk import ConnectorType
from tieline.domain import KINDS
from tieline.engine.cases import CasePolicy
from tieline.engine.ports import Connector
from tieline.engine.process import Process, registry
from tieline.engine.source import Source, load
from tieline.errors import ConfigurationError
from tieline.mapping import MappingSet, Problem, schema_of
from tieline.mapping.problems import ProblemsFound
from tieline.policy import (
    Approvals,
    Catalogue,
    Routes,
    RuleSet,
    load_approvals,
    load_catalogue,
    load_routes,
    load_rules,
)
from tieline.processes.resources import Facts

ENTRY_POINTS = "tieline.connectors"


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is loaded from a project's folder. `facts` feeds the functions of its validation rules."""

    settings: Settings
    connectors: dict[str, ConnectorType]
    mappings: MappingSet
    validation: RuleSet
    approvals: Approvals
    routes: Routes
    catalogue: Catalogue
    processes: dict[str, Process]
    facts: Facts

    def open(self, connection: ConnectionSettings) -> Connector:
        """The connector of a connection, not yet connected. Raises ConfigurationError naming the wrong setting."""
        kind = self.connectors[connection.connector]
        return kind.open(connection.name, connector_settings(connection, kind))

    def policy_of(self, case_class: str) -> CasePolicy:
        """Owner, deadline, escalation and next step of a class of cases, from the catalogue."""
        entry = self.catalogue.case_class(case_class)
        return CasePolicy(
            owner=entry.owner,
            within=timedelta(hours=entry.slo_hours),
            escalate_to=entry.escalate_to,
            next_step=entry.next_step,
        )


def connector_settings(connection: ConnectionSettings, kind: ConnectorType) -> Any:
    """A connection's own settings in its connector's type. Raises ConfigurationError naming the wrong one."""
    unknown = sorted(set(connection.options) - set(kind.settings.__struct_fields__))
    if unknown:
        known = ", ".join(kind.settings.__struct_fields__)
        raise ConfigurationError(
            f"[connections.{connection.name}] unknown settings: {', '.join(unknown)}; known: {known}"
        )
    try:
        return msgspec.convert(connection.options, kind.settings)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"[connections.{connection.name}] {error}") from error


def load_project(settings: Settings) -> Project:
    """Load a project. Raises ProblemsFound with all that is wrong in its tables, ConfigurationError otherwise."""
    connectors = installed_connectors()
    _check_connections(settings, connectors)
    facts = Facts()
    mappings = load_mappings(settings.root, connectors)
    problems = mappings.check(schemas(connectors))
    policies = _Policies(settings.root / "policies", facts, mappings, problems)
    if problems:
        raise ProblemsFound(problems)
    return Project(
        settings=settings,
        connectors=connectors,
        mappings=mappings,
        validation=policies.validation,
        approvals=policies.approvals,
        routes=policies.routes,
        catalogue=policies.catalogue,
        processes=registry([p for module in _process_modules(settings) for p in module.PROCESSES]),
        facts=facts,
    )


def installed_connectors() -> dict[str, ConnectorType]:
    """Every connector that an installed package offers, by name. Raises ConfigurationError for one that is broken."""
    return {point.name: _loaded(point) for point in entry_points(group=ENTRY_POINTS)}


def _loaded(point: EntryPoint) -> ConnectorType:
    try:
        kind = point.load()
    except Exception as error:  # anything can go wrong in a package of somebody else
        package = point.dist.name if point.dist else point.value
        raise ConfigurationError(
            f"the connector {point.name!r} of the package {package} cannot be loaded: {type(error).__name__}: {error}; "
            "repair or uninstall that package"
        ) from error
    if not isinstance(kind, ConnectorType):
        raise ConfigurationError(f"the connector {point.name!r}: {point.value} is no ConnectorType")
    return kind


def load_mappings(root: Path, connectors: Mapping[str, ConnectorType]) -> MappingSet:
    """The shipped tables of all connectors, overridden by the project's own of the same name."""
    shipped = [kind.mappings for kind in connectors.values()]
    own = [folder for folder in (root / "mappings", root / "value_maps") if folder.is_dir()]
    functions: dict[str, Callable[..., Any]] = {}
    for kind in connectors.values():
        functions |= kind.functions
    return MappingSet.load(*shipped, *own, functions=functions)


def schemas(connectors: Mapping[str, ConnectorType]) -> dict[str, Any]:
    """JSON Schemas of every canonical kind and wire shape, by the names that tables use."""
    found = {name: schema_of(kind) for name, kind in KINDS.items()}
    for kind in connectors.values():
        found |= {name: schema_of(shape) for name, shape in kind.schemas.items()}
    return found


class _Policies:
    """The policy tables of a project; what is wrong in them joins `problems`."""

    def __init__(self, folder: Path, facts: Facts, mappings: MappingSet, problems: list[Problem]) -> None:
        functions, maps = facts.functions(), mappings.value_maps
        self.validation = _load(load_rules, folder / "validation.yaml", problems, functions=functions, value_maps=maps)
        self.approvals = _load(
            load_approvals, folder / "approvals.yaml", problems, functions=functions, value_maps=maps
        )
        self.routes = _load(load_routes, folder / "routes.yaml", problems)
        self.catalogue = _load(load_catalogue, folder / "catalogue.yaml", problems)


def _load(loader: Callable[..., Any], path: Path, problems: list[Problem], **arguments: Any) -> Any:
    if not path.is_file():
        problems.append(Problem(str(path), 1, 1, "this file is missing; `tieline init` makes one to start from"))
        return None
    try:
        return loader(path, **arguments)
    except ProblemsFound as found:
        problems.extend(found.problems)
        return None


def _check_connections(settings: Settings, connectors: Mapping[str, ConnectorType]) -> None:
    for connection in settings.connections.values():
        if connection.connector not in connectors:
            raise ConfigurationError(
                f"[connections.{connection.name}] there is no connector {connection.connector!r}; "
                f"installed: {', '.join(sorted(connectors))}"
            )
        connector_settings(connection, connectors[connection.connector])


def _process_modules(settings: Settings) -> list[Any]:
    modules = [_import(name) for name in settings.processes]
    folder = settings.root / "processes"
    own = sorted(folder.glob("*.py")) if folder.is_dir() else []
    for path in own:
        try:
            text = importlib.util.decode_source(path.read_bytes())
            modules.append(load(Source.of(f"project_processes.{path.stem}", text), str(path), kept=False))
        except (ImportError, SyntaxError, NameError, ValueError) as error:
            raise ConfigurationError(f"{path}: {type(error).__name__}: {error}") from error
    missing = [m.__name__ for m in modules if not hasattr(m, "PROCESSES")]
    if missing:
        raise ConfigurationError(f"process module {missing[0]} has no list PROCESSES")
    return modules


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigurationError(f"process module {name!r} cannot be imported: {error}") from error
