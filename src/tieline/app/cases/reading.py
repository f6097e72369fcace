"""Finding cases: by cause with what each group holds, one by one, and by name."""

from __future__ import annotations

from datetime import datetime

import msgspec

from tieline.engine.ports import Store
from tieline.engine.records import CaseFilter, CaseRow, CaseState, CauseGroup
from tieline.errors import TielineError

GROUPS, EACH = 50, 50
"""How much one look shows."""
EVERYTHING = 1_000_000


class CaseGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Cases of one cause, which one remedy may release together, with the oldest of them."""

    of: CauseGroup
    example: CaseRow


class CasePage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a list; `after` is where the next one begins, "" where there is none."""

    cases: list[CaseRow]
    after: str = ""


async def groups(store: Store, wanted: CaseFilter, now: datetime, limit: int = GROUPS) -> list[CaseGroup]:
    """Cases by cause, the largest group first."""
    found = [(group, await store.case(group.example)) for group in await store.case_groups(wanted, now, limit)]
    return [CaseGroup(of=group, example=example) for group, example in found if example is not None]


async def page(store: Store, wanted: CaseFilter, after: str = "", limit: int = EACH) -> CasePage:
    """Cases one by one: open ones oldest first, closed ones newest first."""
    newest = wanted.state is CaseState.CLOSED
    rows = await store.case_page(wanted, after=_place(after), limit=limit + 1, newest=newest)
    last = rows[limit - 1] if len(rows) > limit else None
    return CasePage(cases=rows[:limit], after=f"{last.opened_at.isoformat()}~{last.id}" if last else "")


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
    found = await store.cases(states=[CaseState.OPEN], cause=cause, case_class=case_class, limit=EVERYTHING)
    if not found:
        what = f"the cause {cause!r}" if cause is not None else f"the class {case_class!r}"
        raise TielineError(f"no open case has {what}; `tieline cases list --each` shows what there is")
    return found


def _place(after: str) -> tuple[datetime, str] | None:
    if not after:
        return None
    at, _, case_id = after.partition("~")
    try:
        place = datetime.fromisoformat(at)
    except ValueError:
        place = None
    if place is None or place.tzinfo is None:
        raise TielineError("this is no place in a list of cases; begin with its first page")
    return place, case_id
