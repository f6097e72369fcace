"""A plain HTTP client of the sandbox, as a stranger would write one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import aiohttp

from tieline_sandbox.kernel.app import decode_json, encode_json
from tieline_sandbox.salesforce import Sandbox

CREDENTIALS = {"grant_type": "client_credentials", "client_id": "tieline", "client_secret": "sandbox-secret"}


class Reply(NamedTuple):
    status: int
    body: Any
    headers: Mapping[str, str]


class Client:
    """Calls below /services/data/v60.0 with a session of its own."""

    def __init__(self, base: str, http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
        self.base, self.http, self.sandbox = base, http, sandbox
        self.token = ""

    async def log_in(self) -> None:
        async with self.http.post(f"{self.base}/services/oauth2/token", data=CREDENTIALS) as response:
            self.token = (await response.json())["access_token"]

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        url = path if path.startswith("/") else f"/services/data/v60.0/{path}"
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **(headers or {})}
        data = None if body is None else body if isinstance(body, bytes) else encode_json(body)
        async with self.http.request(method, self.base + url, data=data, params=params, headers=sent) as response:
            raw = await response.read()
            is_json = "json" in response.headers.get("Content-Type", "") and raw
            return Reply(response.status, decode_json(raw) if is_json else raw, response.headers)

    async def create(self, sobject: str, **fields: Any) -> str:
        reply = await self.call("POST", f"sobjects/{sobject}", fields)
        assert reply.status == 201, reply.body
        return str(reply.body["id"])

    async def get(self, sobject: str, record_id: str) -> Any:
        reply = await self.call("GET", f"sobjects/{sobject}/{record_id}")
        assert reply.status == 200, reply.body
        return reply.body

    async def query(self, soql: str, **headers: str) -> Any:
        reply = await self.call("GET", "query", params={"q": soql}, headers=headers)
        assert reply.status == 200, reply.body
        return reply.body

    async def control(self, path: str, body: Any) -> Any:
        async with self.http.post(f"{self.base}/_sandbox/{path}", data=encode_json(body)) as response:
            assert response.status < 300, await response.text()
            return decode_json(await response.read())

    async def opportunity(self, **fields: Any) -> str:
        return await self.create(
            "Opportunity", **{"Name": "Deal", "StageName": "Proposal", "CloseDate": "2026-03-01"} | fields
        )
