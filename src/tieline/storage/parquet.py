"""Records in Parquet files: written whole, read back exactly as they were.

A column is named as the record's field; JSON (documents, payloads, lists) is text, so that amounts keep every digit;
times are UTC with microseconds. DuckDB writes and reads the files, and is loaded only when there is something to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar, get_type_hints

import msgspec

from tieline.errors import ConfigurationError, TielineError
from tieline.storage.rows import Codec, plain_type

R = TypeVar("R", bound=msgspec.Struct)
ROW_GROUP = 20_000
AT_ONCE = 5_000


class Frame(Generic[R]):
    """How one record type stands in a Parquet file."""

    def __init__(self, record: type[R]) -> None:
        hints = get_type_hints(record)
        self.codec: Codec[R] = Codec(record)
        self._types = [plain_type(hints[name]) for name in self.codec.columns]
        self._texts = [at for at, kind in enumerate(self._types) if kind is bytes]
        self.columns = ", ".join(_read(n, t) for n, t in zip(self.codec.columns, self._types, strict=True))

    def write(self, path: Path, records: Sequence[R]) -> None:
        """Write the file. Raises ConfigurationError when it cannot be written, TielineError for no text."""
        rows = [self._texted(self.codec.encode(record)) for record in records]
        columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in self._types]
        made = ", ".join(map(_made, range(1, len(self._types) + 1), self.codec.columns, self._types))
        options = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP}"
        _execute(f"COPY (SELECT {made}) TO {_quoted(path)} ({options})", columns, path)

    def read(
        self, paths: Sequence[Path], where: str = "", values: Sequence[Any] = (), tail: str = ""
    ) -> Iterator[list[R]]:
        """The records of these files that match, some thousands at a time. Raises ConfigurationError."""
        # times become numbers inside, so that conditions read the same here and in the database
        text = f"SELECT * FROM (SELECT {self.columns} FROM read_parquet(?)) AS held"
        text += (f" WHERE {where}" if where else "") + f" {tail}"
        found = _execute(text, [[str(path) for path in paths], *values], *paths)
        while rows := found.fetchmany(AT_ONCE):
            yield [self.codec.decode(self._bytes(row)) for row in rows]

    def _texted(self, row: Sequence[Any]) -> tuple[Any, ...]:
        cells = list(row)
        for at in self._texts:
            try:
                cells[at] = cells[at].decode()
            except (UnicodeDecodeError, AttributeError) as error:
                raise TielineError(
                    f"{self.codec.columns[at]} of {row[0]} is no text: the row was changed from outside; "
                    "restore it from a backup"
                ) from error
        return tuple(cells)

    def _bytes(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        cells = list(row)
        for at in self._texts:
            cells[at] = cells[at].encode()
        return tuple(cells)


def _made(at: int, name: str, kind: type) -> str:
    if kind is datetime:
        return f'make_timestamp(unnest(${at}::BIGINT[]))::TIMESTAMPTZ AS "{name}"'
    return f'unnest(${at}::{"BIGINT" if kind is int else "VARCHAR"}[]) AS "{name}"'


def _read(name: str, kind: type) -> str:
    return f'epoch_us("{name}") AS "{name}"' if kind is datetime else f'"{name}"'


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


@cache
def _engine() -> Any:
    """A DuckDB of our own, small beside a hub, which fetches nothing from anywhere. Threads take a cursor each."""
    import duckdb

    engine = duckdb.connect(
        ":memory:",
        config={
            "threads": 1,
            "memory_limit": "512MB",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
    )
    engine.execute("SET GLOBAL TimeZone = 'UTC'")
    return engine


def _execute(text: str, values: Sequence[Any], *paths: Path) -> Any:
    import duckdb

    try:
        return _engine().cursor().execute(text, values)
    except (duckdb.Error, OSError) as error:
        missing = next((path for path in paths if not path.exists()), None)
        if missing is not None and "COPY" not in text:
            raise ConfigurationError(
                f"{missing} is not there: put the file back from a backup, or name the right `folder` in [archive]"
            ) from error
        raise ConfigurationError(f"{paths[0]}: {error}") from error
