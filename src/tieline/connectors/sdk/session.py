"""One thin HTTP session for every vendor: authentication, time-outs, and what the caller may conclude.

The invariant: a write that may have reached the vendor without a trustworthy answer is OutcomeUnknown, never a retry.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from yarl import URL

from tieline.connectors.sdk.auth import Auth
from tieline.connectors.sdk.capture import note_exchange
from tieline.connectors.sdk.recent import Recent
from tieline.engine.ports import Usage
from tieline.errors import AuthorizationFailed, OutcomeUnknown, TielineError, VendorUnavailable

LONGEST_WAIT_S = 86_400.0
"""No system is waited for longer than a day because of one header."""

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

    def retry_after_s(self) -> float:
        """What Retry-After asks for: seconds, or a date of the vendor's clock (its own Date where it is sent); else 0.

        Source: RFC 9110, section 10.2.3.
        """
        text = self.headers.get("retry-after", "").strip()
        try:
            seconds = float(text)
        except ValueError:
            return _seconds_until(text, self.headers.get("date", ""))
        return min(max(seconds, 0.0), LONGEST_WAIT_S) if seconds == seconds else 0.0  # not NaN


ErrorTable = Callable[[Answer], TielineError | None]
"""A vendor's errors.py: the answer → our error, or None when the answer is a success."""
Allowance = tuple[int, int | None]
"""(calls a day, how many of them are used; None where the vendor does not say)."""


class Session:
    """HTTP to one connection of one vendor.

    `errors` turns a vendor's refusals into ours. `base_url` has no trailing slash; paths begin with one, and a path
    that is a whole URL is used only when it is on the same host.
    """

    def __init__(
        self,
        base_url: str,
        auth: Auth,
        errors: ErrorTable,
        *,
        timeout_s: float = 30.0,
        connections: int = 32,
        allowance: Callable[[Answer], Allowance | None] = lambda _: None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.auth = auth
        self._errors = errors
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(timeout_s, 10.0))
        self._connections = connections
        self._http: aiohttp.ClientSession | None = None
        self._allowance = allowance
        self._said: tuple[Allowance, int] = ((0, None), 0)
        self.calls = 0
        self.recent = Recent(auth.age)

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
        signed = await self.auth.headers(self.http(), method, url)
        answer = await self._send(method, url, body, {**given, **signed}, writes)
        if answer.status == 401 and self.auth.renewable:
            self.auth.forget(signed)
            signed = await self.auth.headers(self.http(), method, url)
            answer = await self._send(method, url, body, {**given, **signed}, writes)
        error = self._errors(answer)
        if error is not None:
            raise error
        return answer

    def usage(self) -> Usage:
        """The requests made here, and what the vendor last said of the day's: `allowance` reads it off an answer."""
        (per_day, used), said_at = self._said
        return Usage(calls=self.calls, per_day=per_day, used=None if used is None else used + self.calls - said_at)

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
        self.calls += 1
        started = time.perf_counter()
        try:
            async with self.http().request(
                method, URL(url, encoded=True), data=body, headers=headers, allow_redirects=False
            ) as response:
                content = await response.read()
                names = {name.lower(): value for name, value in response.headers.items()}
                answer = Answer(response.status, names, content)
                note_exchange(method, url, headers, body, answer)
                self.recent.note(started, method, url, body, answer)
                if (told := self._allowance(answer)) is not None:
                    self._said = (told, self.calls)
                return answer
        except aiohttp.ClientConnectorError as error:
            self.recent.note(started, method, url, body, None)
            raise VendorUnavailable(f"{self.base_url} cannot be reached: {_cause(error)}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            note_exchange(method, url, headers, body, None)
            self.recent.note(started, method, url, body, None)
            what = f"{method} {url.removeprefix(self.base_url)} got no answer: {_cause(error)}"
            if writes:
                raise OutcomeUnknown(what) from error
            if again and isinstance(error, aiohttp.ServerDisconnectedError):
                # a kept-alive connection that the vendor closed meanwhile: a read costs nothing to ask again
                return await self._send(method, url, body, headers, writes, again=False)
            raise VendorUnavailable(what) from error


def _seconds_until(text: str, now_text: str) -> float:
    moment, now = _http_date(text), _http_date(now_text) or datetime.now(UTC)
    return min(max((moment - now).total_seconds(), 0.0), LONGEST_WAIT_S) if moment else 0.0


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _body(json: Any, form: Mapping[str, str] | None, data: bytes | None) -> tuple[bytes | None, dict[str, str]]:
    if json is not None:
        return _encoder.encode(json), {"Content-Type": "application/json"}
    if form is not None:
        return urlencode(form).encode(), {"Content-Type": "application/x-www-form-urlencoded"}
    return data, {}


def _cause(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
