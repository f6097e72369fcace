"""Systems: how each connection does, what it was asked lately; pause, drain and resume behind a step that asks."""

from __future__ import annotations

from datetime import UTC, datetime

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from tieline.app import systems as use
from tieline.app.connectors import Checked, deed, limits_of, objects_of
from tieline.app.desk import Desk
from tieline.app.principal import Permission
from tieline.app.views.listing import effect_line, event_line
from tieline.app.views.resolve import NothingFound
from tieline.connectors.sdk import MOST_CALLS
from tieline.engine.connection import Connection
from tieline.web.given import TheDesk, TheSite, Who
from tieline.web.site import Section, Site, WebRequest, go_to

FEW_CALLS = 20
DEEDS = ("pause", "drain", "resume")


@get("/systems")
async def systems(request: WebRequest, desk: TheDesk, site: TheSite) -> Response[str]:
    """Every connection with its health."""
    found = await use.list_systems(desk.project, desk.view.store, _live(desk), datetime.now(UTC))
    return site.page(request, "systems/list.html", systems=found, chain=desk.chain)


@get("/systems/{name:str}")
async def system(
    request: WebRequest,
    desk: TheDesk,
    site: TheSite,
    name: FromPath[str],
    done: FromQuery[str] = "",
    calls: FromQuery[str] = "",
) -> Response[str]:
    """One connection whole."""
    return await _page(request, desk, site, name, done=done, most_calls=MOST_CALLS if calls == "all" else FEW_CALLS)


@post("/systems/{name:str}/check", status_code=200)
async def check(
    request: WebRequest, desk: TheDesk, site: TheSite, principal: Who, name: FromPath[str]
) -> Response[str]:
    """Ask it who we are there, now."""
    checked = await use.check_now(desk.project, _known(desk, name), by=principal)
    return await _page(request, desk, site, name, checked=checked)


@get("/systems/{name:str}/{what:str}")
async def confirm(
    request: WebRequest, desk: TheDesk, site: TheSite, principal: Who, name: FromPath[str], what: FromPath[str]
) -> Response[str]:
    """What would wait, before anything is stopped."""
    principal.require(Permission.OPERATE)
    _deed(what)
    store, live = desk.view.store, _live(desk)
    found = await use.get_system(desk.project, store, live, _known(desk, name), datetime.now(UTC))
    return site.page(
        request, "systems/confirm.html", system=found, what=what, waits=await use.would_wait(store, found, live[name])
    )


@post("/systems/{name:str}/{what:str}")
async def carry_out(
    request: WebRequest, desk: TheDesk, principal: Who, name: FromPath[str], what: FromPath[str]
) -> Redirect:
    """Stop it, or let it work again."""
    reason = str((await request.form()).get("reason") or "")
    project, store, now = desk.project, desk.store, datetime.now(UTC)
    _known(desk, name)
    if _deed(what) == "resume":
        await use.release(project, store, name, reason=reason, by=principal, now=now)
    else:
        await use.hold(project, store, name, drain=what == "drain", reason=reason, by=principal, now=now)
    desk.worker.events_arrived()
    return go_to(f"/systems/{name}?done={what}")


async def _page(
    request: WebRequest,
    desk: Desk,
    site: Site,
    name: str,
    *,
    done: str = "",
    checked: Checked | None = None,
    most_calls: int = FEW_CALLS,
) -> Response[str]:
    store, live = desk.view.store, _live(desk)
    found = await use.get_system(desk.project, store, live, _known(desk, name), datetime.now(UTC))
    recent = use.recent_of(live[name])
    manifest = live[name].connector.manifest
    return site.page(
        request,
        "systems/system.html",
        system=found,
        manifest=manifest,
        objects=objects_of(manifest),
        deed=deed,
        limits=limits_of(manifest),
        calls=recent.calls(most_calls) if recent else None,
        few=FEW_CALLS,
        webhooks=[event_line(event) for event in await use.webhooks_of(store, name)],
        effects=[effect_line(effect) for effect in await use.open_effects(store, name)],
        done=done if done in DEEDS else "",
        checked=checked,
    )


def _live(desk: Desk) -> dict[str, Connection]:
    return {name: desk.worker.connection(name) for name in desk.project.settings.connections}


def _known(desk: Desk, name: str) -> str:
    if name not in desk.project.settings.connections:
        known = ", ".join(desk.project.settings.connections)
        raise NothingFound(f"there is no connection {name!r} in this project; connections: {known}")
    return name


def _deed(what: str) -> str:
    if what not in DEEDS:
        raise NothingFound(f"a system can be paused, drained and resumed, not {what!r}")
    return what


SECTION = Section(title="Systems", path="/systems", handlers=[systems, system, check, confirm, carry_out])
