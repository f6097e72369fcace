"""The hub as a whole: what it says about itself is true."""

from __future__ import annotations

from pathlib import Path

import aiohttp
from tests.support.company import sandboxes

from tieline.app.demo.world import SECRETS
from tieline.app.hub import running
from tieline.app.project import load_project
from tieline.app.settings import load_settings
from tieline.app.template import make_project


async def test_the_address_may_be_used_as_soon_as_it_is_told(tmp_path: Path) -> None:
    """A vendor that is pointed at the hub the moment it is up is not refused."""
    async with sandboxes() as boxes:
        make_project(tmp_path / "project", urls=boxes.urls, poll_s=0.0)
        project = load_project(load_settings(tmp_path / "project", environ=SECRETS))
        async with (
            running(project, port=0) as (_, url),
            aiohttp.ClientSession() as http,
            http.get(f"{url}/health") as answer,
        ):
            assert (answer.status, await answer.json()) == (200, {"status": "ok"})
