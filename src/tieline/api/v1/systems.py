"""The hub and what it is linked to: status, systems, processes; stopping a system and letting it work again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from tieline.api.v1.answers import Once
from tieline.api.v1.operations import Reason, reads, takes
from tieline.app import systems
from tieline.app.connectors import Ability, ability
from tieline.app.desk import Desk
from tieline.app.principal import Permission, Principal
from tieline.app.views.reading import View
from tieline.app.views.resolve import NothingFound
from tieline.app.views.status import HubView, hub_status
from tieline.engine.connection import Connection
from tieline.engine.process import Process
from tieline.engine.records import Hold

STATUS, SYSTEMS, PROCESSES = "Status", "Systems", "Processes"


class Systems(msgspec.Struct, frozen=True, kw_only=True):
    """All connections of the project."""

    systems: list[systems.System]


class SystemWithAbility(msgspec.Struct, frozen=True, kw_only=True):
    """A connection and what its connector can do."""

    system: systems.System
    ability: Ability


class StopSystem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stop a system: `pause` at once, `drain` behind what is queued there."""

    how: Literal["pause", "drain"]
    reason: Reason


class ResumeSystem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Let a system work again."""

    reason: Annotated[str, msgspec.Meta(max_length=2_000)] = ""


class Stopped(msgspec.Struct, frozen=True, kw_only=True):
    """The stop that holds now, or that ended."""

    connection: str
    hold: Hold


class ProcessLine(msgspec.Struct, frozen=True, kw_only=True):
    """A process of the project. `runs` counts them by state; a run should end within `slo_hours` (0: nobody said)."""

    name: str
    version: str
    triggers: list[str]
    latest_wins: bool
    owner: str
    slo_hours: int
    escalate_to: str
    note: str
    runs: dict[str, int]


class Processes(msgspec.Struct, frozen=True, kw_only=True):
    """The catalogue of processes."""

    processes: list[ProcessLine]


@reads("/status", tag=STATUS)
async def get_status(view: NamedDependency[View]) -> HubView:
    """Get how the hub does: systems, runs, effects, and what needs a person."""
    return await hub_status(view, datetime.now(UTC))


@reads("/systems", tag=SYSTEMS)
async def list_systems(desk: NamedDependency[Desk], view: NamedDependency[View]) -> Systems:
    """List the connections and how they do."""
    found = await systems.list_systems(desk.project, view.store, _live(desk), datetime.now(UTC))
    return Systems(systems=found)


@reads("/systems/{connection:str}", tag=SYSTEMS)
async def get_system(
    desk: NamedDependency[Desk], view: NamedDependency[View], connection: FromPath[str]
) -> SystemWithAbility:
    """Get a connection, and what can be written and read there."""
    _known(view, connection)
    found = await systems.get_system(desk.project, view.store, _live(desk), connection, datetime.now(UTC))
    return SystemWithAbility(system=found, ability=ability(view.vendors[connection]))


@takes("/systems/{connection:str}/stop", tag=SYSTEMS, needs=Permission.OPERATE)
async def stop_system(
    desk: NamedDependency[Desk],
    view: NamedDependency[View],
    principal: NamedDependency[Principal],
    once: NamedDependency[Once],
    connection: FromPath[str],
    data: JSONBody[StopSystem],
) -> Response[Stopped]:
    """Stop sending to a system.

    What is to be written there waits without losing attempts, until the system is resumed.
    """
    _known(view, connection)

    async def stop() -> Stopped:
        held = await systems.hold(
            desk.project,
            desk.store,
            connection,
            drain=data.how == "drain",
            reason=data.reason,
            by=principal,
            now=datetime.now(UTC),
        )
        return Stopped(connection=connection, hold=held)

    return await once(stop)


@takes("/systems/{connection:str}/resume", tag=SYSTEMS, needs=Permission.OPERATE)
async def resume_system(
    desk: NamedDependency[Desk],
    view: NamedDependency[View],
    principal: NamedDependency[Principal],
    once: NamedDependency[Once],
    connection: FromPath[str],
    data: JSONBody[ResumeSystem],
) -> Response[Stopped]:
    """Let a system work again; what waited is sent."""
    _known(view, connection)

    async def resume() -> Stopped:
        held = await systems.release(
            desk.project, desk.store, connection, reason=data.reason, by=principal, now=datetime.now(UTC)
        )
        return Stopped(connection=connection, hold=held)

    return await once(resume)


def _live(desk: Desk) -> dict[str, Connection]:
    return {name: desk.worker.connection(name) for name in desk.project.settings.connections}


def _known(view: View, connection: str) -> None:
    if connection not in view.vendors:
        raise NothingFound(f"there is no connection {connection!r}; there are: {', '.join(view.vendors)}")


@reads("/processes", tag=PROCESSES)
async def list_processes(desk: NamedDependency[Desk], view: NamedDependency[View]) -> Processes:
    """List the processes with their owners and the number of their runs."""
    counted: dict[str, dict[str, int]] = {}
    for (process, state), number in (await view.store.count_runs()).items():
        counted.setdefault(process, {})[state] = number
    known = sorted(desk.project.processes.items())
    return Processes(processes=[_process(desk, process, counted.get(name, {})) for name, process in known])


def _process(desk: Desk, process: Process, runs: dict[str, int]) -> ProcessLine:
    entry = desk.project.catalogue.processes.get(process.name)
    return ProcessLine(
        name=process.name,
        version=process.version,
        triggers=[trigger.__name__ for trigger in process.triggers],
        latest_wins=process.latest_wins,
        owner=entry.owner if entry else "",
        slo_hours=entry.slo_hours if entry else 0,
        escalate_to=entry.escalate_to if entry else "",
        note=entry.note if entry else "",
        runs=runs,
    )


HANDLERS = [get_status, list_systems, get_system, stop_system, resume_system, list_processes]
