"""How things are at this moment: what needs somebody, how each system does, what runs, the money of today.

One `Board` a hub looks for everybody: what costs nothing at every look, what asks the store every few seconds. The
invariant: no look costs more with more runs stored; what is counted is kept (docs/decisions/0027).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from time import perf_counter

import msgspec

from tieline.app.project import Project
from tieline.app.views.today import MoneyOfDay, Today
from tieline.app.views.traffic import Absence, absent_traffic
from tieline.app.views.words import APPROVAL
from tieline.engine.dispatch import PLACE
from tieline.engine.ports import Store
from tieline.engine.records import OPEN_RUNS, CaseCounts, EffectState, LaneStatus, RunState
from tieline.engine.worker import Worker
from tieline.policy import Expectation

FRESH = timedelta(seconds=1)
"""Who looks again within this time sees the same."""
LOOK_EVERY = timedelta(seconds=5)
"""How old what asks the store may be, unless asking takes long: then fifty times as long as it took."""
SHARE = 50
MOST_LATE = 500
"""Late runs are counted up to here in each state: nobody needs the number of a disaster to be exact."""
DRAIN_MINUTES = 10
NOT_MAPPED, NOT_UNDERSTOOD = "-not-mapped", "message-not-understood"


class SystemNow(msgspec.Struct, frozen=True, kw_only=True):
    """One connection. Rates are of the last minute, percentiles (50, 95, 99, in seconds) of the last five."""

    name: str
    lane: LaneStatus
    events_a_minute: float
    documents_a_minute: float
    calls_a_minute: float
    vendor_s: Sequence[float | None]
    added_s: Sequence[float | None]
    drains_in: timedelta | None
    """How long what waits there takes at the pace of the last minutes; None where nothing waits or nothing moved."""
    hour: Sequence[int]
    """What went there in the last hour, minute by minute."""

    @property
    def quota_used(self) -> float | None:
        """The share of the day's calls that is used; None where no limit is known."""
        return self.lane.used_today / self.lane.per_day if self.lane.per_day else None


class ProcessNow(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of a process that are not over; `late` of them began longer ago than the catalogue allows."""

    name: str
    owner: str
    slo_hours: int
    queued: int
    ready: int
    waiting: int
    done: int
    late: int
    late_at_least: bool
    """Whether more may be late than were counted."""
    expects: Expectation | None

    @property
    def in_flight(self) -> int:
        return self.queued + self.ready + self.waiting


class NowView(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the first page shows and `/metrics` tells."""

    at: datetime
    looked_at: datetime
    """When the store was asked for what is not asked every second."""
    failure: str
    """What stopped the worker; "" while it works."""
    systems: list[SystemNow]
    processes: list[ProcessNow]
    cases: CaseCounts
    effects: dict[tuple[str, str, str], int]
    runs: dict[tuple[str, str], int]
    absent: list[Absence]
    money: list[MoneyOfDay]
    money_is_all: bool
    """Whether all of today was read: a hub that starts on a long day needs a moment."""
    replays_waiting: int
    last_seq: int
    behind: int
    chain_broken_at: int
    """The event of the log that does not follow from those before it; 0 for none."""

    @property
    def approvals(self) -> int:
        return self.cases.by_class.get(APPROVAL, 0)

    @property
    def cases_open(self) -> int:
        """Cases that are no approvals."""
        return sum(self.cases.by_class.values()) - self.approvals

    @property
    def not_translated(self) -> int:
        """Open cases because a mapping table could not make or read a document."""
        return sum(n for name, n in self.cases.by_class.items() if name.endswith(NOT_MAPPED) or name == NOT_UNDERSTOOD)

    @property
    def in_doubt(self) -> int:
        return sum(n for (_, _, state), n in self.effects.items() if state == EffectState.IN_DOUBT)

    @property
    def late(self) -> int:
        return sum(p.late for p in self.processes)

    @property
    def held_up(self) -> list[SystemNow]:
        """Systems that take nothing, or less than they could."""
        return [system for system in self.systems if system.lane.state not in ("open", "closed")]

    @property
    def is_empty(self) -> bool:
        """Whether nothing has ever happened here."""
        return self.last_seq == 0


class _Counted(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the store, and when."""

    at: datetime
    until: datetime
    cases: CaseCounts
    effects: dict[tuple[str, str, str], int]
    runs: dict[tuple[str, str], int]
    late: dict[str, int]
    late_at_least: bool
    absent: list[Absence]
    money: list[MoneyOfDay]
    money_is_all: bool


class Board:
    """Looks at one hub. Everybody who asks within a second gets the same answer."""

    def __init__(self, project: Project, worker: Worker, reader: Store, broken_at: Callable[[], int]) -> None:
        """`broken_at` says where the log's chain is broken, 0 where it is not."""
        self._project, self._worker, self._store, self._broken_at = project, worker, reader, broken_at
        self._today = Today()
        self._counted: _Counted | None = None
        self._seen: NowView | None = None
        self._alone = asyncio.Lock()

    async def look(self) -> NowView:
        """How things are."""
        async with self._alone:
            now = self._worker.clock.now()
            if self._seen is None or not timedelta(0) <= now - self._seen.at < FRESH:
                if self._counted is None or not self._counted.at <= now < self._counted.until:
                    self._counted = await self._count(now)
                self._seen = await self._view(self._counted, now)
        return self._seen

    async def close(self) -> None:
        """The hub stops."""
        await self._today.close()

    async def _view(self, counted: _Counted, now: datetime) -> NowView:
        last = await self._store.events(limit=1, newest=True)
        place = await self._store.cursor(PLACE)
        last_seq = last[0].seq if last else 0
        return NowView(
            at=now,
            looked_at=counted.at,
            failure=str(self._worker.failure or ""),
            systems=[self._system(name, now) for name in self._project.settings.connections],
            processes=self._processes(counted),
            cases=counted.cases,
            effects=counted.effects,
            runs=counted.runs,
            absent=counted.absent,
            money=counted.money,
            money_is_all=counted.money_is_all,
            replays_waiting=self._worker.replays_waiting,
            last_seq=last_seq,
            chain_broken_at=self._broken_at(),
            behind=max(last_seq - (int(place.value) if place else 0), 0),
        )

    def _system(self, name: str, now: datetime) -> SystemNow:
        lane, at = self._worker.connection(name).lane, now.timestamp()
        status, measures = lane.status(), lane.measures
        pace = measures.items.a_minute(at, DRAIN_MINUTES) / 60
        return SystemNow(
            name=name,
            lane=status,
            events_a_minute=measures.events.a_minute(at),
            documents_a_minute=measures.documents.a_minute(at),
            calls_a_minute=measures.calls.a_minute(at),
            vendor_s=measures.vendor.percentiles(at),
            added_s=measures.added.percentiles(at),
            drains_in=timedelta(seconds=status.queued / pace) if status.queued and pace else None,
            hour=measures.items.by_minute(at)[:-1],
        )

    def _processes(self, counted: _Counted) -> list[ProcessNow]:
        """In the order of the catalogue, those nobody described last."""
        described = self._project.catalogue.processes
        names = [*described, *sorted({process for process, _ in counted.runs} - set(described))]
        return [
            ProcessNow(
                name=name,
                owner=described[name].owner if name in described else "",
                slo_hours=described[name].slo_hours if name in described else 0,
                **{s.value: counted.runs.get((name, s.value), 0) for s in (*OPEN_RUNS, RunState.DONE)},
                late=counted.late.get(name, 0),
                late_at_least=counted.late_at_least,
                expects=described[name].expects if name in described else None,
            )
            for name in names
        ]

    async def _count(self, now: datetime) -> _Counted:
        begun = perf_counter()
        late, more = await self._late(now)
        store, catalogue = self._store, self._project.catalogue
        cases, effects, runs = (
            await store.count_open_cases(now),
            await store.count_effects(),
            await store.count_runs(),
        )
        absent = await absent_traffic(store, catalogue, now)
        money, money_is_all = await self._today.money(store, now)
        pause = max(LOOK_EVERY, timedelta(seconds=SHARE * (perf_counter() - begun)))
        return _Counted(
            at=now,
            until=now + pause,
            cases=cases,
            effects=effects,
            runs=runs,
            late=late,
            late_at_least=more,
            absent=absent,
            money=money,
            money_is_all=money_is_all,
        )

    async def _late(self, now: datetime) -> tuple[dict[str, int], bool]:
        """Process → runs that go on for longer than the catalogue allows; whether there may be more."""
        late: dict[str, int] = {}
        more = False
        allowed = {p.name: timedelta(hours=p.slo_hours) for p in self._project.catalogue.processes.values()}
        shortest = min(allowed.values(), default=timedelta.max)
        for state in OPEN_RUNS:
            oldest = await self._store.runs(states=[state], limit=MOST_LATE)
            of_state = [r.process for r in oldest if r.process in allowed and now - r.started_at > allowed[r.process]]
            for process in of_state:
                late[process] = late.get(process, 0) + 1
            more = more or (len(oldest) == MOST_LATE and now - oldest[-1].started_at > shortest)
        return late, more
