"""Simple requests that one core of the sandboxes answers in a second, vendor by vendor: one record by its id.

Counted in the processor time of the sandboxes, so that the client beside them and a busy machine do not blur it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
from joserfc import jwt
from joserfc.jwk import ECKey

from benchmarks import report
from benchmarks.programs import cpu_seconds, group

VENDORS = ("salesforce", "zuora", "netsuite", "kantata")
ASKED, AT_ONCE = 6_000, 16
BAR = 1_500
NETSUITE_TOKENS = "/services/rest/auth/oauth2/v1/token"
CONTACT = {"firstName": "Ann", "lastName": "Lee", "country": "United States", "state": "California"}
SECRET = {"grant_type": "client_credentials", "client_id": "tieline", "client_secret": "sandbox-secret"}

Sent = tuple[str, Mapping[str, str]]


async def main() -> None:
    report.heading("Sandboxes: records by id a second of one core's time")
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-m", "tieline_sandbox", "--port", "0"]
        with group(command, Path(name) / "sandbox.log") as process:
            assert process.stdout is not None
            urls = json.loads(process.stdout.readline())
            rows = [await measured(vendor, urls[vendor], process.pid) for vendor in VENDORS]
    report.table(rows)
    report.keep("sandbox", {"bar": BAR, "asked": ASKED, "at_once": AT_ONCE, "rows": rows})
    report.draw("sandbox", "Sandboxes", "/s", [(f"Tieline, {row['vendor']}", row["per_core_second"]) for row in rows])


async def measured(vendor: str, url: str, pid: int) -> dict[str, Any]:
    """Requests a second, by the processor time of the sandboxes and by the clock on the wall."""
    async with aiohttp.ClientSession() as http:
        address, headers = await PREPARED[vendor](http, url)
        await _ask(http, address, headers, range(200))
        spent, started = cpu_seconds(pid), time.perf_counter()
        numbers = iter(range(ASKED))
        await asyncio.gather(*(_ask(http, address, headers, numbers) for _ in range(AT_ONCE)))
        wall, spent = time.perf_counter() - started, cpu_seconds(pid) - spent
    return {"vendor": vendor, "per_core_second": round(ASKED / spent), "per_second": round(ASKED / wall)}


async def _ask(http: aiohttp.ClientSession, url: str, headers: Mapping[str, str], numbers: Iterable[int]) -> None:
    for _ in numbers:
        async with http.get(url, headers=headers) as answer:
            if answer.status != 200:
                raise SystemExit(f"{url} answered {answer.status}: {await answer.text()}")
            await answer.read()


async def _salesforce(http: aiohttp.ClientSession, url: str) -> Sent:
    await _post(http, url, "/_sandbox/configure", json={"daily_api_requests": 10_000_000})
    (account,) = (await _post(http, url, "/_sandbox/seed", json={"Account": [{"Name": "Acme"}]}))["Account"]
    token = await _post(http, url, "/services/oauth2/token", data=SECRET)
    return f"{url}/services/data/v62.0/sobjects/Account/{account['Id']}", _bearer(token)


async def _zuora(http: aiohttp.ClientSession, url: str) -> Sent:
    account = {"name": "Acme", "accountNumber": "A-1", "currency": "USD", "billCycleDay": 1, "billToContact": CONTACT}
    await _post(http, url, "/_sandbox/seed", json={"accounts": [account]})
    form = SECRET | {"client_id": "00000000-0000-0000-0000-00000tieline"}
    return f"{url}/v1/accounts/A-1", _bearer(await _post(http, url, "/oauth/token", data=form))


async def _netsuite(http: aiohttp.ClientSession, url: str) -> Sent:
    key = ECKey.generate_key("P-256")
    await _post(http, url, "/_sandbox/configure", json={"certificates": {"one": key.as_pem(private=False).decode()}})
    seller = {"name": "US01", "country": "US", "currency": "USD"}
    customer = {"companyName": "Acme", "subsidiary": "US01", "externalId": "acme"}
    await _post(http, url, "/_sandbox/seed", json={"subsidiary": [seller], "customer": [customer]})
    now = int(time.time())
    claims = {"iss": "client", "scope": "rest_webservices", "aud": url + NETSUITE_TOKENS, "iat": now, "exp": now + 600}
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": jwt.encode({"alg": "ES256", "kid": "one", "typ": "JWT"}, claims, key, algorithms=["ES256"]),
    }
    token = await _post(http, url, NETSUITE_TOKENS, data=form)
    return f"{url}/services/rest/record/v1/customer/eid:acme", _bearer(token)


async def _kantata(http: aiohttp.ClientSession, url: str) -> Sent:
    await _post(http, url, "/_sandbox/configure", json={"requests_per_minute": 10_000_000})
    project = {"title": "Implementation", "creator_role": "maven"}
    (made,) = (await _post(http, url, "/_sandbox/seed", json={"workspaces": [project]}))["workspaces"]
    return f"{url}/api/v1/workspaces/{made['id']}", _bearer({"access_token": "sandbox-token"})


PREPARED = {"salesforce": _salesforce, "zuora": _zuora, "netsuite": _netsuite, "kantata": _kantata}


async def _post(http: aiohttp.ClientSession, url: str, path: str, **sent: Any) -> Any:
    async with http.post(url + path, **sent) as answer:
        if answer.status >= 300:
            raise SystemExit(f"{url}{path} answered {answer.status}: {await answer.text()}")
        return await answer.json()


def _bearer(token: Mapping[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {token['access_token']}"}


if __name__ == "__main__":
    asyncio.run(main())
