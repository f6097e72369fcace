"""Rows to put into a store: each complete, with what a test cares about in its own words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.support.engine import NOW

from tieline.engine.ports import Archived, Store
from tieline.engine.records import (
    CaseRow,
    Effect,
    EffectKey,
    EffectState,
    JournalEntry,
    ListedDeal,
    RuleVersion,
    RunRow,
    RunState,
)
from tieline.storage.archive import Archive
from tieline.storage.searching import fold

KEY = EffectKey("erp", "invoice", "zuora-INV1")


def effect(revision: int = 1, state: EffectState = EffectState.INTENDED, **fields: object) -> Effect:
    base = {
        "connection": KEY.connection,
        "kind": KEY.kind,
        "canonical_id": KEY.canonical_id,
        "revision": revision,
        "state": state,
        "content_hash": "h",
        "content": b"{}",
        "intended_at": NOW,
        "correlation_id": "deal-1",
    }
    return Effect(**{**base, **fields})  # type: ignore[arg-type]


def rule_version(label: str, days: int, name: str = "map", **fields: object) -> RuleVersion:
    base = {
        "name": name,
        "label": label,
        "kind": "value_map",
        "version": 1,
        "text": "",
        "owner": "finance",
        "seq": 0,
        "made_by": "",
        "reason": "",
        "uses": [],
        "first_seen_at": NOW + timedelta(days),
        "in_force_at": NOW + timedelta(days),
    }
    return RuleVersion(**{**base, **fields})  # type: ignore[arg-type]


def listed(seq: int, customer: str = "Müller & Söhne", amount: str = "100.00", **fields: object) -> ListedDeal:
    base = {
        "id": f"crm-{seq}",
        "seq": seq,
        "number": f"N-{seq}",
        "name": f"Deal {seq}",
        "customer": f"crm-{fold(customer)}",
        "customer_name": customer,
        "customer_folded": fold(customer),
        "currency": "EUR",
        "amount": amount,
        "amount_e4": round(float(amount) * 10_000),
        "status": "Invoiced",
        "detail": "",
        "waits_for": "",
        "won_on": "2026-01-05",
        "changed_at": NOW,
    }
    return ListedDeal(**{**base, **fields})  # type: ignore[arg-type]


def run_row(number: int, state: RunState = RunState.READY, **fields: object) -> RunRow:
    base = {
        "id": f"p:{number}",
        "process": "p",
        "version": "1",
        "key": f"k{number}",
        "state": state,
        "event_seq": number,
        "event_id": f"e{number}",
        "correlation_id": "deal-1",
        "started_at": NOW,
    }
    return RunRow(**{**base, **fields})  # type: ignore[arg-type]


def case_row(number: int, **fields: object) -> CaseRow:
    base = {
        "id": f"C-{number}",
        "case_class": "unknown-product",
        "cause": "unknown-product:GTXPro",
        "owner": "revops",
        "message": "no such product",
        "actions": ["retry"],
        "details": {"lines": [1, 2]},
        "run_id": "p:1",
        "position": 2,
        "correlation_id": "deal-1",
        "opened_at": NOW,
        "due_at": NOW + timedelta(hours=1),
    }
    return CaseRow(**{**base, **fields})  # type: ignore[arg-type]


def ended_run(number: int, days: int, **fields: object) -> RunRow:
    """A run that ended so many days after NOW."""
    return run_row(number, RunState.DONE, ended_at=NOW + timedelta(days=days), **fields)


def entry(number: int, position: int) -> JournalEntry:
    return JournalEntry(run_id=f"p:{number}", position=position, kind="step", name="s", payload=b'"1.10"', at=NOW)


async def archived(store: Store, folder: Path, *run_ids: str) -> Archived:
    """What `commit` takes to move these runs out of the tables."""
    runs = [run for run_id in run_ids if (run := await store.run(run_id)) is not None]
    files = Archive(folder).write(runs, *await store.kept_of(run_ids))
    return Archived(files=files, run_ids=list(run_ids))


async def every(pages: AsyncIterator[list[Any]]) -> list[Any]:
    return [row async for page in pages for row in page]
