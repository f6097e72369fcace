"""Coming in, staying in and staying out, through real HTTP."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
import pytest_asyncio
from litestar.routes import HTTPRoute
from tests.support.company import Company, company
from tests.support.room import PASSWORD, bearer, make_user, signed_in, visitor

from tieline.app.access import Access, access_database, session_id
from tieline.app.access.throttle import FREE_FOR_USER
from tieline.app.hub import application
from tieline.app.intake import Intake
from tieline.app.principal import Permission, Role
from tieline.web.session import CSRF, OPEN, cookie_name, own_path

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Company]:
    async with company(tmp_path_factory.mktemp("access")) as running:
        yield running


async def with_password(hub: Company, name: str, *roles: Role) -> None:
    """A user who has the password of the tests."""
    access = hub.desk.access
    await make_user(access, name, *(roles or (Role.VIEWER,)))
    await access.users.set_password(name, await access.passwords.hash(PASSWORD))


def shown_link(page: str) -> str:
    found = re.search(r'value="http://[^"]*?(/welcome/[^"]+)"', page)
    assert found, page
    return found[1]


# --- signing in -------------------------------------------------------------------------------------------------------


async def test_a_person_signs_in_and_goes_where_they_wanted(hub: Company) -> None:
    await with_password(hub, "ada")
    async with visitor(hub.hub_url) as ada:
        away = await ada.get("/account?done=others")
        assert (away.status_code, away.headers["location"]) == (303, "/sign-in?next=/account%3Fdone%3Dothers")
        form = await ada.get(away.headers["location"])
        assert 'value="/account?done=others"' in form.text
        answer = await ada.post_form("/sign-in", name="Ada ", password=PASSWORD, next="/account?done=others")
        assert (answer.status_code, answer.headers["location"]) == (303, "/account?done=others")
        cookie = answer.headers["set-cookie"]
        assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
        assert (await ada.get("/account")).status_code == 200


async def test_a_wrong_password_and_an_unknown_name_are_told_alike(hub: Company) -> None:
    await with_password(hub, "bo")
    said = set()
    async with visitor(hub.hub_url) as stranger:
        for name in ("bo", "nobody"):
            answer = await stranger.post_form("/sign-in", name=name, password="wrong" * 3)
            assert answer.status_code == 401
            assert not stranger.cookie()
            said.add(answer.text.replace(f'value="{name}"', ""))
    assert len({re.sub(r'_csrf_token" value="\w+"', "", text) for text in said}) == 1


async def test_who_fails_too_often_waits(hub: Company) -> None:
    await with_password(hub, "cy")
    begin = datetime.now(UTC)
    times = (begin + timedelta(minutes=20 * number) for number in count())  # ahead, so that it is not over by now
    other = Access(access_database(hub.project.settings.database), lambda: next(times))
    for _ in range(FREE_FOR_USER + 1):
        await other.throttle.attempt("cy", "127.0.0.1")
    await other.close()
    async with visitor(hub.hub_url) as stranger:
        answer = await stranger.post_form("/sign-in", name="cy", password=PASSWORD)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 1
    assert "too many sign-ins failed" in answer.text


@pytest.mark.parametrize(
    "address",
    ["https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "evil", ""],
)
async def test_nobody_is_led_to_another_site_after_signing_in(hub: Company, address: str) -> None:
    assert own_path(address) == "/"
    async with signed_in(hub, name="dora") as dora:
        answer = await dora.get("/sign-in", params={"next": address})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def test_signing_in_begins_a_new_session_and_signing_out_ends_it(hub: Company) -> None:
    await with_password(hub, "eli")
    async with signed_in(hub, name="eli") as eli:
        before = eli.cookie()
        await eli.post_form("/sign-in", name="eli", password=PASSWORD)
        after = eli.cookie()
        assert after != before
        assert await hub.desk.access.principal(before) is None
        await eli.post_form("/sign-out")
        assert await hub.desk.access.principal(after) is None
        assert (await eli.get("/account")).status_code == 303


# --- what keeps strangers out -----------------------------------------------------------------------------------------


async def test_no_page_is_shown_and_nothing_is_done_without_signing_in(hub: Company) -> None:
    """Every route of the application: its own way of knowing who asks, or marked open on purpose."""
    by_themselves = ("/intake/", "/health", "/metrics", "/api/", "/static")  # signatures, tokens, nothing to hide
    asked = 0
    async with visitor(hub.hub_url) as stranger:
        await stranger.get("/sign-in")
        for route in application(hub.desk, Intake(hub.worker)).routes:
            if not isinstance(route, HTTPRoute) or route.path.startswith(by_themselves):
                continue
            for method in route.methods - {"OPTIONS", "HEAD"}:
                (handler,) = (one for one in route.route_handlers if method in one.http_methods)
                if handler.opt.get(OPEN):
                    assert route.path.startswith(("/sign-in", "/sign-out", "/welcome/"))
                    continue
                path = re.sub(r"\{[^}]+\}", "1", route.path)
                answer = await (stranger.get(path) if method == "GET" else stranger.post_form(path))
                assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/sign-in"), path
                asked += 1
    assert asked > 10


async def test_a_form_from_elsewhere_is_refused(hub: Company) -> None:
    async with signed_in(hub, Role.ADMIN, name="fay") as fay:
        without = await fay.post("/users", data={"name": "eve", "role": "admin"})
        assert without.status_code == 403
        assert "not sent from a page of this hub" in without.text
        await fay.get("/users")
        fields = {"name": "eve", "role": "admin", "_csrf_token": fay.cookie(CSRF)}
        port_of_another = "http://127.0.0.1:1"  # cookies do not know ports
        for origin in ("https://evil.example", port_of_another, "null"):
            assert (await fay.post("/users", data=fields, headers={"origin": origin})).status_code == 403
    assert hub.desk.access.users.find("eve") is None


async def test_another_name_for_this_machine_gets_no_page(hub: Company) -> None:
    async with signed_in(hub, Role.ADMIN, name="fay") as fay:
        for host in ("evil.example", "evil.example:8800", "127.0.0.1.evil.example", "["):
            assert (await fay.get("/users", headers={"host": host})).status_code in (400, 421)
        assert (await fay.get("/users", headers={"host": "localhost:1"})).status_code == 200


async def test_every_answer_carries_the_secure_headers(hub: Company) -> None:
    async with visitor(hub.hub_url) as stranger:
        for path in ("/sign-in", "/account", "/users", "/static/app.css", "/health", "/nothing/here", "/welcome/no"):
            answer = await stranger.get(path)
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "strict-transport-security" not in answer.headers  # plain http on loopback


async def test_a_mistyped_address_gets_a_page_that_says_so(hub: Company) -> None:
    async with visitor(hub.hub_url) as stranger:
        answer = await stranger.get("/deels")
    assert answer.status_code == 404
    assert "There is no such page" in answer.text


async def test_a_role_that_may_not_is_refused_and_sees_no_button(hub: Company) -> None:
    async with signed_in(hub, Role.VIEWER, name="gil") as gil:
        assert "Add a user" not in (await gil.get("/users")).text
        assert "Disable" not in (await gil.get("/users/gil")).text
        assert (await gil.get("/users/gil/disable")).status_code == 403
        for path, fields in (
            ("/users", {"name": "friend", "role": "admin"}),
            ("/users/gil/roles", {"role": "admin"}),
            ("/users/gil/link", {}),
            ("/users/gil/disable", {}),
            ("/users/gil/enable", {}),
        ):
            answer = await gil.post_form(path, fields)
            assert answer.status_code == 403, path
            assert "it needs the right" in answer.text
    assert hub.desk.access.users.get("gil").roles == {Role.VIEWER}


# --- users, links, tokens ---------------------------------------------------------------------------------------------


async def test_an_admin_adds_a_user_who_comes_in_by_the_link_once(hub: Company) -> None:
    async with signed_in(hub, Role.ADMIN, name="hal") as hal, visitor(hub.hub_url) as ivy:
        added = await hal.post_form(
            "/users", name="ivy@example.com", email="ivy@example.com", role=["viewer", "approver"]
        )
        link = shown_link(added.text)
        assert "ivy@example.com" in (await ivy.get(link)).text
        differing = await ivy.post_form(link, password=PASSWORD, again="another")
        assert differing.status_code == 422
        assert (await ivy.post_form(link, password=PASSWORD, again=PASSWORD)).headers["location"] == "/"
        assert "approver, viewer" in (await ivy.get("/account")).text
        assert (await ivy.get(link)).status_code == 422
        assert "used already" in (await ivy.post_form(link, password=PASSWORD, again=PASSWORD)).text


async def test_the_last_admin_cannot_lock_everybody_out(hub: Company) -> None:
    await with_password(hub, "jan", Role.ADMIN)
    async with signed_in(hub, name="jan") as jan:
        for path, fields in (("/users/jan/disable", {}), ("/users/jan/roles", {"role": "viewer"})):
            answer = await jan.post_form(path, fields)
            assert answer.status_code == 422
            assert "only admin who can sign in" in answer.text


async def test_a_token_is_shown_once_and_works_until_it_is_revoked(hub: Company) -> None:
    access = hub.desk.access
    async with signed_in(hub, Role.OPERATOR, name="kim") as kim:
        too_much = await kim.post_form("/account/tokens", label="more", scope="administer", days="30")
        assert too_much.status_code == 422
        made = await kim.post_form("/account/tokens", label="nightly export", scope=["read", "operate"], days="30")
        secret = re.search(r"tl_[\w-]+", made.text)
        assert secret
        page = await kim.get("/account")
        assert "nightly export" in page.text
        assert secret[0] not in page.text
        principal = await access.bearer(secret[0])
        assert principal is not None
        assert principal.may(Permission.OPERATE)
        (token,) = access.tokens.list("kim")
        assert (await kim.post_form(f"/account/tokens/{token.id}/revoke")).status_code == 303
        assert await access.bearer(secret[0]) is None


async def test_a_token_is_no_way_to_the_pages(hub: Company) -> None:
    token = await bearer(hub, Permission.READ, name="robot")
    async with visitor(hub.hub_url) as robot:
        answer = await robot.get("/users", headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == 303
        robot.cookies.set(cookie_name(hub.desk), token)
        answer = await robot.get("/users")
        assert answer.status_code == 303


async def test_a_changed_password_ends_the_other_sessions(hub: Company) -> None:
    await with_password(hub, "lee")
    async with signed_in(hub, name="lee") as here, signed_in(hub, name="lee") as there:
        fields = {"password": PASSWORD + " two", "again": PASSWORD + " two"}
        wrong = await here.post_form("/account/password", fields, current="wrong")
        assert wrong.status_code == 422
        assert (await here.post_form("/account/password", fields, current=PASSWORD)).status_code == 303
        assert (await here.get("/account")).status_code == 200
        assert (await there.get("/account")).status_code == 303


async def test_a_person_ends_only_their_own_sessions(hub: Company) -> None:
    async with (
        signed_in(hub, name="max") as here,
        signed_in(hub, name="max") as there,
        signed_in(hub, name="ned") as ned,
    ):
        for client in (there, ned):
            await here.post_form(f"/account/sessions/{session_id(client.cookie())}/end")
        assert (await there.get("/account")).status_code == 303
        assert (await ned.get("/account")).status_code == 200


async def test_the_audit_trail_says_who_changed_what(hub: Company) -> None:
    async with signed_in(hub, Role.ADMIN, name="ola") as ola:
        await ola.post_form("/users", name="pia", role="viewer")
        await ola.post_form("/users/pia/roles", role="steward")
        await ola.post_form("/users/pia/disable")
    said = [event.data.decode() for event in await hub.desk.store.events(type="UserChanged", subject="pia")]
    assert [re.search(r'"change":"([^"]+)"', data)[1] for data in said] == [  # type: ignore[index]
        "added",
        "one-time link",
        "roles",
        "disabled",
    ]
    assert all('"by":"ola"' in data for data in said)
