"""Signing in at an identity provider, against a real one that speaks OpenID Connect."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio
from tests.support.room import Visitor, make_user, visitor

from tieline.app.demo.world import SECRETS
from tieline.app.desk import Desk
from tieline.app.hub import running
from tieline.app.principal import Role
from tieline.app.project import load_project
from tieline.app.settings import load_settings
from tieline.app.template import make_project

pytestmark = pytest.mark.asyncio(loop_scope="module")

PEOPLE = [
    {"sub": "u1", "email": "Ada@example.com", "groups": ["finance-ops", "everyone"]},
    {"sub": "u2", "email": "bo@example.com", "groups": ["everyone"]},
    {"sub": "u3", "email": "taken", "groups": ["finance-ops"]},
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def issuer() -> AsyncIterator[str]:
    """The provider in a process of its own, as it would be."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [part for one in PEOPLE for part in ("--user-claims", json.dumps(one))]
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), "--require-nonce", *options]
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdout=quiet, stderr=quiet)
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient() as client:
        for _ in range(400):
            try:
                await client.get(f"{url}/.well-known/openid-configuration")
                break
            except httpx.ConnectError:
                await asyncio.sleep(0.05)
    yield url
    process.terminate()
    await process.wait()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub(issuer: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Desk, str]]:
    folder = tmp_path_factory.mktemp("provider")
    make_project(folder, poll_s=0)
    said = f'''
[access.oidc]
issuer = "{issuer}"
client_id = "tieline"
client_secret = "env:OIDC_SECRET"
role_map = {{ "finance-ops" = "operator", "finance-admins" = "admin" }}
'''
    settings = folder / "tieline.toml"
    settings.write_text(settings.read_text() + said)
    project = load_project(load_settings(folder, environ={**SECRETS, "OIDC_SECRET": "hush"}))
    async with running(project, port=0) as running_hub:
        yield running_hub


async def agree(browser: Visitor, subject: str, wanted: str = "/account") -> str:
    """Begin at the hub and say who one is at the provider; returns the address that it sends the browser back to."""
    begun = await browser.get("/sign-in/provider", params={"next": wanted})
    assert begun.status_code == 303, begun.text
    async with httpx.AsyncClient() as at_provider:
        answer = await at_provider.post(begun.headers["location"], data={"sub": subject})
    return answer.headers["location"]


async def test_a_person_comes_in_with_the_roles_of_their_groups(hub: tuple[Desk, str]) -> None:
    desk, url = hub
    async with visitor(url) as ada:
        assert "/sign-in/provider?next=" in (await ada.get("/sign-in")).text
        back = await agree(ada, "u1")
        answer = await ada.get(back)
        assert (answer.status_code, answer.headers["location"]) == (303, "/account"), answer.text
        assert (await ada.get("/account")).status_code == 200
    user = desk.access.users.get("ada@example.com")
    assert user.roles == {Role.OPERATOR}
    assert user.by_provider
    told = [event.type.split(".")[1] for event in await desk.store.events(subject=user.name)]
    assert told == ["UserChanged", "SignedIn"]


async def test_the_request_carries_state_nonce_and_a_challenge(hub: tuple[Desk, str]) -> None:
    async with visitor(hub[1]) as browser:
        begun = await browser.get("/sign-in/provider")
    asked = parse_qs(urlsplit(begun.headers["location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert {"state", "nonce", "code_challenge"} <= asked.keys()
    assert asked["redirect_uri"] == [f"{hub[1]}/sign-in/provider/answer"]
    assert "hush" not in begun.headers["location"] + begun.headers["set-cookie"]


async def test_who_has_no_role_is_told_which_groups_have(hub: tuple[Desk, str]) -> None:
    async with visitor(hub[1]) as bo:
        answer = await bo.get(await agree(bo, "u2"))
        assert answer.status_code == 401
        assert "none of their groups (everyone) means a role here" in answer.text
        assert "finance-admins, finance-ops" in answer.text
        assert not bo.cookie()
    assert hub[0].access.users.find("bo@example.com") is None


async def test_the_provider_cannot_hand_out_the_name_of_a_user_of_ours(hub: tuple[Desk, str]) -> None:
    await make_user(hub[0].access, "taken", Role.ADMIN)
    async with visitor(hub[1]) as thief:
        answer = await thief.get(await agree(thief, "u3"))
    assert answer.status_code == 401
    assert "does not come from the identity provider" in answer.text


async def test_an_answer_counts_only_in_the_browser_that_began(hub: tuple[Desk, str]) -> None:
    async with visitor(hub[1]) as attacker, visitor(hub[1]) as victim:
        back = await agree(attacker, "u1")
        assert (await victim.get(back)).status_code == 401  # began nothing
        await victim.get("/sign-in/provider")
        answer = await victim.get(back)  # began another
        assert answer.status_code == 401
        assert "belongs to another sign-in" in answer.text
        assert (await attacker.get(back)).status_code == 303
        assert (await attacker.get(back)).status_code == 401  # the code is spent, and so is the cookie


async def test_a_refusal_at_the_provider_is_told(hub: tuple[Desk, str]) -> None:
    async with visitor(hub[1]) as browser:
        begun = await browser.get("/sign-in/provider")
        state = parse_qs(urlsplit(begun.headers["location"]).query)["state"][0]
        params = {"error": "access_denied", "error_description": "<b>no</b>", "state": state}
        answer = await browser.get("/sign-in/provider/answer", params=params)
    assert answer.status_code == 401
    assert "did not sign you in: &lt;b&gt;no&lt;/b&gt;" in answer.text
