"""Export: the log and the ledger as Parquet files, for a warehouse or an auditor, and the proof that they are whole.

Rows are exported whole and unrounded. Whoever has the folder can check it without the database: each file has its
SHA-256 in the manifest, and the hash chain of the log is walked again over the exported events.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from tieline.app.views.listing import ChainCheck, ChainWalk
from tieline.engine.ports import Store
from tieline.engine.records import ArchiveFile, CaseRow, Effect, Reference, RunRow
from tieline.errors import ConfigurationError
from tieline.events import LoggedEvent
from tieline.storage.archive import Manifest, read_manifest, sha256_of, write_file, write_manifest
from tieline.storage.parquet import Frame

ROWS_A_FILE = 20_000
PAGE = 5_000
EVENTS = "events"


class Table(msgspec.Struct, frozen=True):
    """What can be exported: its record, the time a row belongs to, and its place in the log."""

    record: type[Any]
    time: Callable[[Any], datetime]
    place: Callable[[Any], int] = lambda _: 0


TABLES = {
    EVENTS: Table(LoggedEvent, lambda event: event.recorded_at, lambda event: event.seq),
    "effects": Table(Effect, lambda effect: effect.intended_at),
    "references": Table(Reference, lambda reference: reference.at),
    "cases": Table(CaseRow, lambda case: case.opened_at),
    "runs": Table(RunRow, lambda run: run.started_at, lambda run: run.event_seq),
}


class FolderCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a folder of files is what was written. `chain` is about its events, None where it has none."""

    files: int
    rows: int
    problems: list[str]
    chain: ChainCheck | None = None

    @property
    def ok(self) -> bool:
        return not self.problems and (self.chain is None or self.chain.ok)


async def export(
    store: Store,
    folder: Path,
    tables: Sequence[str],
    month: str = "",
    written: Callable[[ArchiveFile], None] = lambda _: None,
) -> Manifest:
    """Write tables, or one month (`2026-01`) of them, to a new folder. Raises ConfigurationError."""
    unknown = [name for name in tables if name not in TABLES]
    if unknown:
        raise ConfigurationError(f"there is no table {unknown[0]!r} to export; there are: {', '.join(TABLES)}")
    period = month_of(month) if month else (None, None)
    _make_new(folder)
    files: list[ArchiveFile] = []
    chain = ("", "")
    for name in tables:
        async for rows in _groups(name, _pages(store, name, *period)):
            files.append(_write(folder, name, rows))
            written(files[-1])
            if name == EVENTS:
                chain = (chain[0] or rows[0].prev_hash, rows[-1].hash)
    manifest = Manifest(written_at=datetime.now(UTC), files=files, chain=chain)
    write_manifest(folder, manifest)
    return manifest


def _make_new(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        empty = not any(folder.iterdir())
    except OSError as error:
        raise ConfigurationError(f"{folder}: {error.strerror}; name a folder that can be written") from error
    if not empty:
        raise ConfigurationError(f"{folder} is not empty; name a new folder")


def month_of(text: str) -> tuple[datetime, datetime]:
    """`2026-01` → its beginning and its end, UTC. Raises ConfigurationError."""
    try:
        first = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    except ValueError as error:
        raise ConfigurationError(f"{text!r} is no month; write it like 2026-01") from error
    return first, first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)


def _pages(store: Store, name: str, since: datetime | None, until: datetime | None) -> AsyncIterator[list[Any]]:
    return _runs(store, since, until) if name == "runs" else store.rows(TABLES[name].record, since, until)


async def _runs(store: Store, since: datetime | None, until: datetime | None) -> AsyncIterator[list[RunRow]]:
    """Those of the archive among them."""
    after = (-1, "")
    while page := await store.runs(since=since, until=until, after=after, limit=PAGE):
        yield page
        after = (page[-1].event_seq, page[-1].id)


async def _groups(name: str, pages: AsyncIterator[list[Any]]) -> AsyncIterator[list[Any]]:
    """Rows of one month each, as many as a file takes. Events stay in one sequence from file to file."""
    held: dict[str, list[Any]] = {}
    async for page in pages:
        for row in page:
            month = f"{TABLES[name].time(row):%Y-%m}"
            if name == EVENTS and held and month not in held:
                yield held.popitem()[1]
            held.setdefault(month, []).append(row)
            if len(held[month]) == ROWS_A_FILE:
                yield held.pop(month)
    for rows in held.values():
        yield rows


def _write(folder: Path, name: str, rows: list[Any]) -> ArchiveFile:
    table = TABLES[name]
    times, places = [table.time(row) for row in rows], [table.place(row) for row in rows]
    return write_file(folder, name, Frame(table.record), rows, min(times), max(times), min(places), max(places))


# --- proof ------------------------------------------------------------------------------------------------------------


def check_folder(folder: Path) -> FolderCheck:
    """Whether every file is the one of the manifest, and the exported events follow from each other.

    Raises ConfigurationError for a folder without a manifest.
    """
    manifest = read_manifest(folder)
    if not manifest.files:
        raise ConfigurationError(f"{folder} holds no export and no archive: it has no manifest with files")
    problems = [problem for file in manifest.files if (problem := _wrong(folder, file))]
    events = sorted((f for f in manifest.files if f.holds == EVENTS), key=lambda file: file.first_seq)
    return FolderCheck(
        files=len(manifest.files),
        rows=sum(file.rows for file in manifest.files),
        problems=problems,
        chain=_walk(folder, events, manifest.chain) if events and not problems else None,
    )


def _wrong(folder: Path, file: ArchiveFile) -> str:
    path = folder / file.name
    if not path.is_file():
        return f"{file.name} is not there"
    return "" if sha256_of(path) == file.sha256 else f"{file.name} is not what was written: it was changed"


def _walk(folder: Path, files: Sequence[ArchiveFile], chain: tuple[str, str]) -> ChainCheck:
    """The chain over the exported events; a part of the log begins at the hash that the manifest names."""
    walk = ChainWalk(files[0].first_seq - 1, chain[0])
    for page in _events(folder, files):
        if broken := walk.take(page):
            return broken
    end = walk.end()
    if end.last_hash != chain[1]:
        return msgspec.structs.replace(end, ok=False, broken_at=walk.seq + 1, reason="the last events are missing")
    return end


def _events(folder: Path, files: Sequence[ArchiveFile]) -> Iterator[list[LoggedEvent]]:
    frame = Frame(LoggedEvent)
    for file in files:
        yield from frame.read([folder / file.name], tail='ORDER BY "seq"')
