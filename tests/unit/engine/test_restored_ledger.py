"""A ledger that was put back from a backup: what it has forgotten is found, kept or changed, and never done twice."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest
from tests.support.doubtful import KIND, LATE_S, DoubtfulSystem
from tests.support.fake_system import PlainTranslator
from tests.support.mortal import QuickClock

from tieline.engine.connection import Connection
from tieline.engine.effects import Ledger, Request
from tieline.engine.lanes import Lane
from tieline.engine.ports import Safety
from tieline.engine.records import KEPT, Effect, EffectKey, EffectState
from tieline.engine.restore import MARGIN, notice_restore
from tieline.errors import OutcomeUnknown
from tieline.events import StoreRestored, decode_event
from tieline.storage.memory import MemoryStore

PROBED = [Safety.NATIVE_KEY, Safety.UPSERT, Safety.LOOK_UP_FIRST]
RESTORED_AT = 50 + MARGIN
"""The place in the log of the restore; places up to 50 were lost."""


class Company:
    """One system, and a ledger whose disk can be put back."""

    def __init__(self, safety: Safety) -> None:
        self.clock = QuickClock()
        self.disk, self.system = MemoryStore(), DoubtfulSystem(self.clock)
        self.key = EffectKey("erp", KIND[safety], f"{KIND[safety]}-1")
        self._backup: MemoryStore = copy.deepcopy(self.disk)
        self._begin()

    def _begin(self) -> None:
        link = Connection(self.system, Lane("erp", self.system.manifest.limits))
        self.ledger = Ledger(self.disk, {"erp": link}, PlainTranslator(), self.clock, lambda _: None)

    async def ensure(self, colour: str, version: int, **options: Any) -> Effect:
        document = {"id": self.key.canonical_id, "colour": colour, "amount": Decimal("10.10")}
        return await self.ledger.apply(Request(key=self.key, document=document, version=version, **options))

    def back_up(self) -> None:
        self._backup = copy.deepcopy(self.disk)

    async def restore(self, pause_s: float = 60) -> None:
        """The disk is what it was; the worker that starts on it tells the log."""
        self.disk = copy.deepcopy(self._backup)
        self.disk.lost_seq = 50
        assert await notice_restore(self.disk, self.clock) is not None
        await self.clock.sleep(pause_s)
        self._begin()
        await self.ledger.take_over()

    @property
    def colours(self) -> list[str]:
        return [wire["colour"] for wire in self.system.copies(self.key.kind)]


@pytest.fixture(params=PROBED)
def company(request: pytest.FixtureRequest) -> Company:
    return Company(request.param)


@pytest.mark.parametrize("version", [3, RESTORED_AT + 1], ids=["the run of then", "news of now"])
async def test_what_was_made_in_the_lost_hour_is_found(company: Company, version: int) -> None:
    """The document stands once, and the ledger knows it again."""
    company.back_up()
    await company.ensure("red", 3)
    await company.restore()
    effect = await company.ensure("red", version)
    assert (effect.state, effect.settled_by, effect.external_id) == (
        EffectState.APPLIED,
        "probe",
        f"X-{company.key.canonical_id}",
    )
    assert company.colours == ["red"]
    assert company.system.sent == 1


async def test_a_run_of_then_does_not_overwrite_what_was_written_in_the_lost_hour(company: Company) -> None:
    """It wanted red and was in flight when the backup was made; blue was written since, from newer news."""
    await company.ensure("green", 1)
    company.back_up()
    await company.ensure("red", 3)
    await company.ensure("blue", 4)
    await company.restore()
    for _ in range(2):  # and a second run of then does not either
        effect = await company.ensure("red", 3)
        assert effect.stands
        assert (effect.state, effect.error_kind) == (EffectState.REJECTED, KEPT)
    assert company.colours == ["blue"]


async def test_news_of_now_overwrite_whatever_stands(company: Company) -> None:
    await company.ensure("green", 1)
    company.back_up()
    await company.ensure("blue", 4)
    await company.restore()
    await company.ensure("red", RESTORED_AT + 1)
    assert company.colours == ["red"]


async def test_what_the_ledger_believes_to_stand_is_not_believed_when_news_say_it_again(company: Company) -> None:
    """Green stood, blue was written in the lost hour, and the source says green again: it is written, not skipped."""
    await company.ensure("green", 1)
    company.back_up()
    await company.ensure("blue", 4)
    await company.restore()
    await company.ensure("green", RESTORED_AT + 1)
    assert company.colours == ["green"]
    sent = company.system.sent
    await company.ensure("green", RESTORED_AT + 2)
    assert company.system.sent == sent  # it was looked at since: from now on the ledger knows


async def test_what_nobody_touched_since_is_changed_by_the_run_of_then(company: Company) -> None:
    """The run waited all the while: what the ledger last wrote still stands, so nothing newer can be overwritten."""
    await company.ensure("green", 1)
    company.back_up()
    await company.restore()
    effect = await company.ensure("red", 3)
    assert effect.state is EffectState.APPLIED
    assert company.colours == ["red"]


async def test_a_write_that_was_open_in_the_backup_is_not_sent_over_newer_content(company: Company) -> None:
    await company.ensure("green", 1)
    company.system.trouble.append("drop")
    company.system.answers.append("cannot")
    with pytest.raises(OutcomeUnknown):
        await company.ensure("red", 3)
    company.back_up()
    await company.ensure("red", 3)
    await company.ensure("blue", 4)
    await company.restore()
    effect = await company.ensure("red", 3)
    assert effect.error_kind == KEPT
    assert company.colours == ["blue"]


async def test_a_second_content_in_the_same_place_gets_a_key_of_its_own(company: Company) -> None:
    """Revisions are counted anew: a vendor that remembers keys must not answer with what it did in the lost hour."""
    company.back_up()
    lost = await company.ensure("blue", 4)
    await company.restore()
    again = await company.ensure("red", RESTORED_AT + 1)
    assert lost.revision == again.revision
    assert lost.idempotency_key != again.idempotency_key


async def test_a_request_of_the_lost_hour_that_is_still_under_way_doubles_nothing() -> None:
    """The backup knows nothing of it, the system not yet: "not here" is believed when it had time to arrive."""
    company = Company(Safety.LOOK_UP_FIRST)
    company.back_up()
    company.system.trouble.append("late")
    company.system.answers.append("cannot")
    with pytest.raises(OutcomeUnknown):
        await company.ensure("red", 3)
    await company.restore(pause_s=0)
    began = company.clock.now()
    await company.ensure("red", RESTORED_AT + 1)
    assert (company.clock.now() - began).total_seconds() >= LATE_S - 1
    assert company.colours == ["red"]


async def test_a_change_of_the_lost_hour_that_is_still_under_way_overwrites_nothing() -> None:
    """Green stands as the news say, and a forgotten red is about to arrive: it is waited for, then green is written."""
    company = Company(Safety.LOOK_UP_FIRST)
    await company.ensure("green", 1)
    company.back_up()
    company.system.trouble.append("late")
    company.system.answers.append("cannot")
    with pytest.raises(OutcomeUnknown):
        await company.ensure("red", 3)
    await company.restore(pause_s=0)
    await company.ensure("green", RESTORED_AT + 1)
    assert company.colours == ["green"]


async def test_a_system_that_cannot_be_asked_gets_nothing_without_a_persons_word() -> None:
    company = Company(Safety.ASK_A_PERSON)
    company.back_up()
    await company.ensure("red", 3)
    await company.restore()
    with pytest.raises(OutcomeUnknown):
        await company.ensure("red", 3)
    assert company.system.sent == 1
    await company.ensure("red", 3, denied=1, denied_by="ada")
    assert company.system.sent == 2


async def test_the_log_goes_on_behind_what_was_lost(company: Company) -> None:
    """A place of the log never means two things, and the chain is whole all the same."""
    await company.restore()
    (told,) = await company.disk.events_after(0)
    assert told.seq == RESTORED_AT
    data = decode_event(told)
    assert isinstance(data, StoreRestored)
    assert (data.backup_seq, data.lost_seq, data.by) == (0, 50, "hub")
    assert await notice_restore(company.disk, company.clock) is None
