"""A plain HTTP client of the sandbox, as a stranger would write one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp

from tieline_sandbox.kantata import Sandbox
from tieline_sandbox.kernel.app import decode_json, encode_json


class Client:
    """Calls below /api/v1 with the token that is good from the start."""

    def __init__(self, base: str, http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
        self.base, self.http, self.sandbox = base, http, sandbox
        self.token = "sandbox-token"

    async def call(
        self, method: str, path: str, body: Any = None, *, params: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else encode_json(body)
        url = f"{self.base}/api/v1/{path}"
        async with self.http.request(method, url, data=data, params=params, headers=headers) as response:
            raw = await response.read()
            assert response.headers["x-request-id"]
            return response.status, decode_json(raw) if raw else None

    async def project(self, **fields: Any) -> dict[str, Any]:
        given = {"title": "Rollout", "price": 1200, "currency": "EUR"} | fields
        status, body = await self.call("POST", "workspaces.json", {"workspace": given})
        assert status == 200, body
        record: dict[str, Any] = body["workspaces"][body["results"][0]["id"]]
        return record

    async def ids(self, path: str, **params: str) -> list[str]:
        status, body = await self.call("GET", path, params=params)
        assert status == 200, body
        return [r["id"] for r in body["results"]]

    async def control(self, path: str, body: Any) -> None:
        async with self.http.post(f"{self.base}/_sandbox/{path}", data=encode_json(body)) as response:
            assert response.status < 300, await response.text()
