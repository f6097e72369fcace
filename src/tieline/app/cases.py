"""Cases for people: find them, decide them, correct what many of them share.

A decision is an event; the hub reads it from the log and the run goes on. Each case is decided once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from tieline.engine.cases import ACCEPT, CORRECT, CORRECT_MAP, LINK, RETRY
from tieline.engine.ports import Appended, Batch, Store
from tieline.engine.records import CaseRow, CaseState
from tieline.errors import TielineError
from tieline.events import CaseDecided, Event, ValueMapCorrected, make_event
from tieline.mapping import ValueMap

SOURCE = "people"


class NotDecidable(TielineError):
    """The decision does not fit the case. Says which decisions do."""


class CaseGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Cases of one cause: what one remedy may release together."""

    cause: str
    case_class: str
    owner: str
    next_step: str
    cases: list[CaseRow]
    overdue: int

    @property
    def example(self) -> CaseRow:
        return self.cases[0]


async def groups(
    store: Store,
    *,
    states: Sequence[CaseState] = (CaseState.OPEN,),
    case_class: str | None = None,
    owner: str | None = None,
) -> list[CaseGroup]:
    """Cases by cause, the largest group first."""
    by_cause: dict[str, list[CaseRow]] = {}
    for case in await store.cases(states=states, case_class=case_class, limit=1_000_000):
        if owner in (None, case.owner):
            by_cause.setdefault(case.cause, []).append(case)
    now = datetime.now(UTC)
    made = [
        CaseGroup(
            cause=cause,
            case_class=cases[0].case_class,
            owner=cases[0].owner,
            next_step=cases[0].next_step,
            cases=cases,
            overdue=sum(c.due_at <= now for c in cases),
        )
        for cause, cases in by_cause.items()
    ]
    return sorted(made, key=lambda g: (-len(g.cases), g.cause))


async def get_case(store: Store, case_id: str) -> CaseRow:
    """Raises TielineError for a case that is not there."""
    case = await store.case(case_id.upper())
    if case is None:
        raise TielineError(f"there is no case {case_id}; `tieline cases` lists them")
    return case


async def chosen(store: Store, case_id: str | None, cause: str | None, case_class: str | None = None) -> list[CaseRow]:
    """The case named, or every open case of a cause or a class. Raises TielineError when there is none."""
    if sum(what is not None for what in (case_id, cause, case_class)) != 1:
        raise TielineError("name a case, or with --cause or --class all open cases of one cause or class")
    if case_id is not None:
        return [await get_case(store, case_id)]
    found = await store.cases(states=[CaseState.OPEN], cause=cause, case_class=case_class, limit=1_000_000)
    if not found:
        what = f"the cause {cause!r}" if cause is not None else f"the class {case_class!r}"
        raise TielineError(f"no open case has {what}; `tieline cases list --each` shows what there is")
    return found


async def decide(
    store: Store,
    cases: Sequence[CaseRow],
    action: str,
    *,
    by: str,
    reason: str = "",
    arguments: dict[str, Any] | None = None,
) -> list[str]:
    """Decide cases, all of them or none. Returns their ids. Raises NotDecidable saying what may be decided."""
    for case in cases:
        _check(case, action, arguments or {})
    now = datetime.now(UTC)
    decisions = [_decision(case, action, by, reason, arguments or {}, now) for case in cases]
    released = [await _told_anew(store, case) for case in cases if action == ACCEPT]
    results = await store.commit(
        Batch(events=[*decisions, *released], cases=[_decided(case, action, by, now) for case in cases])
    )
    late = [case.id for case, result in zip(cases, results, strict=False) if result.outcome is not Appended.NEW]
    if late:
        raise NotDecidable(f"somebody else decided {', '.join(late)} in the meantime; that decision holds")
    return [case.id for case in cases]


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


async def correct_value_map(
    store: Store, value_map: ValueMap, key: str, value: dict[str, str], *, by: str, reason: str, cause: str | None
) -> list[str]:
    """Add or correct an entry of a value map, and try every open case of `cause` again, in one commit.

    Returns the ids of the released cases. Raises NotDecidable for a value the map cannot take.
    """
    try:
        value_map.with_entry(key, dict(value) if value_map.columns else next(iter(value.values()), ""))
    except ValueError as error:
        raise NotDecidable(f"value map '{value_map.name}': {error}") from error
    now = datetime.now(UTC)
    correction = ValueMapCorrected(value_map=value_map.name, key=key, value=value, by=by, reason=reason)
    cases = await store.cases(states=[CaseState.OPEN], cause=cause, limit=1_000_000) if cause else []
    released = [case for case in cases if CORRECT_MAP in case.actions or RETRY in case.actions]
    events = [make_event(correction, source=SOURCE, id=f"map/{value_map.name}/{key}/{now.isoformat()}", time=now)]
    events += [_decision(case, RETRY, by, reason or f"{key} added to {value_map.name}", {}, now) for case in released]
    await store.commit(Batch(events=events, cases=[_decided(case, CORRECT_MAP, by, now) for case in released]))
    return [case.id for case in released]


def like(value_map: ValueMap, key: str) -> dict[str, str]:
    """The row of a known key, to be used for a new one. Raises NotDecidable."""
    row = value_map.entries.get(key)
    if row is None:
        raise NotDecidable(
            f"value map '{value_map.name}' has no entry {key!r} to copy; it has: {', '.join(value_map.entries)}"
        )
    return {name: str(cell) for name, cell in row.items()} if isinstance(row, dict) else {"value": str(row)}


def _check(case: CaseRow, action: str, arguments: dict[str, Any]) -> None:
    if case.state is not CaseState.OPEN:
        raise NotDecidable(f"case {case.id} is {case.state} already: {case.decision} by {case.decided_by}")
    if action not in case.actions:
        raise NotDecidable(
            f"case {case.id} ({case.case_class}) cannot be decided with '{action}'; it can: {', '.join(case.actions)}"
        )
    if action == LINK and not arguments.get("external_id"):
        raise NotDecidable("linking needs the id of the record in the other system")
    if action == CORRECT and not arguments:
        raise NotDecidable("a correction needs at least one field: --set FIELD=VALUE")


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
    return make_event(data, source=SOURCE, id=f"{case.id}/decided", time=now, causation_id=f"{case.id}/opened")


def _decided(case: CaseRow, action: str, by: str, now: datetime) -> CaseRow:
    if not case.run_id:  # no run carries it out: what was decided is done with this commit
        return msgspec.structs.replace(case, state=CaseState.CLOSED, decision=action, decided_by=by, closed_at=now)
    return msgspec.structs.replace(case, state=CaseState.DECIDED, decision=action, decided_by=by)
