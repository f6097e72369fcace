"""What became of a call: asking the system, and when its "not here" is believed.

The invariant: "not here" counts only when `settle_after_s` has passed since the last moment at which the call can have
left. A request that is still being carried out, or that a search does not show yet, is not sent a second time; nor is
anything newer, which it would overwrite: where the same content stood there before the call, "it stands" says no more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import msgspec

from tieline.engine.ports import Absent, Applied, Clock, Finding, Operation, Safety, Store
from tieline.engine.records import Effect, EffectKey
from tieline.errors import OutcomeUnknown, PermanentError
from tieline.events import StoreRestored, decode_event

MOST_QUESTIONS = 8
FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 30.0
LOOK_AGAIN_S = 1.0
SILENT = timedelta(seconds=60)
"""A hub signs its lanes every second; it is not expected to send anything so long after its last sign of life."""

Question = Callable[[], Awaitable[Finding]]


class Forgotten(msgspec.Struct, frozen=True):
    """The log was put back from a backup at `at`, as told at `seq`: what was done since the backup is not in it."""

    seq: int
    at: datetime


class Doubts:
    """Knows until when each call can have left, and asks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._left_by = clock.now()
        self._left: dict[EffectKey, datetime] = {}
        self._withdrawn: dict[EffectKey, int] = {}
        self.forgotten: Forgotten | None = None

    async def take_over(self, store: Store) -> None:
        """Learn until when an earlier life can have sent something, and what the log has forgotten."""
        told = await store.events(type=StoreRestored.__name__, limit=1, newest=True)
        if told and isinstance(data := decode_event(told[0]), StoreRestored):
            self.forgotten = Forgotten(told[0].seq, data.restored_at)
        last_seen = [lane.updated_at + SILENT for lane in await store.lanes()]
        if last_seen:  # a restored log knows an older life than the last one
            seen = max(*last_seen, self.forgotten.at) if self.forgotten else max(last_seen)
            self._left_by = min(self._clock.now(), seen)

    def left(self, key: EffectKey) -> None:
        """A call of this key has left by now."""
        self._left[key] = self._clock.now()

    def never_left(self, effect: Effect) -> None:
        """The lane let go of the call before it was sent: there is nothing to ask about."""
        self._withdrawn[effect.key] = effect.revision

    def stayed_here(self, effect: Effect, digest: str) -> bool:
        """Whether this revision, still wanted as it is, was withdrawn and nothing was sent since. Answers once."""
        return self._withdrawn.pop(effect.key, 0) == effect.revision and effect.content_hash == digest

    def over(self, key: EffectKey) -> None:
        """The outcome is settled."""
        self._left.pop(key, None)

    async def quiet(self, operation: Operation) -> None:
        """Wait until nothing that an earlier life sent can be under way any more."""
        trusted_at = self._left_by + timedelta(seconds=operation.settle_after_s)
        if (left := (trusted_at - self._clock.now()).total_seconds()) > 0:
            await self._clock.sleep(left)

    async def ask(
        self, effect: Effect, operation: Operation, question: Question, *, stood_before: bool = False
    ) -> Applied | Absent:
        """Whether it stands as sent, and `stood_before`. Raises OutcomeUnknown when nobody but a person can tell."""
        if operation.safety is Safety.ASK_A_PERSON:
            raise OutcomeUnknown(f"{effect.connection} offers no way to ask about it")
        trusted_at = self._left.get(effect.key, self._left_by) + timedelta(seconds=operation.settle_after_s)
        failures = 0
        while True:
            finding = await question()
            if isinstance(finding, Applied) and not stood_before:
                return finding
            if isinstance(finding, Applied | Absent):
                if (left := (trusted_at - self._clock.now()).total_seconds()) <= 0:
                    return finding
                await self._clock.sleep(min(left, LOOK_AGAIN_S))
                continue
            failures += 1
            if isinstance(finding, PermanentError) or failures == MOST_QUESTIONS:
                raise OutcomeUnknown(f"{effect.connection} was asked about it and says: {finding}")
            await self._clock.sleep(backoff(failures))


def backoff(attempt: int) -> float:
    """Seconds before the next attempt, doubling."""
    return min(FIRST_BACKOFF_S * 2.0 ** (attempt - 1), LONGEST_BACKOFF_S)
