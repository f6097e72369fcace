"""Deciding cases, and correcting a value map that many of them wait for.

A decision is an event; the hub reads it from the log and the run goes on. Each case is decided once, by somebody who
may, and an approval never by whoever made what is approved.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from tieline.app.cases.reading import EVERYTHING
from tieline.app.duties import CORRECTED_MAP, require_another
from tieline.app.principal import PEOPLE, Permission, Principal
from tieline.engine.cases import ACCEPT, APPROVE, CORRECT, CORRECT_MAP, LINK, REFUSE, RETRY
from tieline.engine.ports import Appended, Batch, Store
from tieline.engine.records import CaseRow, CaseState
from tieline.errors import TielineError
from tieline.events import CaseDecided, Event, ValueMapCorrected, make_event
from tieline.mapping import ValueMap


class NotDecidable(TielineError):
    """The decision does not fit the case. Says which decisions do."""


async def decide(
    store: Store,
    cases: Sequence[CaseRow],
    action: str,
    *,
    by: Principal,
    reason: str = "",
    arguments: dict[str, Any] | None = None,
) -> list[str]:
    """Decide cases, all of them or none. Returns their ids.

    Raises NotAllowed, also for an approval of what one made oneself, and NotDecidable saying what may be decided; also
    when somebody else decides some of them in the same moment: the others are decided then.
    """
    by.require(Permission.APPROVE if action in (APPROVE, REFUSE) else Permission.OPERATE)
    for case in cases:
        check(case, action, arguments or {}, reason)
        if action in (APPROVE, REFUSE):
            await require_another(store, case, by)
    now = datetime.now(UTC)
    decisions = [_decision(case, action, by.name, reason, arguments or {}, now) for case in cases]
    released = [await _told_anew(store, case) for case in cases if action == ACCEPT]
    results = await store.commit(
        Batch(events=[*decisions, *released], cases=[_decided(case, action, by.name, now) for case in cases])
    )
    late = [case.id for case, result in zip(cases, results, strict=False) if result.outcome is not Appended.NEW]
    if late:
        others = "" if len(late) == len(cases) else ", and yours for the others"
        raise NotDecidable(f"somebody else decided {', '.join(late)} in the meantime; that decision holds{others}")
    return [case.id for case in cases]


def check(case: CaseRow, action: str, arguments: dict[str, Any], reason: str) -> None:
    """Raises NotDecidable, saying what may be decided."""
    if case.state is not CaseState.OPEN:
        raise NotDecidable(f"case {case.id} is {case.state} already: {case.decision} by {case.decided_by}")
    if action not in case.actions:
        raise NotDecidable(
            f"case {case.id} ({case.case_class}) cannot be decided with '{action}'; it can: {', '.join(case.actions)}"
        )
    if action == CORRECT_MAP:
        raise NotDecidable("the value map itself is corrected; that tries every case of the cause again")
    if action == LINK and not arguments.get("external_id"):
        raise NotDecidable("linking needs the id of the record in the other system")
    if action == REFUSE and not reason.strip():
        raise NotDecidable("a refusal needs a reason: whoever asked must know what to change")
    if action == CORRECT and not arguments:
        raise NotDecidable("a correction needs at least one field: --set FIELD=VALUE")


async def correct_value_map(
    store: Store,
    value_map: ValueMap,
    key: str,
    value: dict[str, str],
    *,
    by: Principal,
    reason: str,
    causes: Collection[str],
) -> list[str]:
    """Add or correct an entry of a value map, and try every open case of these causes again, in one commit.

    An empty `value` takes the entry out. Returns the ids of the cases that this released, and nobody else meanwhile.
    Raises NotAllowed, and NotDecidable for a value the map cannot take.
    """
    by.require(Permission.CORRECT)
    try:
        value_map.corrected(key, value)
    except ValueError as error:
        raise NotDecidable(f"value map '{value_map.name}': {error}") from error
    now = datetime.now(UTC)
    correction = ValueMapCorrected(
        value_map=value_map.name, key=key, value=value, former=value_map.cells(key), by=by.name, reason=reason
    )
    waiting = [await store.cases(states=[CaseState.OPEN], cause=cause, limit=EVERYTHING) for cause in causes]
    released = [case for cases in waiting for case in cases if not {CORRECT_MAP, RETRY}.isdisjoint(case.actions)]
    events = [make_event(correction, source=PEOPLE, id=f"map/{value_map.name}/{key}/{now.isoformat()}", time=now)]
    why, what = reason or f"{key} added to {value_map.name}", {CORRECTED_MAP: value_map.name, "key": key}
    events += [_decision(case, RETRY, by.name, why, what, now) for case in released]
    _, *results = await store.commit(
        Batch(events=events, cases=[_decided(case, CORRECT_MAP, by.name, now) for case in released])
    )
    return [case.id for case, result in zip(released, results, strict=True) if result.outcome is Appended.NEW]


def like(value_map: ValueMap, key: str) -> dict[str, str]:
    """The row of a known key, to be used for a new one. Raises NotDecidable."""
    row = value_map.entries.get(key)
    if row is None:
        raise NotDecidable(
            f"value map '{value_map.name}' has no entry {key!r} to copy; it has: {', '.join(value_map.entries)}"
        )
    return {name: str(cell) for name, cell in row.items()} if isinstance(row, dict) else {"value": str(row)}


async def _told_anew(store: Store, case: CaseRow) -> Event:
    """The second content of an event that was told twice, under an id of its own."""
    told = case.details["event"]
    number = 2
    while await store.find_event(told["source"], f"{told['id']}~{number}") is not None:
        number += 1
    return Event(
        **{
            **told,
            "id": f"{told['id']}~{number}",
            "time": datetime.fromisoformat(told["time"]),
            "data": told["data"].encode(),
            "causation_id": f"{case.id}/decided",
        }
    )


def _decision(case: CaseRow, action: str, by: str, reason: str, arguments: dict[str, Any], now: datetime) -> Event:
    data = CaseDecided(
        case=case.id,
        contract=case.correlation_id,
        action=action,
        by=by,
        reason=reason,
        arguments=arguments,
        decided_at=now,
    )
    return make_event(data, source=PEOPLE, id=f"{case.id}/decided", time=now, causation_id=f"{case.id}/opened")


def _decided(case: CaseRow, action: str, by: str, now: datetime) -> CaseRow:
    if not case.run_id:  # no run carries it out: what was decided is done with this commit
        return msgspec.structs.replace(case, state=CaseState.CLOSED, decision=action, decided_by=by, closed_at=now)
    return msgspec.structs.replace(case, state=CaseState.DECIDED, decision=action, decided_by=by)
