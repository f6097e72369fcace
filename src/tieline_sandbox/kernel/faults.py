"""Faults that a test or a user orders over the control API.

A fault strikes requests that match it, `times` times, after letting `skip` matches pass.

| kind | what happens |
| --- | --- |
| drop_request | the connection is reset before the vendor sees the request |
| drop_response | the vendor does the work, then the connection is reset |
| late_response | the vendor does the work, the answer comes `seconds` later |
| delay | the vendor starts the work `seconds` later |
| cut_response | half of the body is sent, then the connection is reset |
| status | the vendor refuses with `status` (and `code`), in its own words, doing nothing |
| outage | every connection is reset until the fault is deleted or `seconds` have passed |
| webhook_drop, webhook_duplicate, webhook_delay, webhook_reorder | the same, for what the vendor sends; a delay may \
be so many `days` of the sandbox clock |
| vendor-specific | any other kind is offered to the vendor, which looks it up with `strike(kind)` |
"""

from __future__ import annotations

import re
import time
from collections import Counter
from typing import Any

import msgspec

GATE_KINDS = ("outage", "drop_request", "status", "delay", "drop_response", "late_response", "cut_response")


class Fault(msgspec.Struct, kw_only=True):
    """One ordered fault. `path` is a regular expression searched in the path; `body` one searched in the body."""

    kind: str
    method: str | None = None
    path: str | None = None
    body: str | None = None
    times: int | None = 1
    skip: int = 0
    status: int = 503
    code: str | None = None
    seconds: float = 0.0
    days: float = 0.0
    id: int = 0
    struck: int = 0
    until: float | None = None

    def matches(self, method: str, path: str, body: bytes) -> bool:
        if self.method is not None and self.method.upper() != method:
            return False
        if self.path is not None and not re.search(self.path, path):
            return False
        return self.body is None or re.search(self.body.encode(), body) is not None


class Faults:
    """The faults in force, oldest first; `struck` counts by kind what has struck since the last reset."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self.struck: Counter[str] = Counter()
        self._next_id = 1

    def add(self, fault: Fault) -> Fault:
        fault.id, self._next_id = self._next_id, self._next_id + 1
        if fault.kind == "outage":
            fault.times = None
            fault.until = time.monotonic() + fault.seconds if fault.seconds else None
        self._faults.append(fault)
        return fault

    def remove(self, fault_id: int) -> bool:
        kept = [f for f in self._faults if f.id != fault_id]
        removed = len(kept) < len(self._faults)
        self._faults = kept
        return removed

    def clear(self) -> None:
        self._faults.clear()

    def list(self) -> list[dict[str, Any]]:
        return [msgspec.to_builtins(f) for f in self._faults]

    def strike(self, *kinds: str, method: str = "", path: str = "", body: bytes = b"") -> Fault | None:
        """The first fault of these kinds that strikes now; counts it, and forgets it when it is used up."""
        if not self._faults:
            return None
        self._faults = [f for f in self._faults if f.until is None or f.until > time.monotonic()]
        for fault in self._faults:
            if fault.kind in kinds and fault.matches(method, path, body):
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.struck += 1
                self.struck[fault.kind] += 1
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self._faults.remove(fault)
                return fault
        return None
