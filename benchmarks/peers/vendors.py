"""Four systems as a competent engineer calls them: one HTTP session, tokens, and what may be tried again.

Nothing here retries: that is the engine's business. A call ends in its answer, in Trouble (try again) or in Refused.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import aiohttp

Json = dict[str, Any]

SLOTS = {"salesforce": 8, "zuora": 32, "netsuite": 5, "kantata": 4}
"""Calls in flight per system, as Tieline's connectors have them by default."""

ZUORA_PASSING = {"50", "60", "61", "70", "99"}
"""Last two digits of a Zuora code that say "later": locked, internal, temporary, too many, integration."""


class Trouble(Exception):
    """It did not work, or nobody knows whether it did: try again."""


class Refused(Exception):
    """The system read the request and said no; trying again changes nothing."""


class Vendors:
    """Connections to the four systems of one configuration."""

    def __init__(self, config: Json) -> None:
        self._systems: dict[str, Json] = config["systems"]
        self._timeout = aiohttp.ClientTimeout(total=float(config.get("timeout_s", 30.0)))
        self._slots = {name: asyncio.Semaphore(number) for name, number in SLOTS.items()}
        self._tokens: dict[str, str] = {}
        self._logging_in = asyncio.Lock()
        self._http = aiohttp.ClientSession(timeout=self._timeout, connector=aiohttp.TCPConnector(limit=0))

    async def close(self) -> None:
        await self._http.close()

    # --- one call to each system --------------------------------------------------------------------------------------

    async def salesforce(self, method: str, path: str, **request: Any) -> Any:
        base = f"/services/data/v{self._systems['salesforce'].get('api_version', '62.0')}"
        answer = await self._call("salesforce", method, base + path, await self._bearer("salesforce"), request)
        if answer.status >= 400:
            self._forget("salesforce", answer)
            limited = answer.status == 403 and "REQUEST_LIMIT_EXCEEDED" in answer.text
            raise (Trouble if limited or "UNABLE_TO_LOCK_ROW" in answer.text else answer.failure())(answer.told())
        return answer.json()

    async def zuora(self, method: str, path: str, key: str = "", **request: Any) -> Json:
        headers = await self._bearer("zuora") | ({"Idempotency-Key": key} if key else {})
        answer = await self._call("zuora", method, path, headers, request)
        if answer.status >= 400:
            self._forget("zuora", answer)
            raise answer.failure()(answer.told())
        body: Json = answer.json()
        if body.get("success", True) is False:
            code = str((body.get("reasons") or [{}])[0].get("code", ""))
            raise (Trouble if code[-2:] in ZUORA_PASSING else Refused)(answer.told())
        return body

    async def netsuite(self, method: str, path: str, **request: Any) -> tuple[Any, str]:
        """The body, and the id in the Location header of what was written ("" for none)."""
        url = self._systems["netsuite"]["url"] + "/services/rest" + path
        headers = {"Authorization": self._signature(method, url), "Prefer": "transient"}
        answer = await self._call("netsuite", method, "/services/rest" + path, headers, request)
        if answer.status >= 400:
            busy = answer.status == 401 or "LIMIT_EXCEEDED" in answer.text
            raise (Trouble if busy else answer.failure())(answer.told())
        return answer.json(), answer.location.rpartition("/")[2]

    async def kantata(self, method: str, path: str, **request: Any) -> Json:
        headers = {"Authorization": f"Bearer {self._systems['kantata']['token']}"}
        answer = await self._call("kantata", method, "/api/v1" + path, headers, request)
        if answer.status >= 400:
            raise answer.failure()(answer.told())
        body: Json = answer.json()
        return body

    # --- the wire -----------------------------------------------------------------------------------------------------

    async def _call(self, system: str, method: str, path: str, headers: Mapping[str, str], request: Json) -> Answer:
        url = self._systems[system]["url"] + path
        try:
            async with (
                self._slots[system],
                self._http.request(method, url, headers=dict(headers), **request) as response,
            ):
                location = response.headers.get("Location", "")
                return Answer(f"{method} {path}", response.status, await response.text(), location)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Trouble(f"{method} {path}: {type(error).__name__}") from error

    async def _bearer(self, system: str) -> dict[str, str]:
        async with self._logging_in:
            if system not in self._tokens:
                path = {"salesforce": "/services/oauth2/token", "zuora": "/oauth/token"}[system]
                form = {name: self._systems[system][name] for name in ("client_id", "client_secret")}
                form["grant_type"] = "client_credentials"
                answer = await self._call(system, "POST", path, {}, {"data": form})
                if answer.status >= 400:
                    raise Trouble(answer.told())
                self._tokens[system] = answer.json()["access_token"]
        return {"Authorization": f"Bearer {self._tokens[system]}"}

    def _forget(self, system: str, answer: Answer) -> None:
        if answer.status == 401:
            self._tokens.pop(system, None)

    def _signature(self, method: str, url: str) -> str:
        """OAuth 1.0a with HMAC-SHA256 (RFC 5849), as NetSuite's token-based authentication wants it."""
        own = self._systems["netsuite"]
        oauth = {
            "oauth_consumer_key": own["consumer_key"],
            "oauth_token": own["token_id"],
            "oauth_signature_method": "HMAC-SHA256",
            "oauth_timestamp": str(int(time.time())),
            "oauth_nonce": secrets.token_hex(12),
            "oauth_version": "1.0",
        }
        parts = urlsplit(url)
        pairs = sorted((_pct(k), _pct(v)) for k, v in [*parse_qsl(parts.query), *oauth.items()])
        plain = "&".join(f"{k}={v}" for k, v in pairs)
        base = "&".join((method, _pct(f"{parts.scheme}://{parts.netloc}{parts.path}"), _pct(plain)))
        key = f"{_pct(own['consumer_secret'])}&{_pct(own['token_secret'])}".encode()
        digest = base64.b64encode(hmac.new(key, base.encode(), hashlib.sha256).digest()).decode()
        signed = {"realm": own["account"], **oauth, "oauth_signature": digest}
        return "OAuth " + ", ".join(f'{k}="{_pct(v)}"' for k, v in signed.items())


class Answer:
    """What came back, read whole."""

    def __init__(self, request: str, status: int, text: str, location: str) -> None:
        self._request, self.status, self.text, self.location = request, status, text, location

    def json(self) -> Any:
        try:
            return json.loads(self.text) if self.text else {}
        except ValueError as error:
            raise Trouble(self.told()) from error

    def failure(self) -> type[Exception]:
        return Trouble if self.status >= 500 or self.status in (401, 408, 409, 425, 429) else Refused

    def told(self) -> str:
        return f"{self._request}: HTTP {self.status} {self.text[:300]}"


def _pct(text: str) -> str:
    return quote(text, safe="-._~")
