"""What people look at: the page, the documents, and the words by which a vendor refused."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from tieline_sandbox.__main__ import vendor_of
from tieline_sandbox.kernel.server import serving
from tieline_sandbox.kernel.world import World

ZUORA_LOGIN = {
    "grant_type": "client_credentials",
    "client_id": "00000000-0000-0000-0000-00000tieline",
    "client_secret": "sandbox-secret",
}
SALESFORCE_LOGIN = ZUORA_LOGIN | {"client_id": "tieline"}
VENDORS = ("salesforce", "zuora", "netsuite", "kantata")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def urls() -> AsyncIterator[dict[str, str]]:
    world = World()
    async with serving([vendor_of(name, world) for name in VENDORS]) as addresses:
        yield addresses


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(raise_for_status=False) as session:
        yield session


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("vendor", VENDORS)
async def test_nothing_runs_on_the_page_but_its_own_style_and_script(
    urls: dict[str, str], http: aiohttp.ClientSession, vendor: str
) -> None:
    async with http.get(f"{urls[vendor]}/_sandbox/") as answer:
        content, policy = await answer.text(), answer.headers["Content-Security-Policy"]
    assert f"<title>{vendor} sandbox</title>" in content
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        (inside,) = re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", content, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}';" in policy
    assert "default-src 'none'" in policy
    assert re.findall(r"(?:src|href)=\"(?!#|data:,)", content) == []
    assert "innerHTML" not in content


async def test_documents_are_found_by_any_text_in_them(urls: dict[str, str], http: aiohttp.ClientSession) -> None:
    base = f"{urls['kantata']}/_sandbox"
    projects = [{"title": title, "creator_role": "maven"} for title in ("Acme one", "Bauer", "ACME two")]
    async with http.post(f"{base}/seed", json={"workspaces": projects}) as answer:
        assert answer.status == 200
    async with http.get(f"{base}/kinds") as answer:
        assert (await answer.json())["workspaces"] == 3
    assert await titles(http, f"{base}/documents/workspaces?text=acme") == ["Acme one", "ACME two"]
    assert await titles(http, f"{base}/documents/workspaces?text=acme&last=1") == ["ACME two"]
    assert await titles(http, f"{base}/documents/workspaces") == ["Acme one", "Bauer", "ACME two"]


async def titles(http: aiohttp.ClientSession, url: str) -> list[str]:
    async with http.get(url) as answer:
        return [each["title"] for each in (await answer.json())["workspaces"]]


async def test_the_request_log_says_by_which_rule_a_request_was_refused(
    urls: dict[str, str], http: aiohttp.ClientSession
) -> None:
    """Zuora refuses with status 200; what was not refused says nothing."""
    headers = {"Authorization": f"Bearer {await token(http, urls['zuora'] + '/oauth/token', ZUORA_LOGIN)}"}
    async with http.get(f"{urls['zuora']}/v1/accounts/nobody", headers=headers) as answer:
        assert answer.status == 200
    login, refused = await refusals(http, urls["zuora"])
    assert login is None
    assert refused is not None
    assert "Cannot find entity by key: 'nobody'" in refused


async def test_a_refused_record_among_accepted_ones_is_told_too(
    urls: dict[str, str], http: aiohttp.ClientSession
) -> None:
    base = urls["salesforce"]
    bearer = await token(http, f"{base}/services/oauth2/token", SALESFORCE_LOGIN)
    records = [{"attributes": {"type": "Account"}, **more} for more in ({"Name": "Acme"}, {"Industry": "Banking"})]
    async with http.post(
        f"{base}/services/data/v62.0/composite/sobjects",
        json={"records": records},
        headers={"Authorization": f"Bearer {bearer}"},
    ) as answer:
        assert answer.status == 200
    assert "REQUIRED_FIELD_MISSING" in ((await refusals(http, base))[-1] or "")


async def token(http: aiohttp.ClientSession, url: str, login: dict[str, str]) -> str:
    async with http.post(url, data=login) as answer:
        return str((await answer.json())["access_token"])


async def refusals(http: aiohttp.ClientSession, url: str) -> list[str | None]:
    async with http.get(f"{url}/_sandbox/requests") as answer:
        return [each["refused"] for each in (await answer.json())["requests"]]
