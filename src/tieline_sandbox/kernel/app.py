"""The ASGI application of one vendor: its own paths behind the gate, and the control API under `/_sandbox`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from tieline_sandbox.kernel.faults import Fault
from tieline_sandbox.kernel.gate import LOG_SIZE, Gate, RequestLog
from tieline_sandbox.kernel.vendor import Record, Vendor
from tieline_sandbox.kernel.world import Turn
from tieline_sandbox.page import page_of


def json_response(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON with exact Decimals as numbers; every vendor answers through this."""
    return Response(encode_json(content), status, headers, media_type="application/json")


_encoder = msgspec.json.Encoder(decimal_format="number")
encode_json: Callable[[Any], bytes] = _encoder.encode


def decode_json(body: bytes) -> Any:
    """JSON with every fraction as an exact Decimal. Raises msgspec.DecodeError."""
    return _decoder.decode(body)


_decoder = msgspec.json.Decoder(float_hook=Decimal)


def build_app(vendor: Vendor) -> ASGIApp:
    """The vendor's paths behind the gate, with the control API beside them."""
    log = RequestLog()
    control = Mount("/_sandbox", routes=[*_world_routes(vendor, log), *_traffic_routes(vendor, log)])
    return Gate(Starlette(routes=[control, *vendor.routes()]), vendor, log)


Handler = Callable[[Request], Awaitable[Response]]


def _world_routes(vendor: Vendor, log: RequestLog) -> list[Route]:
    """What stands in the world, what time it is there, and how it is changed."""

    async def health(_: Request) -> Response:
        world = vendor.world
        told = {"vendor": vendor.name, "now": world.now(), "requests": log.count, "bodies": log.bodies}
        snapshots = None if world.turn is None else world.snapshots
        told |= {"branch": world.branch, "snapshots": snapshots, "recording": vendor.recording.told()}
        return json_response(told)

    async def reset(_: Request) -> Response:
        vendor.reset()
        vendor.faults.clear()
        vendor.faults.struck.clear()
        vendor.webhooks.reset()
        log.entries.clear()
        return json_response({"reset": vendor.name})

    async def seed(request: Request) -> Response:
        return json_response({kind: vendor.seed(kind, records) for kind, records in (await _json(request)).items()})

    async def documents(request: Request) -> Response:
        found = vendor.documents(request.path_params.get("kind"))
        if text := request.query_params.get("text", "").casefold():
            found = {kind: [r for r in records if text in _shown(r)] for kind, records in found.items()}
        if last := int(request.query_params.get("last", "0")):
            found = {kind: records[-last:] for kind, records in found.items()}
        return json_response(found)

    async def kinds(_: Request) -> Response:
        return json_response({kind: len(records) for kind, records in vendor.documents().items()})

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

    async def turn(request: Request) -> Response:
        if vendor.world.turn is None:
            raise ValueError("this process cannot branch its world; `python -m tieline_sandbox` can")
        asked, taken = Turn(request.url.path.rpartition("/")[2]), vendor.world.snapshots
        usual = f"snapshot {len(taken) + 1}" if asked is Turn.SNAPSHOT else "".join(taken[-1:])
        name = str((await _json(request)).get("name") or usual)
        vendor.world.turn(asked, name)
        return json_response({"asked": asked, "name": name}, 202)

    async def configure(request: Request) -> Response:
        return json_response(vendor.configure(await _json(request)))

    async def act(request: Request) -> Response:
        return json_response(vendor.act(request.path_params["action"], await _json(request)))

    return [
        Route("/", page_of(vendor.name)),
        Route("/health", _explained(health)),
        Route("/reset", _explained(reset), methods=["POST"]),
        Route("/seed", _explained(seed), methods=["POST"]),
        Route("/documents", _explained(documents)),
        Route("/documents/{kind}", _explained(documents)),
        Route("/kinds", _explained(kinds)),
        Route("/clock", _explained(clock), methods=["GET", "POST"]),
        Route("/configure", _explained(configure), methods=["POST"]),
        *(Route(f"/{each}", _explained(turn), methods=["POST"]) for each in (Turn.SNAPSHOT, Turn.RESTORE)),
        Route("/act/{action}", _explained(act), methods=["POST"]),
    ]


def _traffic_routes(vendor: Vendor, log: RequestLog) -> list[Route]:
    """What was asked, told and broken."""

    async def requests(request: Request) -> Response:
        last = int(request.query_params.get("last", "100"))
        return json_response({"count": log.count, "requests": list(log.entries)[-last:]})

    async def record(request: Request) -> Response:
        order = await _json(request)
        log.keep(bool(order.get("bodies", True)), int(order.get("last", LOG_SIZE)))
        return json_response({"bodies": log.bodies, "last": log.entries.maxlen})

    async def recording(request: Request) -> Response:
        if request.method == "GET":
            name = {"Content-Disposition": f'attachment; filename="{vendor.name}.jsonl"'}
            return StreamingResponse(iter(vendor.recording.lines()), 200, name, "application/x-ndjson")
        if request.method == "POST":
            vendor.recording.start()
        else:
            vendor.recording.stop()
        return json_response(vendor.recording.told())

    async def webhooks(request: Request) -> Response:
        sender = vendor.webhooks
        if request.method == "POST":
            return json_response({"resent": sender.resend_failed()})
        return json_response({"pending": sender.pending(), "failed": len(sender.failed), "log": list(sender.log)})

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

    async def struck(_: Request) -> Response:
        return json_response(vendor.faults.struck)

    return [
        Route("/requests", _explained(requests)),
        Route("/record", _explained(record), methods=["POST"]),
        Route("/recording", _explained(recording), methods=["GET", "POST", "DELETE"]),
        Route("/webhooks", _explained(webhooks), methods=["GET", "POST"]),
        Route("/faults", _explained(faults), methods=["GET", "POST", "DELETE"]),
        Route("/faults/struck", _explained(struck)),
        Route("/faults/{id:int}", _explained(faults), methods=["DELETE"]),
    ]


def _explained(handler: Handler) -> Handler:
    """A wrong order to the control API is answered with what is wrong, not with a traceback."""

    async def explained(request: Request) -> Response:
        try:
            return await handler(request)
        except (KeyError, ValueError, TypeError, msgspec.MsgspecError) as error:
            return json_response({"error": f"{type(error).__name__}: {error}"}, 400)

    return explained


def _shown(record: Record) -> str:
    return encode_json(record).decode().casefold()


async def _json(request: Request) -> Any:
    body = await request.body()
    return decode_json(body) if body else {}
