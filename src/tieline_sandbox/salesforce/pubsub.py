"""The Pub/Sub API over gRPC: GetTopic, GetSchema and Subscribe, with the vendor's refusals in the trailers.

A subscription delivers only what was asked for (`num_requested`, added up), begins where its first request says, and
tells its place within `keepalive_s` when nothing happens. Source: Pub/Sub API guide; pubsub_api.proto.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, NoReturn
from uuid import uuid4

import grpc

from tieline_sandbox.kernel.faults import Faults
from tieline_sandbox.salesforce.auth import Sessions
from tieline_sandbox.salesforce.avro import Coded, payload, schema_of
from tieline_sandbox.salesforce.eventbus import EventBus, Happening, number_of, replay_id
from tieline_sandbox.salesforce.messages import CUSTOM, EARLIEST, SERVICE, message
from tieline_sandbox.salesforce.model import ORGANIZATION_ID

MOST_REQUESTED = 100
AT_ONCE = 25
CONCURRENT = 60
_CODE = "sfdc.platform.eventbus.grpc."
Refusal = tuple[grpc.StatusCode, str, str]


class Live(NamedTuple):
    """The org as it is now; a reset makes another."""

    bus: EventBus
    sessions: Sessions


class PubSub:
    """The gRPC server. It runs in threads of its own, beside the event loop that serves HTTP."""

    def __init__(self, live: Callable[[], Live], faults: Faults) -> None:
        self._live, self._faults = live, faults
        self._schemas: dict[str, Coded] = {}
        self._server: grpc.Server | None = None
        self.keepalive_s = 270.0
        self.address = ""

    def start(self, port: int = 0) -> str:
        """Serve on loopback; returns host:port. Raises OSError when the port is taken."""
        if self._server is None:
            server = grpc.server(ThreadPoolExecutor(CONCURRENT, "pubsub"), options=[("grpc.so_reuseport", 0)])
            server.add_generic_rpc_handlers((_handlers(self),))
            try:
                bound = server.add_insecure_port(f"127.0.0.1:{port}")
            except RuntimeError as error:
                raise OSError(f"port {port} on 127.0.0.1 cannot be used") from error
            server.start()
            self._server, self.address = server, f"127.0.0.1:{bound}"
        return self.address

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop(0).wait()
            self._server, self.address = None, ""

    # calls

    def get_topic(self, request: Any, context: grpc.ServicerContext) -> Any:
        bus = self._admit(context)
        sobject = bus.sobject_of(request.topic_name)
        if not bus.exists(request.topic_name):
            _refuse(context, _no_topic(request.topic_name))
        return message("TopicInfo")(
            topic_name=request.topic_name,
            tenant_guid=f"CORE/prod/{ORGANIZATION_ID}",
            can_publish=bool(sobject and sobject.event),
            can_subscribe=True,
            schema_id=self._coded(sobject).id if sobject else "",  # a channel of many objects has no one schema
            rpc_id=str(uuid4()),
        )

    def get_schema(self, request: Any, context: grpc.ServicerContext) -> Any:
        bus = self._admit(context)
        coded = self._schemas.get(request.schema_id) or self._known(bus, request.schema_id)
        if coded is None:
            problem = f"The schema information for {request.schema_id} not found."
            _refuse(context, (grpc.StatusCode.NOT_FOUND, f"{_CODE}schema.not.found", problem))
        return message("SchemaInfo")(schema_json=coded.text, schema_id=coded.id, rpc_id=str(uuid4()))

    def subscribe(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        bus = self._admit(context)
        first = next(requests, None)
        if first is None:
            return
        if not bus.exists(first.topic_name):
            _refuse(context, _no_topic(first.topic_name))
        if problem := _check(bus, first):
            _refuse(context, problem)
        demand = _Demand(bus, first)
        context.add_callback(demand.end)
        threading.Thread(target=demand.follow, args=(requests,), daemon=True).start()
        yield from self._deliver(bus, first, demand, context)

    # inside

    def _deliver(self, bus: EventBus, first: Any, demand: _Demand, context: grpc.ServicerContext) -> Iterator[Any]:
        topic, place = first.topic_name, _start(bus, first)
        rpc_id, told_at = str(uuid4()), time.monotonic()
        while True:
            with bus.moved:
                events = bus.after(topic, place, min(demand.open, AT_ONCE)) if demand.open else []
                silent = time.monotonic() - told_at
                if not events and silent < self.keepalive_s and not (demand.over or demand.problem or bus.closed):
                    bus.moved.wait(self.keepalive_s - silent)
                    continue
                latest = events[-1].number if events else bus.tip() if not bus.after(topic, place, 1) else place
                demand.open -= len(events)
            if demand.problem:
                _refuse(context, demand.problem)
            if bus.closed:
                _refuse(context, (grpc.StatusCode.UNAVAILABLE, f"{_CODE}service.unavailable", "The service is down."))
            if demand.over and not events:
                return
            place, told_at = latest, time.monotonic()
            yield self._response(events, latest, rpc_id, demand.open)
            bus.delivered(len(events))
            if events and self._faults.strike("stream_break", path=topic):
                _refuse(context, (grpc.StatusCode.UNAVAILABLE, f"{_CODE}service.unavailable", "RST_STREAM"))

    def _response(self, events: list[Happening], latest: int, rpc_id: str, pending: int) -> Any:
        response = message("FetchResponse")(
            latest_replay_id=replay_id(latest), rpc_id=rpc_id, pending_num_requested=pending
        )
        for event in events:
            coded = self._coded(event.sobject)
            item = response.events.add(replay_id=replay_id(event.number))
            item.event.id, item.event.schema_id, item.event.payload = event.uuid, coded.id, payload(event, coded)
        return response

    def _admit(self, context: grpc.ServicerContext) -> EventBus:
        live, given = self._live(), dict(context.invocation_metadata())
        tenant = str(given.get("tenantid", ""))
        good = live.sessions.good(str(given.get("accesstoken", ""))) and given.get("instanceurl")
        if not good or ORGANIZATION_ID[:15] not in tenant:
            problem = "An authentication exception occurred. Provide valid authentication via metadata headers."
            _refuse(context, (grpc.StatusCode.UNAUTHENTICATED, f"{_CODE}service.auth.error", problem))
        return live.bus

    def _coded(self, sobject: Any) -> Coded:
        coded = schema_of(sobject)
        self._schemas[coded.id] = coded
        return coded

    def _known(self, bus: EventBus, schema_id: str) -> Coded | None:
        return next((c for c in map(schema_of, bus.announced()) if c.id == schema_id), None)


class _Demand:
    """How many events a subscriber can still take; requests add to it."""

    def __init__(self, bus: EventBus, first: Any) -> None:
        self._bus, self._topic = bus, first.topic_name
        self.open, self.over = first.num_requested, False
        self.problem: Refusal | None = None

    def follow(self, requests: Iterator[Any]) -> None:
        """Read further requests until the subscriber has no more."""
        try:
            for request in requests:
                with self._bus.moved:
                    if request.topic_name and request.topic_name != self._topic:
                        problem = "The topic of a subscription cannot change."
                        self.problem = (grpc.StatusCode.INVALID_ARGUMENT, f"{_CODE}subscription.topic.changed", problem)
                    self.problem = self.problem or _check_count(request)
                    self.open += request.num_requested
                    self._bus.moved.notify_all()
        except grpc.RpcError:
            pass  # the subscriber is gone
        finally:
            self.end()

    def end(self) -> None:
        with self._bus.moved:
            self.over = True
            self._bus.moved.notify_all()


def _start(bus: EventBus, first: Any) -> int:
    if first.replay_preset == EARLIEST:
        return 0
    return number_of(first.replay_id) if first.replay_preset == CUSTOM else bus.tip()


def _check(bus: EventBus, first: Any) -> Refusal | None:
    if first.replay_preset == CUSTOM and not bus.holds(number_of(first.replay_id)):
        problem = "The Replay ID validation failed. Ensure that the Replay ID is valid."
        return grpc.StatusCode.INVALID_ARGUMENT, f"{_CODE}subscription.fetch.replayid.corrupted", problem
    return _check_count(first)


def _check_count(request: Any) -> Refusal | None:
    if 0 < request.num_requested <= MOST_REQUESTED:
        return None
    problem = f"The number of events requested must be from 1 to {MOST_REQUESTED}."
    return grpc.StatusCode.INVALID_ARGUMENT, f"{_CODE}subscription.fetch.requested.events.invalid", problem


def _no_topic(topic: str) -> Refusal:
    problem = (
        f"The topic information for org CORE/prod/{ORGANIZATION_ID} and topic {topic} not found. Ensure the topic name "
        "is correct and that the topic exists."
    )
    return grpc.StatusCode.NOT_FOUND, f"{_CODE}topic.not.found", problem


def _refuse(context: grpc.ServicerContext, refusal: Refusal) -> NoReturn:
    """End the call with a status; the code and the id of the call stand in the trailers, as Salesforce sends them."""
    status, code, problem = refusal
    rpc_id = str(uuid4())
    context.set_trailing_metadata((("error-code", code), ("rpc-id", rpc_id)))
    context.abort(status, f"{problem} rpcId: {rpc_id}")
    raise AssertionError("abort ends the call")


def _handlers(server: PubSub) -> grpc.GenericRpcHandler:
    def unary(call: Callable[..., Any], request: str) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(call, message(request).FromString, _written)

    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            "GetTopic": unary(server.get_topic, "TopicRequest"),
            "GetSchema": unary(server.get_schema, "SchemaRequest"),
            "Subscribe": grpc.stream_stream_rpc_method_handler(
                server.subscribe, message("FetchRequest").FromString, _written
            ),
        },
    )


def _written(answer: Any) -> bytes:
    return bytes(answer.SerializeToString())
