"""The example company and a hub for it, all in one process: sandboxes, project, worker, intake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tieline.app.demo.world import SECRETS, Sandboxes, furnish
from tieline.app.desk import Desk
from tieline.app.hub import running
from tieline.app.project import Project, load_project
from tieline.app.settings import load_settings
from tieline.app.template import make_project
from tieline.engine.worker import Worker
from tieline_sandbox.kantata import Sandbox as Kantata
from tieline_sandbox.kernel.server import serving
from tieline_sandbox.kernel.world import World
from tieline_sandbox.netsuite import Sandbox as NetSuite
from tieline_sandbox.salesforce import Sandbox as Salesforce
from tieline_sandbox.zuora import Sandbox as Zuora


class Company(msgspec.Struct):
    """What a test holds of the running company."""

    sandboxes: Sandboxes
    project: Project
    worker: Worker
    hub_url: str
    desk: Desk


@asynccontextmanager
async def sandboxes(start: datetime = datetime(2026, 1, 5, 9, tzinfo=UTC)) -> AsyncIterator[Sandboxes]:
    world = World(start)
    async with serving([Salesforce(world), Zuora(world), NetSuite(world), Kantata(world)]) as urls:
        client = Sandboxes(urls)
        try:
            yield client
        finally:
            await client.close()


@asynccontextmanager
async def company(folder: Path, poll_s: float = 0.0) -> AsyncIterator[Company]:
    """Sandboxes furnished, and a hub running on a project in `folder`."""
    async with sandboxes() as boxes, hub(folder, boxes, poll_s) as running_hub:
        yield running_hub


@asynccontextmanager
async def hub(folder: Path, boxes: Sandboxes, poll_s: float = 0.0) -> AsyncIterator[Company]:
    """A hub on the project in `folder` (made when it is not there), with the vendors' webhooks pointed at it."""
    if not (folder / "tieline.toml").exists():
        make_project(folder, urls=boxes.urls, poll_s=poll_s)
        fresh = True
    else:
        fresh = False
    project = load_project(load_settings(folder, environ=SECRETS))
    async with running(project, port=0) as (desk, url):
        if fresh:
            await furnish(boxes, url)
        yield Company(boxes, project, desk.worker, url, desk)


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 20.0) -> None:
    """Wait until a condition holds; fails with its name."""
    end = asyncio.get_running_loop().time() + seconds
    while not await condition():
        if asyncio.get_running_loop().time() > end:
            raise AssertionError(f"{condition.__name__} did not come true in {seconds} s")
        await asyncio.sleep(0.02)
