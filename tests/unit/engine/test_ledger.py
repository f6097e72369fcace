"""The effect ledger, case by case; tests/properties holds it against chance."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.support.fake_system import FakeSystem, PlainTranslator
from tests.support.mortal import QuickClock, stands

from tieline.engine.connection import Connection
from tieline.engine.effects import Ledger, Request
from tieline.engine.lanes import Lane
from tieline.engine.records import EffectKey, EffectState
from tieline.storage.memory import MemoryStore


def document(key: EffectKey, colour: str) -> dict[str, Any]:
    return {"id": key.canonical_id, "colour": colour, "amount": {"amount": Decimal("10.10"), "currency": "EUR"}}


async def test_an_older_version_does_not_come_back_behind_a_refusal() -> None:
    """Version 5 stands, version 7 was refused: a late version 3 must not overwrite 5."""
    disk, system = MemoryStore(), FakeSystem("erp")
    link = Connection(system, Lane("erp", system.manifest.limits))
    ledger = Ledger(disk, {"erp": link}, PlainTranslator(), QuickClock(), lambda _: None)
    key = EffectKey("erp", "project", "project-1")
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
