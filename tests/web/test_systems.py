"""The pages of systems: what they show, who may stop one, and that a stop holds until it is taken back."""

from __future__ import annotations

import pytest
from tests.support.company import Company, eventually
from tests.support.room import signed_in, text_of

from tieline.app.principal import Role

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_every_system_is_shown_with_its_health(hub: Company) -> None:
    async with signed_in(hub, Role.VIEWER, name="vic") as vic:
        page = await vic.get("/systems")
        assert page.status_code == 200
        shown = text_of(page.text)
        assert all(name in shown for name in ("Salesforce", "Zuora", "NetSuite", "Kantata"))
        assert shown.count("working") == 4
        assert "expires" in shown  # the token's, never the token
        assert (await vic.get("/systems/nowhere")).status_code == 404


async def test_recent_calls_are_shown_without_secrets(hub: Company) -> None:
    """What was asked and answered, as the kit keeps it."""
    async with signed_in(hub, Role.VIEWER, name="vic") as vic:
        page = (await vic.get("/systems/zuora?calls=all")).text
    assert "POST /v1/orders" in page
    assert "S-006000000000001AAA" in page
    assert "Bearer" not in page
    secrets = {value for key, value in hub.project.settings.connections["zuora"].options.items() if "secret" in key}
    assert secrets
    assert not any(secret in page for secret in secrets)


async def test_a_viewer_sees_no_button_and_is_refused_without_it(hub: Company) -> None:
    async with signed_in(hub, Role.VIEWER, name="vic") as vic:
        assert "Pause" not in (await vic.get("/systems/zuora")).text
        for path in ("/systems/zuora/pause", "/systems/zuora/check"):
            answer = await vic.post_form(path, reason="because")
            assert answer.status_code == 403
            assert "operator" in answer.text
    assert hub.worker.connection("zuora").lane.status().state == "open"


async def test_a_system_is_paused_with_a_reason_and_resumed(hub: Company) -> None:
    """The page asks first; the stop is in the log and on everybody's page; a second stop says who was first."""

    async def state() -> str:
        return hub.worker.connection("zuora").lane.status().state

    async def paused() -> bool:
        return await state() == "paused"

    async def works() -> bool:
        return await state() == "open"

    async with signed_in(hub, Role.OPERATOR, name="ada") as ada, signed_in(hub, Role.VIEWER, name="vic") as vic:
        assert "Nothing more is sent to Zuora" in (await ada.get("/systems/zuora/pause")).text
        assert (await ada.post_form("/systems/zuora/pause", reason=" ")).status_code == 422
        answer = await ada.post_form("/systems/zuora/pause", reason="closing the month")
        assert (answer.status_code, answer.headers["location"]) == (303, "/systems/zuora?done=pause")
        await eventually(paused)
        shown = text_of((await vic.get("/systems")).text)
        assert "paused by ada since" in shown
        assert "because: closing the month" in shown
        again = await ada.post_form("/systems/zuora/pause", reason="me too")
        assert again.status_code == 409
        assert "closing the month" in again.text
        check = await ada.post_form("/systems/zuora/check")  # beside the lane: also while it is stopped
        assert "It answers." in check.text
        assert (await ada.post_form("/systems/zuora/resume", reason="closed")).status_code == 303
        await eventually(works)
        told = text_of((await vic.get("/audit?type=ConnectionHeld&text=zuora")).text)
        assert "ada stopped zuora: &#34;closing the month&#34;" in told


async def test_what_is_no_deed_is_not_found(hub: Company) -> None:
    async with signed_in(hub, Role.OPERATOR, name="ada") as ada:
        assert (await ada.get("/systems/zuora/delete")).status_code == 404
        assert (await ada.post_form("/systems/zuora/delete")).status_code == 404
