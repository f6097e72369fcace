"""Processes: the catalogue with its health, one process drawn from its definition, one run with all it did."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from tieline.app.principal import Permission
from tieline.app.replay import Wanted, plan_replay, request_replay
from tieline.app.versions import plan_moves, request_moves
from tieline.app.views import processes as use
from tieline.app.views.processes_flow import step_words
from tieline.app.views.words import event_words
from tieline.engine.records import RunState
from tieline.engine.replays import first_run
from tieline.web.given import TheDesk, TheSite, Who
from tieline.web.site import Section, WebRequest, go_to
from tieline.web.svg.flow import flow_drawing


@get("/processes")
async def processes(request: WebRequest, desk: TheDesk, site: TheSite) -> Response[str]:
    """The catalogue."""
    found = await use.catalogue(desk.project, desk.view.store, datetime.now(UTC))
    return site.page(request, "processes/list.html", processes=found)


@get("/processes/{name:str}")
async def process(
    request: WebRequest,
    desk: TheDesk,
    site: TheSite,
    name: FromPath[str],
    deal: FromQuery[str] = "",
    before: FromQuery[str] = "",
) -> Response[str]:
    """One process: how it goes, its versions, its runs."""
    state = request.query_params.get("state", "")  # Litestar keeps the name `state` for itself
    view, definition = desk.view, use.get_process(desk.project, name)
    counts, looked_at = await use.flow_counts(view.store, definition)
    health = await use.health_of(desk.project, view.store, name, datetime.now(UTC))
    return site.page(
        request,
        "processes/process.html",
        process=health,
        drawing=flow_drawing(name, health.triggers, counts, looked_at),
        counts=counts,
        looked_at=looked_at,
        step_words=step_words,
        versions=await use.versions_of(view.store, definition),
        page=await use.runs_page(view, name, state=state, deal=deal.strip(), before=before),
        states=["open", *(one.value for one in RunState)],
        state=state,
        deal=deal,
        before=before,
    )


@get("/processes/runs/{run_id:str}")
async def run(
    request: WebRequest, desk: TheDesk, site: TheSite, run_id: FromPath[str], asked: FromQuery[str] = ""
) -> Response[str]:
    """One run: its journal, effects, waits and cases."""
    found = await use.run_detail(desk.view.store, run_id)
    definition = desk.project.processes.get(found.row.process)
    return site.page(
        request,
        "processes/run.html",
        run=found,
        words=event_words(found.event) if found.event else "",
        current=definition.version if definition else "",
        repeats=first_run(run_id),
        asked=asked,
    )


@get("/processes/runs/{run_id:str}/replay")
async def preview(
    request: WebRequest, desk: TheDesk, site: TheSite, principal: Who, run_id: FromPath[str]
) -> Response[str]:
    """What running it again would do."""
    principal.require(Permission.OPERATE)
    plan = await plan_replay(desk.project, desk.view, Wanted(run=run_id))
    return site.page(request, "processes/replay.html", run_id=run_id, plan=plan)


@post("/processes/runs/{run_id:str}/replay")
async def replay(request: WebRequest, desk: TheDesk, principal: Who, run_id: FromPath[str]) -> Redirect:
    """Run it again."""
    principal.require(Permission.OPERATE)
    plan = await plan_replay(desk.project, desk.view, Wanted(run=run_id))
    reason = await _reason(request)
    asked = await request_replay(desk.store, plan, by=principal, reason=reason, now=datetime.now(UTC))
    desk.worker.events_arrived()
    return _to_run(run_id, asked[0] if asked else "")


@get("/processes/runs/{run_id:str}/move")
async def movable(
    request: WebRequest, desk: TheDesk, site: TheSite, principal: Who, run_id: FromPath[str]
) -> Response[str]:
    """Whether it could go on with the version of today."""
    principal.require(Permission.OPERATE)
    plan = await plan_moves(desk.project, desk.view.store, run=run_id)
    return site.page(request, "processes/move.html", run_id=run_id, plan=plan)


@post("/processes/runs/{run_id:str}/move")
async def move(request: WebRequest, desk: TheDesk, principal: Who, run_id: FromPath[str]) -> Redirect:
    """Have it go on with the version of today."""
    principal.require(Permission.OPERATE)
    plan = await plan_moves(desk.project, desk.view.store, run=run_id)
    reason = await _reason(request)
    moved = await request_moves(desk.project, desk.store, plan, by=principal, reason=reason, now=datetime.now(UTC))
    desk.worker.events_arrived()
    return _to_run(run_id, "move" if moved else "")


async def _reason(request: WebRequest) -> str:
    return str((await request.form()).get("reason") or "").strip()


def _to_run(run_id: str, asked: str) -> Redirect:
    return go_to(f"/processes/runs/{quote(run_id)}?asked={quote(asked)}")


SECTION = Section(
    title="Processes", path="/processes", handlers=[processes, process, run, preview, replay, movable, move]
)
