"""The archive: runs that ended long ago, with their journals and waits, in Parquet files by month.

A file is written beside its name, flushed, read back and compared, and only then gets its name. It counts from the
moment the store records it, in the same commit that takes its rows out of the tables; a file that no store records was
left by a crash and holds nothing that is not in the tables too.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from tieline.engine.records import ArchiveFile, JournalEntry, RunRow, Wait
from tieline.errors import ConfigurationError
from tieline.storage.parquet import Frame

R = TypeVar("R", bound=msgspec.Struct)
MANIFEST = "manifest.json"
RUN, JOURNAL, WAIT = "run", "journal", "wait"
_LOCK, _UNFINISHED = ".lock", ".unfinished"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder of Parquet files holds, for whoever has the folder and nothing else.

    `chain` is where the events of an export hang in the log: the hash before the first and the hash of the last.
    """

    written_at: datetime
    files: list[ArchiveFile]
    chain: tuple[str, str] = ("", "")


class Archive:
    """A folder of archived runs. One process writes to it at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._runs, self._journal, self._waits = Frame(RunRow), Frame(JournalEntry), Frame(Wait)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the right to write. Raises ConfigurationError when another process archives."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = (self.folder / _LOCK).open("a")
        except OSError as error:
            raise ConfigurationError(f"{self.folder}: {error.strerror}; check the folder's owner and space") from error
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ConfigurationError(f"{self.folder}: another process archives now; try again later") from error
            yield

    def write(
        self, runs: Sequence[RunRow], journal: Sequence[JournalEntry], waits: Sequence[Wait]
    ) -> list[ArchiveFile]:
        """Put runs of one month and what belongs to them into files. Raises ConfigurationError; no file counts yet."""
        ends = [run.ended_at for run in runs if run.ended_at is not None]
        places = [run.event_seq for run in runs]
        span = (min(ends), max(ends), min(places), max(places))
        files = [write_file(self.folder, RUN, self._runs, runs, *span)]
        if journal:
            files.append(write_file(self.folder, JOURNAL, self._journal, journal, *span))
        if waits:
            files.append(write_file(self.folder, WAIT, self._waits, waits, *span))
        return files

    def runs(self, files: Sequence[ArchiveFile], where: str, values: Sequence[Any], tail: str) -> list[RunRow]:
        """The runs in these files that match."""
        return _all(self._runs.read(self._paths(files), where, values, tail)) if files else []

    def journals(self, files: Sequence[ArchiveFile], run_ids: Sequence[str]) -> list[JournalEntry]:
        """The journals of runs, each by position."""
        where = f'"run_id" IN ({", ".join("?" for _ in run_ids)})'
        paths = self._paths(files)
        return _all(self._journal.read(paths, where, run_ids, 'ORDER BY "run_id", "position"')) if files else []

    def tidy(self, recorded: Sequence[ArchiveFile]) -> None:
        """Remove what a crash left: files that neither the store nor the manifest knows.

        A file that only the manifest knows stays. It was archived by a newer state of this database than the one that
        was restored, and may hold the only copy of its runs.
        """
        known = {file.name for file in [*recorded, *read_manifest(self.folder).files]}
        for path in [*self.folder.glob("*/*.parquet"), *self.folder.glob(f"*/*{_UNFINISHED}")]:
            if path.relative_to(self.folder).as_posix() not in known:
                path.unlink()

    def note(self, recorded: Sequence[ArchiveFile]) -> None:
        """Write the manifest anew, from what the store has recorded."""
        mine = {file.name for file in recorded}
        strangers = [file for file in read_manifest(self.folder).files if file.name not in mine]
        write_manifest(self.folder, Manifest(written_at=datetime.now(UTC), files=[*strangers, *recorded]))

    def _paths(self, files: Sequence[ArchiveFile]) -> list[Path]:
        return [self.folder / file.name for file in files]


def write_file(
    folder: Path,
    holds: str,
    frame: Frame[R],
    records: Sequence[R],
    first_at: datetime,
    last_at: datetime,
    first_seq: int,
    last_seq: int,
) -> ArchiveFile:
    """Write records to a file of their month, named by its content. Raises ConfigurationError if it reads otherwise."""
    month = f"{first_at:%Y-%m}"
    place = folder / month
    made = [new for new in (folder, place) if not new.exists()]
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{holds}{_UNFINISHED}"
    frame.write(path, records)
    _flush(path)
    if _all(frame.read([path])) != list(records):
        raise ConfigurationError(f"{path}: what was read back is not what was written; check the disk")
    digest = sha256_of(path)
    final = place / f"{holds}-{digest[:16]}.parquet"
    path.replace(final)
    for changed in (place, *(new.parent for new in made)):
        _flush(changed)
    return ArchiveFile(
        name=final.relative_to(folder).as_posix(),
        holds=holds,
        month=month,
        rows=len(records),
        bytes=final.stat().st_size,
        sha256=digest,
        first_at=first_at,
        last_at=last_at,
        first_seq=first_seq,
        last_seq=last_seq,
        written_at=datetime.now(UTC),
    )


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder, empty where there is none. Raises ConfigurationError for one that cannot be read."""
    path = folder / MANIFEST
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        return Manifest(written_at=datetime.now(UTC), files=[])
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigurationError(f"{path}: this is no manifest of Tieline ({error})") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest: whoever reads it sees the old one or the new one."""
    path = folder / f"{MANIFEST}{_UNFINISHED}"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
    _flush(path)
    path.replace(folder / MANIFEST)
    _flush(folder)


def sha256_of(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _flush(path: Path) -> None:
    """See to it that a file, or the names in a folder, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _all(pages: Iterator[list[R]]) -> list[R]:
    return [record for page in pages for record in page]
