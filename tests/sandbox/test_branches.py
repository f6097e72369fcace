"""The world of the sandboxes: remembered and brought back; webhooks that come days late; faults that are counted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tieline.app.demo.world import Sandboxes
from tieline.errors import ConfigurationError
from tieline_sandbox.__main__ import vendor_of
from tieline_sandbox.kernel.faults import Fault
from tieline_sandbox.kernel.server import serving
from tieline_sandbox.kernel.webhooks import Webhook
from tieline_sandbox.kernel.world import World


@pytest.fixture
def urls() -> Iterator[dict[str, str]]:
    """Sandboxes in a process of their own, which ends in good order when it is asked to."""
    command = [sys.executable, "-m", "tieline_sandbox", "--vendor", "kantata", "--vendor", "zuora", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.terminate()
        assert process.wait(10) == 0


async def test_a_world_is_brought_back_as_it_was_as_often_as_asked(urls: dict[str, str]) -> None:
    boxes = Sandboxes(urls)
    await boxes.seed("kantata", "workspaces", [{"title": "first", "creator_role": "maven"}])
    await boxes.turn("snapshot")
    for _ in range(2):
        await boxes.seed("kantata", "workspaces", [{"title": "second", "creator_role": "maven"}])
        await boxes.advance(400)
        assert len(await boxes.documents("kantata", "workspaces")) == 2
        await boxes.turn("restore")
        assert [w["title"] for w in await boxes.documents("kantata", "workspaces")] == ["first"]
    await boxes.close()


async def test_without_a_process_of_its_own_a_world_says_that_it_cannot_branch() -> None:
    async with serving([vendor_of("kantata", World())]) as urls:
        boxes = Sandboxes(urls)
        with pytest.raises(ConfigurationError, match="cannot branch"):
            await boxes.turn("snapshot")
        await boxes.close()


async def test_a_fault_that_struck_is_counted_until_the_reset() -> None:
    async with serving([vendor_of("kantata", World())]) as urls:
        boxes = Sandboxes(urls)
        await boxes.fault("kantata", kind="status", status=503, times=2)
        async with aiohttp.ClientSession() as http:
            for _ in range(3):
                await (await http.get(f"{urls['kantata']}/api/v1/workspaces.json")).read()
        assert await boxes.get("kantata", "/faults/struck") == {"status": 2}
        await boxes.post("kantata", "/reset", {})
        assert await boxes.get("kantata", "/faults/struck") == {}
        await boxes.close()


async def test_a_webhook_days_late_goes_out_at_its_midnight() -> None:
    """By the clock of the sandbox, not by ours; until then nothing is under way."""
    got: list[str] = []
    world = World(datetime(2026, 1, 5, 9, tzinfo=UTC))
    vendor = vendor_of("kantata", world)
    async with receiver(got) as url:
        vendor.faults.add(Fault(kind="webhook_delay", days=3))
        vendor.webhooks.send(Webhook(url, b"late", lambda _: {}))
        vendor.webhooks.send(Webhook(url, b"prompt", lambda _: {}))
        await vendor.webhooks.idle()
        assert (got, vendor.webhooks.pending()) == (["prompt"], 0)
        await world.advance(world.now() + timedelta(days=2))
        await vendor.webhooks.idle()
        assert got == ["prompt"]
        await world.advance(world.now() + timedelta(days=2))
        await vendor.webhooks.idle()
        assert got == ["prompt", "late"]
        await vendor.webhooks.close()


@asynccontextmanager
async def receiver(got: list[str]) -> AsyncIterator[str]:
    """Somebody who takes webhooks."""

    async def take(request: web.Request) -> web.Response:
        got.append(await request.text())
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))
