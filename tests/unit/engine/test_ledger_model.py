"""The effect ledger against a model: any order of requests, troubles, crashes and a person's links."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from decimal import Decimal
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.support.fake_system import FakeSystem, PlainTranslator
from tests.support.mortal import Life, MortalStore, MortalSystem, QuickClock, Watch, stands

from tieline.engine import lanes
from tieline.engine.effects import Connection, Ledger, Request
from tieline.engine.lanes import Lane
from tieline.engine.records import Effect, EffectKey, EffectState
from tieline.storage.memory import MemoryStore

T = TypeVar("T")
KEYS = [EffectKey("erp", kind, f"{kind}-{n}") for kind in ("project", "customer", "order") for n in (1, 2)]
keys = st.sampled_from(KEYS)
contents = st.sampled_from(["red", "green", "blue"])
versions = st.integers(1, 6)
troubles = st.sampled_from(["lose", "drop", "refuse", "down", "fine"])


def document(key: EffectKey, colour: str) -> dict[str, Any]:
    return {"id": key.canonical_id, "colour": colour, "amount": {"amount": Decimal("10.10"), "currency": "EUR"}}


class LedgerMachine(RuleBasedStateMachine):
    """One disk, one system; ledgers come and go."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.disk, self.system, self.clock = MemoryStore(), FakeSystem("erp"), QuickClock()
        self.watch = Watch(self.disk)
        self.settled: dict[tuple[EffectKey, int], Effect] = {}
        self.edited: set[EffectKey] = set()
        self.run(self.new_life())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    async def new_life(self, ends_at: int | None = None) -> Life:
        life = Life(ends_at)
        store = MortalStore(self.disk, life)
        link = Connection(MortalSystem(self.system, life, self.watch), Lane("erp", self.system.manifest.limits))
        self.stood: list[EffectKey] = []
        self.ledger = Ledger(store, {"erp": link}, PlainTranslator(), self.clock, self.stood.append)
        return life

    def request(self, key: EffectKey, colour: str, version: int) -> Request:
        return Request(key=key, document=document(key, colour), version=version)

    def check(self, effect: Effect, wanted: Request) -> None:
        """An answer is the wanted content, something newer, or an honest no."""
        if effect.state is EffectState.REJECTED:
            assert effect.error
            return
        assert effect.state is EffectState.APPLIED
        assert effect.external_id
        same = effect.content == self.ledger_content(wanted)
        assert same or effect.version > wanted.version

    @staticmethod
    def ledger_content(wanted: Request) -> bytes:
        from tieline.engine.effects import encode_document

        return encode_document(wanted.document)

    @rule(key=keys, colour=contents, version=versions)
    def ensure(self, key: EffectKey, colour: str, version: int) -> None:
        wanted = self.request(key, colour, version)
        self.check(self.run(self.ledger.apply(wanted)), wanted)

    @rule(key=keys, wishes=st.lists(st.tuples(contents, versions), min_size=2, max_size=4))
    def ensure_all_at_once(self, key: EffectKey, wishes: list[tuple[str, int]]) -> None:
        wanted = [self.request(key, *wish) for wish in wishes]

        async def together() -> list[Effect]:
            return await asyncio.gather(*(self.ledger.apply(w) for w in wanted))

        for effect, wish in zip(self.run(together()), wanted, strict=True):
            self.check(effect, wish)

    @rule(what=st.lists(troubles, min_size=1, max_size=3))
    def trouble(self, what: list[str]) -> None:
        self.system.trouble.extend(what)

    @rule(key=keys)
    def nine_requests_are_lost(self, key: EffectKey) -> None:
        """More than the ledger's patience: it says no, and nothing stands that it did not say."""
        self.system.trouble.extend(["drop"] * 9)
        self.ensure(key, "red", 6)

    @rule(key=keys, colour=contents, version=versions, ends_at=st.integers(1, 12))
    def crash(self, key: EffectKey, colour: str, version: int, ends_at: int) -> None:
        """The worker dies at a boundary; a new ledger takes over the disk."""

        async def one_life() -> None:
            life = await self.new_life(ends_at)
            work = asyncio.create_task(self.ledger.apply(self.request(key, colour, version)))
            end = asyncio.create_task(life.over.wait())
            await asyncio.wait([work, end], return_when=asyncio.FIRST_COMPLETED)
            await life.bury()
            await self.new_life()

        self.run(one_life())

    @rule(key=keys, colour=contents)
    def a_person_links(self, key: EffectKey, colour: str) -> None:
        """A person found the document there and says its id."""
        latest = self.run(self.disk.find_effect(key))
        if latest is not None and latest.state is EffectState.APPLIED:
            return
        self.system.documents[key.kind, key.canonical_id] = [document(key, colour)]
        open_content = latest is not None and not latest.state.settled
        effect = self.run(self.ledger.settle_by_person(self.request(key, colour, 7), "X-person", "ada"))
        assert (effect.state, effect.settled_by) == (EffectState.APPLIED, "linked by ada")
        if open_content:  # the open revision was settled by the person's word, whatever it wanted to write
            self.system.documents[key.kind, key.canonical_id] = [self.wire(effect)]

    @rule(key=keys)
    def somebody_edits_the_document_there(self, key: EffectKey) -> None:
        """The system's users may change what we wrote; they make no second copy, so neither may we."""
        for wire in stands(self.system, key.kind, key.canonical_id):
            wire["colour"] = "edited"
            self.edited.add(key)

    @staticmethod
    def wire(effect: Effect) -> dict[str, Any]:
        from tieline.engine.effects import decode_wire

        return decode_wire(effect.request)

    @invariant()
    def each_document_stands_at_most_once(self) -> None:
        copies = {key: len(found) for key, found in self.system.documents.items()}
        assert all(count <= 1 for count in copies.values()), copies

    @invariant()
    def discipline(self) -> None:
        assert self.watch.violations == []

    @invariant()
    def what_is_settled_stays(self) -> None:
        for effect in self.run(self.disk.effects(limit=100_000)):
            place = (effect.key, effect.revision)
            if place in self.settled:
                assert effect == self.settled[place]
            elif effect.state.settled:
                self.settled[place] = effect

    @invariant()
    def what_the_ledger_says_stands(self) -> None:
        for key in KEYS:
            revisions = self.run(self.disk.effects(kind=key.kind, canonical_id=key.canonical_id, limit=100_000))
            if any(not effect.state.settled for effect in revisions):
                continue  # in doubt until somebody asks
            applied = [effect for effect in revisions if effect.state is EffectState.APPLIED]
            there = stands(self.system, key.kind, key.canonical_id)
            if not applied and key not in self.edited:
                assert there == []
            elif applied and applied[-1].settled_by != "linked by ada" and key not in self.edited:
                assert [d["colour"] for d in there] == [self.wire(applied[-1])["colour"]]

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.loop.close()


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "FIRST_PAUSE_S", 0.0005)
    monkeypatch.setattr(lanes, "LONGEST_PAUSE_S", 0.0005)


TestLedgerModel = LedgerMachine.TestCase
TestLedgerModel.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


async def test_an_older_version_does_not_come_back_behind_a_refusal() -> None:
    """Version 5 stands, version 7 was refused: a late version 3 must not overwrite 5."""
    disk, system = MemoryStore(), FakeSystem("erp")
    link = Connection(system, Lane("erp", system.manifest.limits))
    ledger = Ledger(disk, {"erp": link}, PlainTranslator(), QuickClock(), lambda _: None)
    key = KEYS[0]
    await ledger.apply(Request(key=key, document=document(key, "red"), version=5))
    system.trouble.append("refuse")
    refused = await ledger.apply(Request(key=key, document=document(key, "green"), version=7))
    assert (refused.state, refused.error_kind) == (EffectState.REJECTED, "USER_ERROR")
    late = await ledger.apply(Request(key=key, document=document(key, "blue"), version=3))
    assert (late.revision, late.version) == (1, 5)
    assert [d["colour"] for d in stands(system, key.kind, key.canonical_id)] == ["red"]


async def test_what_stands_there_with_other_content_is_updated_not_doubled() -> None:
    """The request was lost, and the system says that the record is there, changed by somebody: send it as an update."""
    disk, system = MemoryStore(), FakeSystem("erp")
    link = Connection(system, Lane("erp", system.manifest.limits))
    ledger = Ledger(disk, {"erp": link}, PlainTranslator(), QuickClock(), lambda _: None)
    key = EffectKey("erp", "order", "order-1")
    system.documents[key.kind, key.canonical_id] = [document(key, "edited")]
    system.trouble.append("drop")
    await ledger.apply(Request(key=key, document=document(key, "red"), version=1))
    assert [d["colour"] for d in stands(system, key.kind, key.canonical_id)] == ["red"]
