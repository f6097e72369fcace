"""One thin HTTP session for every vendor: authentication, time-outs, and what the caller may conclude.

The invariant: a write that may have reached the vendor without a trustworthy answer is OutcomeUnknown, never a retry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from yarl import URL

from tieline.connectors.sdk.auth import Auth
from tieline.errors import AuthorizationFailed, OutcomeUnknown, TielineError, VendorUnavailable

_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(float_hook=Decimal)


class Answer(msgspec.Struct, frozen=True):
    """A vendor's answer, read to the end. Header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body with every fraction as an exact Decimal; None for an empty one. Raises msgspec.DecodeError."""
        return _decoder.decode(self.body) if self.body else None


ErrorTable = Callable[[Answer], TielineError | None]
"""A vendor's errors.py: the answer → our error, or None when the answer is a success."""


class Session:
    """HTTP to one connection of one vendor.

    `errors` turns a vendor's refusals into ours. `base_url` has no trailing slash; paths begin with one, and a path
    that is a whole URL is used only when it is on the same host.
    """

    def __init__(
        self, base_url: str, auth: Auth, errors: ErrorTable, *, timeout_s: float = 30.0, connections: int = 32
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.auth = auth
        self._errors = errors
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(timeout_s, 10.0))
        self._connections = connections
        self._http: aiohttp.ClientSession | None = None
        self.calls = 0

    async def request(
        self,
        method: str,
        path: str,
        *,
        writes: bool,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Call, renewing the token once on 401. Raises what `errors` makes of a refusal, VendorUnavailable when
        nothing can have been done, OutcomeUnknown when a write may have been.

        `writes` says whether the call changes anything there: reads never leave an outcome unknown.
        """
        body, given = _body(json, form, data)
        given.update(headers or {})
        url = self.url(path) + (f"?{urlencode(params, quote_via=quote)}" if params else "")
        answer = await self._send(method, url, body, given, writes)
        if answer.status == 401 and self.auth.renewable:
            self.auth.forget()
            answer = await self._send(method, url, body, given, writes)
        error = self._errors(answer)
        if error is not None:
            raise error
        return answer

    def url(self, path: str) -> str:
        """The full URL of a path. Raises AuthorizationFailed for a URL on another host: secrets stay home."""
        if path.startswith("/"):
            return self.base_url + path
        if not path.startswith(self.base_url + "/"):
            raise AuthorizationFailed(
                f"refused to follow {path.split('?', maxsplit=1)[0]}: it is not on {self.base_url}"
            )
        return path

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()
            self._http = None

    def http(self) -> aiohttp.ClientSession:
        """The client session, opened on first use inside the running loop."""
        if self._http is None:
            self._http = aiohttp.ClientSession(
                timeout=self._timeout,
                connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=20),
            )
            # aiohttp sends PUT and DELETE again by itself when a kept-alive connection is reset: what is unknown must
            # reach the ledger as unknown instead. There is no public switch.
            self._http._retry_connection = False
        return self._http

    async def _send(
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: Mapping[str, str],
        writes: bool,
        again: bool = True,
    ) -> Answer:
        signed = await self.auth.headers(self.http(), method, url)
        self.calls += 1
        try:
            async with self.http().request(
                method, URL(url, encoded=True), data=body, headers={**headers, **signed}, allow_redirects=False
            ) as response:
                content = await response.read()
                names = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, names, content)
        except aiohttp.ClientConnectorError as error:
            raise VendorUnavailable(f"{self.base_url} cannot be reached: {_cause(error)}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            what = f"{method} {url.removeprefix(self.base_url)} got no answer: {_cause(error)}"
            if writes:
                raise OutcomeUnknown(what) from error
            if again and isinstance(error, aiohttp.ServerDisconnectedError):
                # a kept-alive connection that the vendor closed meanwhile: a read costs nothing to ask again
                return await self._send(method, url, body, headers, writes, again=False)
            raise VendorUnavailable(what) from error


def _body(json: Any, form: Mapping[str, str] | None, data: bytes | None) -> tuple[bytes | None, dict[str, str]]:
    if json is not None:
        return _encoder.encode(json), {"Content-Type": "application/json"}
    if form is not None:
        return urlencode(form).encode(), {"Content-Type": "application/x-www-form-urlencoded"}
    return data, {}


def _cause(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
