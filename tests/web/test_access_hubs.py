"""Hubs of other kinds: a demonstration, one behind a proxy, one that strangers could reach, a new one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.room import PASSWORD, make_user, visitor

from tieline.app.access.links import FIRST_ADMIN
from tieline.app.demo.world import SECRETS
from tieline.app.desk import Desk
from tieline.app.hub import running
from tieline.app.principal import Role
from tieline.app.project import load_project
from tieline.app.settings import load_settings
from tieline.app.template import make_project
from tieline.errors import ConfigurationError

PROXIED = 'public_url = "https://tieline.example.com"'


@asynccontextmanager
async def hub(folder: Path, *lines: str) -> AsyncIterator[tuple[Desk, str]]:
    """A hub whose [hub] section says this, too."""
    async with running(load_project(load_settings(_project(folder, *lines), environ=SECRETS)), port=0) as made:
        yield made


def _project(folder: Path, *lines: str) -> Path:
    make_project(folder, poll_s=0)
    settings = folder / "tieline.toml"
    settings.write_text(settings.read_text().replace("[hub]\n", "\n".join(["[hub]", *lines, ""])))
    return folder


async def test_in_a_demonstration_everybody_may_do_everything_and_is_told_so(tmp_path: Path) -> None:
    async with hub(tmp_path, "demo = true") as (desk, url), visitor(url) as anybody:
        page = await anybody.get("/users")
        assert page.status_code == 200
        assert "Nothing here is real" in page.text
        assert "Sign out" not in page.text
        assert (await anybody.post_form("/users", name="bo", role="viewer")).status_code == 200
        assert "there is no account to change" in (await anybody.get("/account")).text
        assert desk.access.users.get("bo").roles == {Role.VIEWER}


async def test_behind_a_proxy_cookies_go_over_https_only(tmp_path: Path) -> None:
    async with hub(tmp_path, PROXIED) as (desk, url), visitor(url) as ada:
        await make_user(desk.access, "ada", Role.ADMIN)
        await desk.access.users.set_password("ada", await desk.access.passwords.hash(PASSWORD))
        ada.headers.update({"host": "tieline.example.com", "x-forwarded-for": "198.51.100.7"})
        form = await ada.get("/sign-in")
        assert form.headers["strict-transport-security"].startswith("max-age=")
        cookie = form.headers["set-cookie"]
        assert cookie.startswith("__Host-tieline_csrf_")
        assert "Secure" in cookie
        cookie = cookie.partition(";")[0]
        token = cookie.partition("=")[2]
        sent = {"name": "ada", "password": PASSWORD, "_csrf_token": token}
        headers = {"cookie": cookie, "origin": "https://tieline.example.com"}
        answer = await ada.post("/sign-in", data=sent, headers=headers)
        assert answer.status_code == 303, answer.text
        session = answer.headers["set-cookie"]
        assert session.startswith("__Host-tieline_session_")
        assert {"HttpOnly", "Secure", "Path=/", "SameSite=lax"} <= set(session.split("; "))
        assert "Domain" not in session
        assert desk.access.sessions.list("ada")[0].address == "198.51.100.7"
        added = await ada.post(
            "/users",
            data={"name": "bo", "role": "viewer", "_csrf_token": token},
            headers={"cookie": f"{cookie}; {session.partition(';')[0]}"},
        )
        assert 'value="https://tieline.example.com/welcome/' in added.text


async def test_the_first_admin_is_whoever_opens_the_link(tmp_path: Path) -> None:
    async with hub(tmp_path) as (desk, url), visitor(url) as ada:
        assert "There is no admin yet" in (await ada.get("/sign-in")).text
        link = f"/welcome/{await desk.access.links.make(FIRST_ADMIN)}"
        assert "becomes the admin" in (await ada.get(link)).text
        refused = await ada.post_form(link, name="ada", password="short", again="short")
        assert (refused.status_code, "at least 12" in refused.text) == (422, True)
        answer = await ada.post_form(link, name="ada", password=PASSWORD, again=PASSWORD)
        assert answer.status_code == 303
        assert "Add a user" in (await ada.get("/users")).text
        assert "There is no admin yet" not in (await ada.get("/sign-in")).text


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (['host = "0.0.0.0"'], "passwords must not travel unencrypted"),
        (['host = "0.0.0.0"', PROXIED, "demo = true"], "demo lets everybody in"),
        ([PROXIED, "demo = true"], "demo lets everybody in"),
        (['public_url = "http://tieline.example.com"'], "public_url must be like"),
        (['public_url = "https://example.com/tieline"'], "public_url must be like"),
    ],
)
def test_a_hub_that_would_be_open_to_strangers_does_not_start(tmp_path: Path, lines: list[str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        load_settings(_project(tmp_path, *lines), environ=SECRETS)
