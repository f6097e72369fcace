"""Look-ups by key, gathered: all that are asked for in one turn of the loop are answered by one statement.

A read on its own costs up to seventy microseconds beside a busy writer, because each one takes SQLite's locks and finds
its page cache outdated; a hundred of them in one statement cost about one microsecond each (docs/decisions/0021). The
invariant: a look-up sees everything that was committed before it was asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

V = TypeVar("V")
Key = tuple[Any, ...]
MOST_AT_ONCE = 256
"""Keys a statement: with four columns far from SQLite's limit of 32,766 parameters."""


class Lookups(Generic[V]):
    """Look-ups in one table. `text` makes the statement for a number of keys; its rows begin with the key's columns."""

    def __init__(
        self,
        execute: Callable[[str, Sequence[Any]], Sequence[Any]],
        width: int,
        text: Callable[[int], str],
        decode: Callable[[Sequence[Any]], V],
    ) -> None:
        self._execute, self._width, self._text, self._decode = execute, width, text, decode
        self._texts: dict[int, str] = {}
        self._asked: list[tuple[Key, asyncio.Future[V | None]]] = []

    def find(self, key: Key) -> asyncio.Future[V | None]:
        """The record that stands under a key, or None, at the next turn of the loop; nobody else holds it."""
        loop = asyncio.get_running_loop()
        if not self._asked:
            loop.call_soon(self._answer)
        future: asyncio.Future[V | None] = loop.create_future()
        self._asked.append((key, future))
        return future

    def find_all(self, keys: Sequence[Key]) -> dict[Key, V]:
        """The records under many keys at once, for those that have one."""
        found: dict[Key, V] = {}
        for at in range(0, len(keys), MOST_AT_ONCE):
            rows = self._rows(list(keys[at : at + MOST_AT_ONCE]))
            found |= {key: self._decode(row) for key, row in rows.items()}
        return found

    def _answer(self) -> None:
        asked, self._asked = self._asked, []
        for at in range(0, len(asked), MOST_AT_ONCE):
            some = asked[at : at + MOST_AT_ONCE]
            try:
                found = self._rows([key for key, _ in some])
                for key, future in some:
                    if not future.done():
                        row = found.get(key)
                        future.set_result(None if row is None else self._decode(row))
            except Exception as error:  # noqa: BLE001 - whoever asked learns why
                for _, future in some:
                    if not future.done():
                        future.set_exception(error)

    def _rows(self, keys: list[Key]) -> dict[Key, Sequence[Any]]:
        # a few sizes only, so that SQLite keeps the prepared statements: the last key fills up
        size = 1 << (len(keys) - 1).bit_length()
        text = self._texts.get(size) or self._texts.setdefault(size, self._text(size))
        keys += keys[-1:] * (size - len(keys))
        rows = self._execute(text, [part for key in keys for part in key])
        return {tuple(row[: self._width]): row for row in rows}
