"""The latest calls of a connection, as the control room shows them: when, what, how long, and the bodies.

Every call of a working hub is noted, so noting does next to nothing: bodies are cut and kept as they are, in memory
only. The invariant: no header is kept, and no body is given out before its secrets are taken out.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple, Protocol, runtime_checkable
from urllib.parse import unquote

import msgspec

from tieline.connectors.sdk.auth import TokenAge
from tieline.connectors.sdk.capture import Answered, Capture

MOST_CALLS = 200
MOST_KEPT = 4_096


class RecentCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call and its answer, without secrets. `path` is decoded, for reading; `status` 0: no answer came."""

    at: datetime
    ms: float
    method: str
    path: str
    status: int
    request: str
    response: str


class _Answer(msgspec.Struct, frozen=True):
    status: int
    headers: dict[str, str]
    body: bytes


class _Kept(NamedTuple):
    at: float
    seconds: float
    method: str
    url: str
    status: int
    request: bytes
    response: bytes


class Recent:
    """A ring of the latest calls, and how old the token is that they are made with."""

    def __init__(self, token: Callable[[], TokenAge | None]) -> None:
        self.token = token
        """When the token was got and until when it holds; None where nothing expires, or none was needed yet."""
        self.watch: Callable[[float, float, str, str, int], None] | None = None
        """Told of every call: when it began (Unix time), seconds, method, URL, status."""
        self._ring: deque[_Kept] = deque(maxlen=MOST_CALLS)
        self._answered_at = 0.0

    def note(self, started: float, method: str, url: str, body: bytes | None, answer: Answered | None) -> None:
        """Keep one call; `started` is of time.perf_counter."""
        now, took = time.time(), time.perf_counter() - started
        status, said = (answer.status, answer.body) if answer else (0, b"")
        if answer:
            self._answered_at = now
        if self.watch is not None:
            self.watch(now - took, took, method, url, status)
        self._ring.append(_Kept(now - took, took, method, url, status, (body or b"")[:MOST_KEPT], said[:MOST_KEPT]))

    @property
    def answered_at(self) -> datetime | None:
        """When the system answered last, whatever it said."""
        return datetime.fromtimestamp(self._answered_at, UTC) if self._answered_at else None

    def calls(self, most: int = MOST_CALLS) -> list[RecentCall]:
        """The latest ones, newest first, without secrets."""
        return [_shown(kept) for kept in list(reversed(self._ring))[:most]]


def _shown(kept: _Kept) -> RecentCall:
    capture = Capture(most=1)
    capture.note(kept.method, kept.url, {}, kept.request, _Answer(kept.status, {}, kept.response))
    (exchange,) = capture.exchanges()
    return RecentCall(
        at=datetime.fromtimestamp(kept.at, UTC),
        ms=round(kept.seconds * 1000, 1),
        method=kept.method,
        path=unquote(exchange.path),
        status=kept.status,
        request=exchange.request + _cut(kept.request),
        response=exchange.response + _cut(kept.response),
    )


def _cut(body: bytes) -> str:
    return "…" if len(body) == MOST_KEPT else ""


@runtime_checkable
class KeepsCalls(Protocol):
    """A connector whose latest calls can be looked at."""

    @property
    def recent(self) -> Recent:
        """Its session's."""
