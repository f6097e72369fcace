"""Sandboxes in a process of their own: over TLS, with worlds remembered by name."""

from __future__ import annotations

import asyncio
import json
import ssl
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls") / "made"


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """Ends in good order however many snapshots stand behind it."""
    command = [sys.executable, "-m", "tieline_sandbox", "--vendor", "kantata", "--port", "0", "--tls", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        yield json.loads(process.stdout.readline())["kantata"]
        process.terminate()
        assert process.wait(10) == 0
        assert str(folder / "ca.pem") in process.stderr.read()


class Control:
    """The control API, for who trusts the authority of this start."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http, self._url = http, f"{url}/_sandbox"

    async def get(self, path: str) -> Any:
        async with self._http.get(self._url + path) as answer:
            return await answer.json()

    async def post(self, path: str, body: Any) -> tuple[int, Any]:
        async with self._http.post(self._url + path, json=body) as answer:
            return answer.status, await answer.json()

    async def turn(self, which: str, **order: str) -> str:
        """Snapshot or restore, and wait for the other branch; the name it was done under."""
        before = (await self.get("/health"))["branch"]
        status, told = await self.post(f"/{which}", order)
        assert status == 202, told
        for _ in range(300):
            await asyncio.sleep(0.02)
            try:
                if (await self.get("/health"))["branch"] != before:
                    return str(told["name"])
            except aiohttp.ClientError:  # the world that was
                continue
        raise AssertionError(f"no {which} in 6 s")

    async def add(self, title: str) -> None:
        assert (await self.post("/seed", {"workspaces": [{"title": title, "creator_role": "maven"}]}))[0] == 200

    async def titles(self) -> list[str]:
        return [each["title"] for each in (await self.get("/documents/workspaces"))["workspaces"]]


@pytest_asyncio.fixture
async def control(url: str, folder: Path) -> AsyncIterator[Control]:
    trust = ssl.create_default_context(cafile=folder / "ca.pem")
    connector = aiohttp.TCPConnector(ssl=trust, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as http:
        yield Control(http, url)


async def test_only_who_trusts_the_authority_speaks_to_it(control: Control, url: str, folder: Path) -> None:
    """The key can be read by its owner alone."""
    assert url.startswith("https://127.0.0.1:")
    assert (await control.get("/health"))["vendor"] == "kantata"
    async with aiohttp.ClientSession() as stranger:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await stranger.get(f"{url}/_sandbox/health")
    assert stat.S_IMODE((folder / "server.pem").stat().st_mode) == 0o600


async def test_a_world_is_brought_back_by_its_name_and_forgets_what_came_after(control: Control) -> None:
    await control.add("first")
    await control.turn("snapshot", name="one")
    await control.add("second")
    assert await control.turn("snapshot") == "snapshot 2"
    await control.add("third")
    await control.turn("restore")
    assert await control.titles() == ["first", "second"]
    await control.turn("restore", name="one")
    assert await control.titles() == ["first"]
    assert (await control.get("/health"))["snapshots"] == ["one"]
    assert (
        "no snapshot 'snapshot 2'; there are: one"
        in (await control.post("/restore", {"name": "snapshot 2"}))[1]["error"]
    )
    assert "choose another name" in (await control.post("/snapshot", {"name": "one"}))[1]["error"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    command = [sys.executable, "-m", "tieline_sandbox", "--vendor", "kantata", "--tls", str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    assert str(tmp_path / "file") in done.stderr
