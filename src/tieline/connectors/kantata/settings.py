"""Settings of one Kantata OX connection. The token arrives resolved; no repr of this type shows it."""

from __future__ import annotations

from typing import Any

import msgspec

from tieline.errors import ConfigurationError

TIME_ENTRY = "time_entry"
MAX_PAGE = 200
_SHOWN = ("url", "settle_after_s", "streams", "page_size", "overlap_s", "slots", "timeout_s")


class KantataSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One account. `token` is an OAuth bearer token, which does not expire until somebody revokes it.

    `settle_after_s` is how long after a send "no project has this reference" can be trusted. Nothing else keeps a
    project from being opened twice while a request is still being carried out, so it is longer than `timeout_s`.
    `streams` names what is swept for changes: `time_entry`, where time is read.
    `page_size` (200 at most) and `overlap_s` are of the stream of time entries: how far behind its newest stamp a
    sweep reads again.
    """

    token: str
    url: str = "https://api.mavenlink.com"
    settle_after_s: float = 45.0
    streams: tuple[str, ...] = ()
    page_size: int = 200
    overlap_s: float = 120.0
    slots: int = 4
    timeout_s: float = 30.0

    def __post_init__(self) -> None:
        if unknown := set(self.streams) - {TIME_ENTRY}:
            raise ConfigurationError(f"kantata: streams names {', '.join(sorted(unknown))}; there is {TIME_ENTRY}")
        if not 1 <= self.page_size <= MAX_PAGE:
            raise ConfigurationError(f"kantata: page_size must be between 1 and {MAX_PAGE}, Kantata's largest page")

    def __repr__(self) -> str:
        return f"KantataSettings({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in _SHOWN]
