"""Settings of one Kantata OX connection. The token arrives resolved; no repr of this type shows it."""

from __future__ import annotations

from typing import Any

import msgspec

_SHOWN = ("url", "settle_after_s", "slots", "timeout_s")


class KantataSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One account. `token` is an OAuth bearer token, which does not expire until somebody revokes it.

    `settle_after_s` is how long after a send "no project has this reference" can be trusted.
    """

    token: str
    url: str = "https://api.mavenlink.com"
    settle_after_s: float = 2.0
    slots: int = 4
    timeout_s: float = 30.0

    def __repr__(self) -> str:
        return f"KantataSettings({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in _SHOWN]
