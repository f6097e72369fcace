"""The ASGI application of one vendor: the fault gate and request log around its own paths, and `/_sandbox`."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tieline_sandbox.kernel.faults import GATE_KINDS, Fault
from tieline_sandbox.kernel.vendor import Vendor

LOG_SIZE = 5_000


def json_response(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON with exact Decimals as numbers; every vendor answers through this."""
    return Response(encode_json(content), status, headers, media_type="application/json")


_encoder = msgspec.json.Encoder(decimal_format="number")
encode_json: Callable[[Any], bytes] = _encoder.encode


def decode_json(body: bytes) -> Any:
    """JSON with every fraction as an exact Decimal. Raises msgspec.DecodeError."""
    return _decoder.decode(body)


_decoder = msgspec.json.Decoder(float_hook=Decimal)


class RequestLog:
    """The latest requests; bodies only while `bodies` is on (conformance checks read them)."""

    def __init__(self) -> None:
        self.entries: deque[dict[str, Any]] = deque(maxlen=LOG_SIZE)
        self.count = 0
        self.bodies = False


class Gate:
    """Outermost middleware: reads the body once, applies faults, logs what was asked and answered."""

    def __init__(self, app: ASGIApp, vendor: Vendor, log: RequestLog) -> None:
        self._app, self._vendor, self._log = app, vendor, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/_sandbox"):
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        body = await _read_body(receive)
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
        if self._log.bodies:
            entry |= {
                "request_headers": {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]},
                "request": body.decode("utf-8", "replace"),
                "response": answer.body.decode("utf-8", "replace"),
                "response_headers": answer.headers,
            }
        self._log.count += 1
        self._log.entries.append(entry)

    async def _play(self, fault: Fault | None, scope: Scope, body: bytes, answer: _Answer, send: Send) -> None:
        kind = fault.kind if fault else None
        if fault is None or kind == "delay":
            await asyncio.sleep(fault.seconds if fault else 0)
            await self._app(scope, _replay(body), answer.forward)
        elif kind in ("drop_request", "outage"):
            _reset(send)
        elif kind == "status":
            await self._vendor.refuse(fault)(scope, _replay(body), answer.forward)
        else:
            await self._app(scope, _replay(body), answer.hold)
            if kind == "late_response":
                await asyncio.sleep(fault.seconds)
                await answer.release()
            elif kind == "cut_response":
                await answer.release_half()
                _reset(send)
            else:
                _reset(send)


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


async def _read_body(receive: Receive) -> bytes:
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


def _reset(send: Send) -> None:
    # uvicorn hands over a bound method of the request cycle; its transport is the only way to a true connection reset
    cycle = getattr(send, "__self__", None)
    transport = getattr(cycle, "transport", None)
    if transport is not None:
        transport.abort()


def build_app(vendor: Vendor) -> ASGIApp:
    """The vendor's paths behind the gate, with the control API beside them."""
    log = RequestLog()
    control = Mount("/_sandbox", routes=_control_routes(vendor, log))
    return Gate(Starlette(routes=[control, *vendor.routes()]), vendor, log)


Handler = Callable[[Request], Awaitable[Response]]


def _control_routes(vendor: Vendor, log: RequestLog) -> list[Route]:
    async def health(_: Request) -> Response:
        return json_response({"vendor": vendor.name, "now": vendor.world.now(), "requests": log.count})

    async def reset(_: Request) -> Response:
        vendor.reset()
        vendor.faults.clear()
        vendor.webhooks.reset()
        log.entries.clear()
        return json_response({"reset": vendor.name})

    async def seed(request: Request) -> Response:
        return json_response({kind: vendor.seed(kind, records) for kind, records in (await _json(request)).items()})

    async def documents(request: Request) -> Response:
        return json_response(vendor.documents(request.path_params.get("kind")))

    async def requests(request: Request) -> Response:
        last = int(request.query_params.get("last", "100"))
        return json_response({"count": log.count, "requests": list(log.entries)[-last:]})

    async def record(request: Request) -> Response:
        log.bodies = bool((await _json(request)).get("bodies", True))
        return json_response({"bodies": log.bodies})

    async def webhooks(request: Request) -> Response:
        sender = vendor.webhooks
        if request.method == "POST":
            return json_response({"resent": sender.resend_failed()})
        return json_response({"pending": sender.pending(), "failed": len(sender.failed), "log": list(sender.log)})

    async def clock(request: Request) -> Response:
        if request.method == "POST":
            order = await _json(request)
            to = (
                datetime.fromisoformat(order["to"]).replace(tzinfo=UTC)
                if "to" in order
                else vendor.world.now() + timedelta(days=order.get("days", 0), seconds=order.get("seconds", 0))
            )
            await vendor.world.advance(to)
        return json_response({"now": vendor.world.now()})

    async def faults(request: Request) -> Response:
        if request.method == "POST":
            fault = msgspec.convert(await _json(request), Fault)
            return json_response(vendor.faults.add(fault), 201)
        if request.method == "DELETE":
            fault_id = request.path_params.get("id")
            if fault_id is None:
                vendor.faults.clear()
            else:
                vendor.faults.remove(fault_id)
        return json_response(vendor.faults.list())

    async def configure(request: Request) -> Response:
        return json_response(vendor.configure(await _json(request)))

    async def act(request: Request) -> Response:
        return json_response(vendor.act(request.path_params["action"], await _json(request)))

    return [
        Route("/health", _explained(health)),
        Route("/reset", _explained(reset), methods=["POST"]),
        Route("/seed", _explained(seed), methods=["POST"]),
        Route("/documents", _explained(documents)),
        Route("/documents/{kind}", _explained(documents)),
        Route("/requests", _explained(requests)),
        Route("/record", _explained(record), methods=["POST"]),
        Route("/webhooks", _explained(webhooks), methods=["GET", "POST"]),
        Route("/clock", _explained(clock), methods=["GET", "POST"]),
        Route("/faults", _explained(faults), methods=["GET", "POST", "DELETE"]),
        Route("/faults/{id:int}", _explained(faults), methods=["DELETE"]),
        Route("/configure", _explained(configure), methods=["POST"]),
        Route("/act/{action}", _explained(act), methods=["POST"]),
    ]


def _explained(handler: Handler) -> Handler:
    """A wrong order to the control API is answered with what is wrong, not with a traceback."""

    async def explained(request: Request) -> Response:
        try:
            return await handler(request)
        except (KeyError, ValueError, TypeError, msgspec.MsgspecError) as error:
            return json_response({"error": f"{type(error).__name__}: {error}"}, 400)

    return explained


async def _json(request: Request) -> Any:
    body = await request.body()
    return decode_json(body) if body else {}
