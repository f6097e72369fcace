"""Which runs a replay is about: one, those of an event or a deal, or all that match a filter."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

import msgspec

from tieline.app.project import Project
from tieline.app.views.reading import View
from tieline.app.views.resolve import NothingFound, find_event, resolve, runs_of_event
from tieline.engine.records import RunRow, RunState
from tieline.engine.replays import first_run
from tieline.errors import ConfigurationError

PAGE = 5_000


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Either one `run`, `event` or `deal`, or a filter; all that is given of it must match.

    `since` and `until` (not included) are about when a run began; `deals` are any ids of deals; `case_class` and
    `cause` are of cases that the run opened, whatever became of them. `limit` is the most that a filter takes.
    """

    run: str = ""
    event: str = ""
    deal: str = ""
    process: str = ""
    state: str = ""
    since: datetime | None = None
    until: datetime | None = None
    deals: Sequence[str] = ()
    case_class: str = ""
    cause: str = ""
    limit: int = 1000

    @property
    def is_filter(self) -> bool:
        return any((self.process, self.state, self.since, self.until, self.deals, self.case_class, self.cause))


class Chosen(msgspec.Struct, frozen=True):
    """First runs, oldest event first. `more`: there are others that the limit leaves out."""

    rows: list[RunRow]
    more: bool = False


async def choose(project: Project, view: View, wanted: Wanted) -> Chosen:
    """The runs to be repeated. Raises NothingFound, ConfigurationError."""
    if sum(map(bool, (wanted.run, wanted.event, wanted.deal, wanted.is_filter))) != 1:
        raise ConfigurationError(
            "name exactly one of --run, --event and --deal, or say which runs: --process, --since, --until, --state, "
            "--deals, --case-class, --cause"
        )
    if wanted.run:
        row = await view.store.run(first_run(wanted.run) or wanted.run)
        if row is None:
            raise NothingFound(f"there is no run {wanted.run!r}; `tieline runs` lists them")
        return Chosen([row])
    if wanted.event:
        return Chosen(_first_lives(wanted.event, await _of_event(view, wanted.event)))
    if wanted.deal:
        return Chosen(_newest_where_it_wins(project, _first_lives(wanted.deal, await _of_deal(view, wanted.deal))))
    return await _filtered(project, view, wanted)


async def _of_event(view: View, text: str) -> list[RunRow]:
    event = await find_event(view, f"#{text}" if text.isdigit() else text)
    if event is None:
        raise NothingFound(f"there is no event {text!r}; `tieline events` lists them")
    return await runs_of_event(view.store, event.seq)


async def _of_deal(view: View, text: str) -> list[RunRow]:
    deal = (await resolve(view, text)).deal
    if not deal:
        raise NothingFound(f"{text!r} belongs to no deal yet; replay the event with --event")
    return await view.store.runs(correlation_id=deal, limit=100_000)


def _first_lives(asked: str, rows: list[RunRow]) -> list[RunRow]:
    found = [row for row in rows if row.state is not RunState.SUPERSEDED and not first_run(row.id)]
    if not found:
        raise NothingFound(f"no run of a process belongs to {asked}")
    return found


def _newest_where_it_wins(project: Project, rows: list[RunRow]) -> list[RunRow]:
    """Of a process whose newest run wins, the earlier ones of a key have nothing to say any more."""
    last = {(row.process, row.key): row.id for row in rows}
    latest = {name for name, process in project.processes.items() if process.latest_wins}
    return [row for row in rows if row.process not in latest or last[row.process, row.key] == row.id]


# --- by filter --------------------------------------------------------------------------------------------------------


async def _filtered(project: Project, view: View, wanted: Wanted) -> Chosen:
    if wanted.process and wanted.process not in project.processes:
        known = ", ".join(sorted(project.processes))
        raise ConfigurationError(f"the project has no process {wanted.process!r}; it has: {known}")
    state = _state(wanted.state)
    found: dict[str, RunRow] = {}
    process = project.processes.get(wanted.process)
    in_order = process is not None and not (process.latest_wins or wanted.deals or wanted.case_class or wanted.cause)
    async for row in _candidates(view, wanted):
        if _matches(row, wanted, state):
            found[row.id] = row
        if in_order and len(found) > wanted.limit:
            break
    if not found:
        raise NothingFound("no run matches; `tieline runs` lists them")
    rows = sorted(found.values(), key=lambda row: (row.event_seq, row.id))
    rows = _newest_where_it_wins(project, rows)
    return Chosen(rows[: wanted.limit], more=len(rows) > wanted.limit)


async def _candidates(view: View, wanted: Wanted) -> AsyncIterator[RunRow]:
    """By the narrowest way: the cases, the deals, else the whole period."""
    if wanted.case_class or wanted.cause:
        cases = await view.store.cases(
            case_class=wanted.case_class or None, cause=wanted.cause or None, limit=1_000_000
        )
        of_deals = await _deals(view, wanted.deals)
        for run_id in dict.fromkeys(first_run(case.run_id) or case.run_id for case in cases):
            row = await view.store.run(run_id)
            if row is not None and (not of_deals or row.correlation_id in of_deals):
                yield row
    elif wanted.deals:
        for deal in await _deals(view, wanted.deals):
            for row in await view.store.runs(correlation_id=deal, limit=100_000):
                yield row
    else:
        after = (-1, "")
        while page := await view.store.runs(
            process=wanted.process or None, since=wanted.since, until=wanted.until, after=after, limit=PAGE
        ):
            for row in page:
                yield row
            after = (page[-1].event_seq, page[-1].id)


async def _deals(view: View, idents: Sequence[str]) -> dict[str, None]:
    return dict.fromkeys([(await resolve(view, ident)).deal for ident in idents])


def _matches(row: RunRow, wanted: Wanted, state: RunState | None) -> bool:
    return (
        not first_run(row.id)
        and (row.state is state if state else row.state is not RunState.SUPERSEDED)
        and wanted.process in ("", row.process)
        and (wanted.since is None or row.started_at >= wanted.since)
        and (wanted.until is None or row.started_at < wanted.until)
    )


def _state(text: str) -> RunState | None:
    if not text:
        return None
    ended = [state.value for state in RunState if state.ended]
    if text not in ended:
        raise ConfigurationError(f"only runs that ended are replayed, not {text!r}; --state takes: {', '.join(ended)}")
    return RunState(text)
