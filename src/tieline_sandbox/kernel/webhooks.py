"""Deliver what a vendor sends: in the background, with the vendor's own retries, through the ordered faults."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import aiohttp

from tieline_sandbox.kernel.faults import Faults
from tieline_sandbox.kernel.world import World

LOG_SIZE = 2_000
LONGEST_HELD_S = 1.0
"""A webhook held back for reordering goes alone when no other follows it so soon."""


class Webhook:
    """One message to one address. `headers` is called for each attempt: vendors sign and number attempts anew."""

    def __init__(
        self,
        url: str,
        body: bytes,
        headers: Callable[[int], Mapping[str, str]],
        accepted: Callable[[int, bytes], bool] = lambda status, _: 200 <= status < 300,
        retry_after_s: tuple[float, ...] = (0.2, 0.5, 1.0, 2.0, 5.0),
        about: str = "",
        method: str = "POST",
    ) -> None:
        self.url, self.body, self.headers, self.method = url, body, headers, method
        self.accepted, self.retry_after_s, self.about = accepted, retry_after_s, about


class WebhookSender:
    """Sends webhooks concurrently (so that they may arrive out of order, as they do) and keeps a log."""

    def __init__(self, faults: Faults, world: World, concurrency: int = 16) -> None:
        self._faults, self._world, self._concurrency = faults, world, concurrency
        self._slots = asyncio.Semaphore(concurrency)
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: list[Webhook] = []
        self._postponed: list[tuple[datetime, Webhook]] = []
        self._session: aiohttp.ClientSession | None = None
        self.log: deque[dict[str, Any]] = deque(maxlen=LOG_SIZE)
        self.failed: list[Webhook] = []
        world.every_day(self._midnight)

    def send(self, webhook: Webhook) -> None:
        """Queue a webhook. A `webhook_reorder` fault holds it back until the next one has gone."""
        if self._faults.strike("webhook_drop", path=webhook.about):
            self._note(webhook, 0, "dropped (fault)")
            return
        if self._faults.strike("webhook_reorder", path=webhook.about):
            self._held.append(webhook)
            asyncio.get_running_loop().call_later(LONGEST_HELD_S, self._release)
            return
        copies = 2 if self._faults.strike("webhook_duplicate", path=webhook.about) else 1
        late = self._faults.strike("webhook_delay", path=webhook.about)
        if late is not None and late.days:
            self._postponed.append((self._world.now() + timedelta(days=late.days), webhook))
            return
        for _ in range(copies):
            self._start(webhook, late.seconds if late else 0.0)
        self._release(0.05)

    def _note(self, webhook: Webhook, attempt: int, outcome: str) -> None:
        about = {"url": webhook.url, "about": webhook.about, "attempt": attempt, "outcome": outcome}
        self.log.append({"at": self._world.now().isoformat(), **about})

    def _release(self, delay_s: float = 0.0) -> None:
        """What was held back goes out now: behind a later one, or because no later one came."""
        held, self._held = self._held, []
        for earlier in held:
            self._start(earlier, delay_s)

    async def _midnight(self, midnight: datetime) -> None:
        """What was held back for days of the sandbox clock, and is due, goes out."""
        due = [webhook for at, webhook in self._postponed if at <= midnight]
        self._postponed = [(at, webhook) for at, webhook in self._postponed if at > midnight]
        for webhook in due:
            self._start(webhook, 0.0)

    async def idle(self) -> None:
        """Wait until everything queued has been accepted or given up."""
        self._release()
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def pending(self) -> int:
        return len(self._tasks) + len(self._held)

    def resend_failed(self) -> int:
        """Send again what was given up; vendors offer this in their notification history."""
        failed, self.failed = self.failed, []
        for webhook in failed:
            self._start(webhook, 0.0)
        return len(failed)

    async def close(self) -> None:
        for task in set(self._tasks):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
        # what belongs to this event loop is not carried into the next one
        self._session, self._slots, self._tasks = None, asyncio.Semaphore(self._concurrency), set()

    def reset(self) -> None:
        for task in set(self._tasks):
            task.cancel()
        self._held.clear()
        self._postponed.clear()
        self.failed.clear()
        self.log.clear()

    def _start(self, webhook: Webhook, delay_s: float) -> None:
        task = asyncio.create_task(self._deliver(webhook, delay_s))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, webhook: Webhook, delay_s: float) -> None:
        if delay_s:
            await asyncio.sleep(delay_s)
        for attempt, pause in enumerate((*webhook.retry_after_s, None), start=1):
            outcome, good = await self._attempt(webhook, attempt)
            self._note(webhook, attempt, outcome)
            if good:
                return
            if pause is not None:
                await asyncio.sleep(pause)
        self.failed.append(webhook)

    async def _attempt(self, webhook: Webhook, attempt: int) -> tuple[str, bool]:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        try:
            async with (
                self._slots,
                self._session.request(
                    webhook.method, webhook.url, data=webhook.body, headers=dict(webhook.headers(attempt))
                ) as response,
            ):
                body = await response.read()
                return str(response.status), webhook.accepted(response.status, body)
        except (aiohttp.ClientError, TimeoutError) as error:
            return type(error).__name__, False
