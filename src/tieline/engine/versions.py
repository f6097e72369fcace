"""Versions of processes: a run finishes on the code it began with.

The invariant: what executes a run is the current code where its version is that of the run, and else the very text
that was kept when the version's first run began; never anything that only resembles it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import ModuleType

import structlog

from tieline.engine.ports import Store
from tieline.engine.process import Process
from tieline.engine.records import ProcessVersion, RunRow
from tieline.engine.source import Source, load
from tieline.errors import ConfigurationError

_log = structlog.get_logger("tieline.worker")


class VersionLost(ConfigurationError):
    """The code that a run began with cannot be had any more."""


class Versions:
    """The current processes of a project, and every version that runs of the store began with."""

    def __init__(self, store: Store, current: Mapping[str, Process]) -> None:
        self._store, self._current = store, current
        self._loaded: dict[tuple[str, str], Process] = {}
        self._kept: set[tuple[str, str]] = set()

    def at_hand(self, process: str, version: str) -> Process | None:
        """A version that is loaded already."""
        current = self._current.get(process)
        if current is not None and current.version == version:
            return current
        return self._loaded.get((process, version))

    async def get(self, process: str, version: str) -> Process:
        """The process as it was in a version. Raises VersionLost."""
        return self.at_hand(process, version) or await self._load(process, version)

    def to_keep(self, rows: Iterable[RunRow], now: datetime) -> list[ProcessVersion]:
        """The current versions that these new runs begin with and that this life has not kept yet."""
        fresh = {(row.process, row.version) for row in rows} - self._kept
        self._kept |= fresh
        return [to_keep(self._current[process], now) for process, _ in sorted(fresh)]

    async def _load(self, process: str, version: str) -> Process:
        kept = await self._store.process_version(process, version)
        if kept is None:
            raise VersionLost(
                f"this run of {process} began with version {version}, of which no source was kept; {_remedy(process)}"
            )
        source = Source.of(kept.module, kept.text)
        if source.version != version:
            raise VersionLost(
                f"the source kept of {process} {version} is not that of its version: it was changed; {_remedy(process)}"
            )
        definition = _defined(self._executed(process, source), process, version)
        self._loaded[process, version] = definition
        _log.info("runs finish on an earlier version", process=process, version=version)
        return definition

    def _executed(self, process: str, source: Source) -> ModuleType:
        try:
            return load(source, self._file(source.module), kept=True)
        except Exception as error:  # the text is of another day, and its imports are of today
            raise VersionLost(
                f"version {source.version} of {process} cannot be loaded any more "
                f"({type(error).__name__}: {error}); {_remedy(process)}"
            ) from error

    def _file(self, module: str) -> str:
        """Where the module stands today: what a process reads beside itself is found there."""
        for definition in self._current.values():
            if definition.source.module == module:
                return str(definition.function.__globals__.get("__file__", ""))
        return ""


def to_keep(definition: Process, now: datetime) -> ProcessVersion:
    """A version as it is kept."""
    return ProcessVersion(
        process=definition.name,
        version=definition.version,
        module=definition.source.module,
        text=definition.source.text,
        first_seen_at=now,
    )


def _defined(module: ModuleType, process: str, version: str) -> Process:
    for definition in getattr(module, "PROCESSES", ()):
        if definition.name == process:
            return definition  # type: ignore[no-any-return]
    raise VersionLost(f"the module of version {version} lists no process {process!r} in PROCESSES; {_remedy(process)}")


def _remedy(process: str) -> str:
    return f"`tieline runs move --process {process}` says which of its runs fit the version of today"
