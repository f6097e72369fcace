"""Concurrency governance: the account has so many slots, shared by every integration; the next request is refused.

Source: Oracle help "Concurrency Governance and Session Management" (subsect_1559222360). How the refusal looks differs
by interface and report; the faults `limit_as_400` and `misleading_login` show the other two looks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tieline_sandbox.kernel.faults import Faults
from tieline_sandbox.netsuite.errors import NetSuiteError, invalid_login, request_limit_as_400, too_many_requests


class Slots:
    """Counts requests in flight."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.busy = 0
        self.refused = 0
        self.peak = 0

    @asynccontextmanager
    async def one(self, limit: int, service_ms: float, method: str, path: str, account: str) -> AsyncIterator[None]:
        """Hold a slot for the block, and for the service time. Raises NetSuiteError when all are taken."""
        if self.busy >= limit:
            self.refused += 1
            raise self._refusal(method, path, account)
        self.busy += 1
        self.peak = max(self.peak, self.busy)
        try:
            if service_ms:
                await asyncio.sleep(service_ms / 1000)
            yield
        finally:
            self.busy -= 1

    def _refusal(self, method: str, path: str, account: str) -> NetSuiteError:
        if self._faults.strike("misleading_login", method=method, path=path):
            return invalid_login(account)
        if self._faults.strike("limit_as_400", method=method, path=path):
            return request_limit_as_400()
        return too_many_requests()
