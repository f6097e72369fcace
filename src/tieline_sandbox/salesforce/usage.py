"""The org's allowances: API calls over 24 hours, shown in `Sforce-Limit-Info`, and long calls at the same time.

Only calls that have been running for `long_s` count against the second; short ones are not limited.
Source: Salesforce Developer Limits, "API Request Limits and Allocations".
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from tieline_sandbox.kernel.world import World
from tieline_sandbox.salesforce import errors

DEFAULT_ALLOWED = 100_000
LONG_S = 20.0
LONG_AT_ONCE = 25


class Usage:
    """Counts calls; 24 hours of the world's clock after the first one the counts start anew."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.allowed = DEFAULT_ALLOWED
        self.long_s, self.long_at_once = LONG_S, LONG_AT_ONCE
        self.used = self.bulk_batches = self.query_jobs = self.delivered_events = self.published_events = 0
        self._since = world.now()
        self._under_way: list[float] = []

    def spend(self) -> None:
        """Count one call. Raises ApiError when the allowance was spent before it."""
        if self._world.now() - self._since >= timedelta(hours=24):
            self.used = self.bulk_batches = self.query_jobs = self.delivered_events = self.published_events = 0
            self._since = self._world.now()
        if self.used >= self.allowed:
            raise errors.request_limit()
        self.used += 1

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Hold a place while a call is served. Raises ApiError when too many long calls hold theirs."""
        now = time.monotonic()
        if sum(1 for started in self._under_way if now - started >= self.long_s) >= self.long_at_once:
            raise errors.concurrency_limit()
        self._under_way.append(now)
        try:
            yield
        finally:
            self._under_way.remove(now)

    def header(self) -> str:
        return f"api-usage={self.used}/{self.allowed}"
