"""Answer each request as it was answered when it was recorded; no vendor is played, so nothing is kept of what is sent.

The invariant: what was not recorded is never made up, but for tokens: whoever asks for one gets one, because the
credentials that were recorded are hidden and a client may have had its token when the recording began.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tieline_sandbox.kernel.app import encode_json, json_response
from tieline_sandbox.kernel.exchanges import HERE, About, Answer, Body, Exchange, Request, address_of, asked
from tieline_sandbox.kernel.gate import LOG_SIZE, read_body, reset_connection
from tieline_sandbox.kernel.hiding import HIDDEN
from tieline_sandbox.kernel.matching import key_of, nearest

NOT_RECORDED = 501
_REFUSAL = "this request is not in the recording; `differs` says what sets it apart from the nearest that is"
_JSON = {"content-type": "application/json"}
_TOKEN = encode_json(
    {"access_token": HIDDEN, "token_type": "Bearer", "expires_in": 3600, "instance_url": HERE}
).decode()


class _Answers:
    """The answers to one request in the order they were given; the last one stays."""

    def __init__(self, request: Request) -> None:
        self.request, self.given = request, 0
        self.exchanges: list[Exchange] = []

    def next(self) -> Answer | None:
        self.given += 1
        return self.exchanges[min(self.given, len(self.exchanges)) - 1].answer


class Replay:
    """The ASGI application that plays one recording, with a control API of its own under `/_sandbox`."""

    def __init__(self, about: About, exchanges: Sequence[Exchange]) -> None:
        self.about, self._count = about, len(exchanges)
        self._recorded: dict[Hashable, _Answers] = {}
        for each in exchanges:
            self._recorded.setdefault(key_of(each.request), _Answers(each.request)).exchanges.append(each)
        self._log: deque[dict[str, Any]] = deque(maxlen=LOG_SIZE)
        self._asked, self._unrecorded = 0, 0
        calls = {"health": self._health, "requests": self._requests, "unused": self._unused}
        self._control = Starlette(routes=[Route(f"/_sandbox/{name}", call) for name, call in calls.items()])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/_sandbox"):
            await self._control(scope, receive, send)
            return
        request = asked(scope, await read_body(receive))
        found = self._recorded.get(key_of(request))
        answer = found.next() if found else self._made_up(request)
        self._note(request, answer, recorded=found is not None)
        if answer is None:
            reset_connection(send)
        else:
            token = f"replayed-{self._asked}" if _asks_for_token(request) else HIDDEN
            await _response(answer, address_of(scope), token)(scope, receive, send)

    def _made_up(self, request: Request) -> Answer:
        if _asks_for_token(request):
            return Answer(200, _JSON, Body(_TOKEN))
        self._unrecorded += 1
        like, differs = nearest(request, [each.request for each in self._recorded.values()])
        told = {"error": _REFUSAL, "asked": request, "nearest": like, "differs": differs}
        return Answer(NOT_RECORDED, _JSON, Body(msgspec.json.encode(told).decode()))

    def _note(self, request: Request, answer: Answer | None, *, recorded: bool) -> None:
        self._asked += 1
        what = {"method": request.method, "path": request.path, "query": request.query}
        how = {"status": answer.status if answer else None, "recorded": recorded}
        self._log.append({"at": datetime.now(UTC).isoformat(), **what, **how})

    async def _health(self, _: HttpRequest) -> Response:
        counts = {"exchanges": self._count, "requests": self._asked, "unrecorded": self._unrecorded}
        return json_response({"vendor": self.about.vendor, "replay": self.about} | counts)

    async def _requests(self, request: HttpRequest) -> Response:
        last = int(request.query_params.get("last", "100"))
        return json_response({"count": self._asked, "requests": list(self._log)[-last:]})

    async def _unused(self, _: HttpRequest) -> Response:
        left = [each for answers in self._recorded.values() for each in answers.exchanges[answers.given :]]
        return json_response({"count": len(left), "unused": [{"at": e.at, "request": e.request} for e in left]})


def replay_of(file: Path) -> Replay:
    """The replay of a recording. Raises ValueError with file and line for what is none, OSError."""
    lines = file.read_bytes().splitlines()
    try:
        about = msgspec.json.decode(lines[0] if lines else b"", type=About)
    except msgspec.MsgspecError as error:
        raise ValueError(f"{file} is no recording of a sandbox: {error}") from error
    return Replay(about, [_exchange(file, number, line) for number, line in enumerate(lines[1:], 2)])


def _exchange(file: Path, number: int, line: bytes) -> Exchange:
    try:
        return msgspec.json.decode(line, type=Exchange)
    except msgspec.MsgspecError as error:
        raise ValueError(f"{file}, line {number}: {error}") from error


def _asks_for_token(request: Request) -> bool:
    return request.method == "POST" and request.path.endswith("/token") and "grant_type=" in request.body.text


def _response(answer: Answer, here: str, token: str) -> Response:
    """The answer as of this address; `token` stands where something was hidden."""
    headers = {name: value.replace(HERE, here) for name, value in answer.headers.items()}
    return Response(answer.body.content(here).replace(HIDDEN.encode(), token.encode()), answer.status, headers)
