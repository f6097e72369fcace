"""The gate before a vendor's paths: reads the body once, applies faults, logs what was asked and answered."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tieline_sandbox.kernel.faults import GATE_KINDS, Fault
from tieline_sandbox.kernel.vendor import Vendor

LOG_SIZE = 5_000


class RequestLog:
    """The latest requests; bodies only while `bodies` is on (conformance checks read them)."""

    def __init__(self) -> None:
        self.entries: deque[dict[str, Any]] = deque(maxlen=LOG_SIZE)
        self.count = 0
        self.bodies = False

    def keep(self, bodies: bool, last: int) -> None:
        """From now on keep the last so many requests, with their bodies or without."""
        self.bodies, self.entries = bodies, deque(self.entries, maxlen=last)


class Gate:
    """Outermost middleware: reads the body once, applies faults, logs what was asked and answered."""

    def __init__(self, app: ASGIApp, vendor: Vendor, log: RequestLog) -> None:
        self._app, self._vendor, self._log = app, vendor, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/_sandbox"):
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        body = await read_body(receive)
        fault = self._vendor.faults.strike(*GATE_KINDS, method=scope["method"], path=scope["path"], body=body)
        answer = _Answer(send)
        entry: dict[str, Any] = {
            "at": self._vendor.world.now().isoformat(),
            "method": scope["method"],
            "path": scope["path"],
            "query": scope["query_string"].decode("latin-1"),
            "fault": fault.kind if fault else None,
        }
        await self._play(fault, scope, body, answer, send)
        entry |= {"status": answer.status, "ms": round((time.perf_counter() - started) * 1000, 2)}
        entry["refused"] = self._vendor.refusal(answer.status, answer.body) if answer.status else None
        if self._log.bodies:
            entry |= {
                "request_headers": {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]},
                "request": body.decode("utf-8", "replace"),
                "response": answer.body.decode("utf-8", "replace"),
                "response_headers": answer.headers,
            }
        self._log.count += 1
        self._log.entries.append(entry)
        self._vendor.recording.note(scope, body, entry["fault"], answer.status, answer.headers, answer.body)

    async def _play(self, fault: Fault | None, scope: Scope, body: bytes, answer: _Answer, send: Send) -> None:
        kind = fault.kind if fault else None
        if fault is None or kind == "delay":
            await asyncio.sleep(fault.seconds if fault else 0)
            await self._app(scope, _replay(body), answer.forward)
        elif kind in ("drop_request", "outage"):
            reset_connection(send)
        elif kind == "status":
            await self._vendor.refuse(fault)(scope, _replay(body), answer.forward)
        else:
            await self._app(scope, _replay(body), answer.hold)
            if kind == "late_response":
                await asyncio.sleep(fault.seconds)
                await answer.release()
            elif kind == "cut_response":
                await answer.release_half()
                reset_connection(send)
            else:
                reset_connection(send)


class _Answer:
    """Passes an answer on, or holds it back, while remembering what it was."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._held: list[Message] = []
        self.status: int | None = None
        self.body = b""
        self.headers: dict[str, str] = {}

    async def forward(self, message: Message) -> None:
        self._note(message)
        await self._send(message)

    async def hold(self, message: Message) -> None:
        self._note(message)
        self._held.append(message)

    async def release(self) -> None:
        for message in self._held:
            await self._send(message)

    async def release_half(self) -> None:
        for message in self._held:
            if message["type"] == "http.response.body":
                body = message.get("body", b"")
                await self._send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
                return
            await self._send(message)

    def _note(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in message["headers"]}
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")


async def read_body(receive: Receive) -> bytes:
    """The whole body of a request."""
    chunks: list[bytes] = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(chunks)


def _replay(body: bytes) -> Receive:
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def reset_connection(send: Send) -> None:
    """End the connection as a machine that died would."""
    # uvicorn hands over a bound method of the request cycle; its transport is the only way to a true connection reset
    cycle = getattr(send, "__self__", None)
    transport = getattr(cycle, "transport", None)
    if transport is not None:
        transport.abort()
