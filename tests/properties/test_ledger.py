"""The effect ledger against the world: any order of news, old runs, troubles, deaths, restores and people's words."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Coroutine
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.support.doubtful import KIND, DoubtfulSystem
from tests.support.fake_system import PlainTranslator
from tests.support.mortal import Life, MortalStore, MortalSystem, QuickClock, Watch, stands

from tieline.engine import lanes
from tieline.engine.connection import Connection
from tieline.engine.effects import Ledger, Request, decode_wire, encode_document
from tieline.engine.lanes import Lane
from tieline.engine.ports import Operation
from tieline.engine.records import Effect, EffectKey, EffectState
from tieline.engine.restore import notice_restore
from tieline.errors import OutcomeUnknown
from tieline.storage.memory import MemoryStore

T = TypeVar("T")
LATE_S, SETTLE_S = 2.0, 3.0
OPERATIONS = tuple(Operation(kind=kind, safety=safety, settle_after_s=SETTLE_S) for safety, kind in KIND.items())
KEYS = [EffectKey("erp", kind, f"{kind}-{n}") for kind in KIND.values() for n in (1, 2)]
keys = st.sampled_from(KEYS)
colours = st.sampled_from(["red", "green", "blue"])
troubles = st.lists(st.sampled_from(["lose", "drop", "late", "refuse", "down", "fine"]), min_size=1, max_size=3)


class Wish(NamedTuple):
    """What news at a place of the log say shall stand."""

    key: EffectKey
    colour: str
    version: int

    @property
    def document(self) -> dict[str, Any]:
        amount = {"amount": Decimal("10.10"), "currency": "EUR"}
        return {"id": self.key.canonical_id, "colour": self.colour, "amount": amount}

    def request(self, **options: Any) -> Request:
        return Request(key=self.key, document=self.document, version=self.version, **options)


class LedgerMachine(RuleBasedStateMachine):
    """One system and one disk, which may be put back; ledgers come and go. What is late arrives while one waits."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.clock = QuickClock()
        self.disk, self.system = MemoryStore(), DoubtfulSystem(self.clock, late_s=LATE_S, operations=OPERATIONS)
        self.watch = Watch(self.disk)
        self.place = 0
        self.told: list[Wish] = []
        self.settled: dict[tuple[EffectKey, int], Effect] = {}
        self.by_hand: set[EffectKey] = set()
        self.backup: tuple[MemoryStore, int] | None = None
        self.run(self.new_life())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    async def new_life(self, ends_at: int | None = None) -> Life:
        life = Life(ends_at)
        link = Connection(MortalSystem(self.system, life, self.watch), Lane("erp", self.system.manifest.limits))
        self.ledger = Ledger(MortalStore(self.disk, life), {"erp": link}, PlainTranslator(), self.clock, lambda _: None)
        await self.ledger.take_over()
        return life

    def tell(self, key: EffectKey, colour: str) -> Wish:
        self.place += 1
        self.told.append(Wish(key, colour, self.place))
        return self.told[-1]

    async def apply(self, wish: Wish, **options: Any) -> Effect | None:
        """None where only a person can tell."""
        try:
            effect = await self.ledger.apply(wish.request(**options))
        except OutcomeUnknown:
            return None
        self.check(effect, wish)
        return effect

    def check(self, effect: Effect, wish: Wish) -> None:
        """An answer is the wanted content, something newer, what was kept after a restore, or an honest no."""
        if effect.stands:
            assert effect.external_id
            same = effect.content == encode_document(wish.document)
            assert same or effect.version > wish.version
        else:
            assert (effect.state, bool(effect.error)) == (EffectState.REJECTED, True)

    # --- what happens -------------------------------------------------------------------------------------------------

    @rule(key=keys, colour=colours)
    def news(self, key: EffectKey, colour: str) -> None:
        self.run(self.apply(self.tell(key, colour)))

    @rule(key=keys, some=st.lists(colours, min_size=2, max_size=4))
    def news_all_at_once(self, key: EffectKey, some: list[str]) -> None:
        async def together() -> None:
            await asyncio.gather(*(self.apply(wish) for wish in [self.tell(key, colour) for colour in some]))

        self.run(together())

    @precondition(lambda self: self.told)
    @rule(data=st.data())
    def an_old_run_again(self, data: st.DataObject) -> None:
        """A run of then is woken, replayed, or told twice."""
        self.run(self.apply(data.draw(st.sampled_from(self.told))))

    @rule(key=keys, colour=colours)
    def the_same_news_twice(self, key: EffectKey, colour: str) -> None:
        """What stands is not sent again."""
        wish = self.tell(key, colour)
        first = self.run(self.apply(wish))
        if first is not None and first.state is EffectState.APPLIED:
            sent = self.system.sent
            again = self.run(self.apply(wish))
            assert (again, self.system.sent) == (first, sent)

    @rule(what=troubles)
    def trouble(self, what: list[str]) -> None:
        self.system.trouble.extend(what)

    @rule(what=st.lists(st.sampled_from(["fails", "down", "cannot", "fine"]), min_size=1, max_size=3))
    def questions_fail(self, what: list[str]) -> None:
        self.system.answers.extend(what)

    @rule(key=keys)
    def nine_requests_are_lost(self, key: EffectKey) -> None:
        """More than the ledger's patience: it says no, and nothing stands that it did not say."""
        self.system.trouble.extend(["drop"] * 9)
        self.news(key, "red")

    @rule(key=keys, colour=colours, ends_at=st.integers(1, 12))
    def the_hub_dies(self, key: EffectKey, colour: str, ends_at: int) -> None:
        """At a boundary of a write; a new ledger takes over the disk."""
        wish = self.tell(key, colour)

        async def one_life() -> None:
            life = await self.new_life(ends_at)
            work = asyncio.create_task(self.apply(wish))
            end = asyncio.create_task(life.over.wait())
            await asyncio.wait([work, end], return_when=asyncio.FIRST_COMPLETED)
            await life.bury()
            await self.new_life()

        self.run(one_life())

    @rule()
    def the_hub_starts_again(self) -> None:
        self.run(self.new_life())

    @rule()
    def somebody_makes_a_backup(self) -> None:
        self.backup = copy.deepcopy(self.disk), self.place

    @precondition(lambda self: self.backup)
    @rule()
    def somebody_restores_the_backup(self) -> None:
        """The disk is as old as the backup; the log goes on above every place it ever had."""
        disk, _ = self.backup  # type: ignore[misc]
        vars(self.disk).update(vars(copy.deepcopy(disk)))
        self.disk.lost_seq = self.place
        self.run(self._notice())
        self.settled.clear()

    async def _notice(self) -> None:
        await notice_restore(self.disk, self.clock)
        self.place = (await self.disk.events(limit=1, newest=True))[0].seq
        await self.new_life()

    @rule(key=keys)
    def a_person_looks(self, key: EffectKey) -> None:
        """What is in doubt stands there and is linked, or does not and is sent again on that word."""
        latest = self.run(self.disk.find_effect(key))
        if latest is None or latest.state.settled:
            return
        self.run(self.clock.sleep(SETTLE_S))
        self.system.carry_out_what_is_late()
        self.watch.looked(key)
        wish = Wish(key, decode_wire(latest.request)["colour"], latest.version)
        if stands(self.system, *key[1:3]):
            self.by_hand.add(key)  # other content may stand: the person says that it is this document
            linked = self.run(self.ledger.settle_by_person(wish.request(), f"X-{key.canonical_id}", "ada"))
            assert (linked.state, linked.settled_by) == (EffectState.APPLIED, "linked by ada")
        else:
            self.run(self.apply(wish, denied=latest.revision, denied_by="ada"))

    @rule(key=keys)
    def somebody_edits_the_document_there(self, key: EffectKey) -> None:
        """The system's users may change what we wrote; they make no second copy, so neither may we."""
        for wire in stands(self.system, *key[1:3]):
            wire["colour"] = "edited"
            self.by_hand.add(key)

    def revisions(self, key: EffectKey) -> list[Effect]:
        """All that is on disk of a key; read without the loop, because it is read after every step."""
        return list(self.disk._effects.get(key, {}).values())

    # --- what always holds --------------------------------------------------------------------------------------------

    @invariant()
    def each_document_stands_at_most_once(self) -> None:
        copies = {key: len(found) for key, found in self.system.documents.items()}
        assert all(count <= 1 for count in copies.values()), copies

    @invariant()
    def nothing_is_sent_without_an_intention_or_blindly(self) -> None:
        assert self.watch.violations == []

    @invariant()
    def what_is_settled_stays(self) -> None:
        for effect in (effect for key in KEYS for effect in self.revisions(key)):
            place = (effect.key, effect.revision)
            if place in self.settled:
                assert effect == self.settled[place]
            elif effect.state.settled:
                self.settled[place] = copy.copy(effect)

    @invariant()
    def what_the_ledger_says_stands(self) -> None:
        """Except where it is in doubt, where a person wrote, or where it was restored and nobody looked since."""
        forgotten = self.ledger._doubts.forgotten
        for key in set(KEYS) - self.by_hand:
            mine = self.revisions(key)
            applied = [effect for effect in mine if effect.state is EffectState.APPLIED]
            if any(not e.state.settled for e in mine):
                continue
            if forgotten and not (applied and applied[-1].intended_at > forgotten.at):
                continue
            there = [wire["colour"] for wire in stands(self.system, *key[1:3])]
            assert there == [decode_wire(e.request)["colour"] for e in applied[-1:]]

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        self.system.trouble.clear()
        self.system.answers.clear()
        for key in KEYS:
            self.converges(key)
        self.loop.close()

    def converges(self, key: EffectKey) -> None:
        """When all is calm and the present state is told once more, that is what stands there, once."""
        self.a_person_looks(key)
        for number in range(3):  # a person who links takes what stands; the next news are written over it
            wish = self.tell(key, f"final {number}")
            if self.run(self.apply(wish)) is not None:
                break
            self.a_person_looks(key)
        self.run(self.clock.sleep(SETTLE_S))
        there = [wire["colour"] for wire in self.system.copies(key.kind) if wire["id"] == key.canonical_id]
        assert there == [wish.colour]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "FIRST_PAUSE_S", 0.0005)
    monkeypatch.setattr(lanes, "LONGEST_PAUSE_S", 0.0005)


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(
    max_examples=150,
    stateful_step_count=50,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # shrinking takes minutes: a failure is shown as it was found
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
