"""One subscription of Salesforce's Pub/Sub API: it asks for events as it has room, and keeps what came until taken.

The invariant: `taken` is the replay id up to which everything was handed out, so whoever stores it loses nothing.
Source: Pub/Sub API guide (Subscribe, flow control, error handling); pubsub_api.proto, package eventbus.v1.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import fastavro
import grpc
import msgspec
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from tieline.errors import AuthorizationFailed, ConfigurationError, VendorUnavailable

LATEST, CUSTOM = 0, 2
MOST_EVENTS = 100
"""As many as one request may ask for."""
SERVICE = "eventbus.v1.PubSub"
_OPTIONS = [("grpc.use_local_subchannel_pool", 1)]
"""A new channel tries at once, whatever an old one to the same address is waiting for."""
EXPIRED = "replayid"
"""Part of every code by which a replay id is refused: …subscription.fetch.replayid.corrupted and its kin."""

Event = dict[str, Any]


class ReplayExpired(Exception):
    """The replay id is older than 72 hours, or this org never gave it out."""


class Happened(NamedTuple):
    """One change event: where it stands, and its body; None for one that cannot be read."""

    replay: bytes
    body: Event | None


class Bus:
    """The API's address: one channel for all subscriptions, schemas read once."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        target = f"{parts.hostname}:{parts.port or 443}"
        if parts.scheme == "https":
            self._channel = grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(), options=_OPTIONS)
        elif parts.hostname in ("127.0.0.1", "localhost", "::1"):
            self._channel = grpc.aio.insecure_channel(target, options=_OPTIONS)
        else:
            raise ConfigurationError(f"salesforce: `pubsub_url` is {url}: only https leaves this machine")
        self._schemas: dict[str, Any] = {}

    def subscribe(self, metadata: Sequence[tuple[str, str]]) -> Any:
        call = self._channel.stream_stream(f"/{SERVICE}/Subscribe", _written, _message("FetchResponse").FromString)
        return call(metadata=metadata)

    async def body(self, event: Any, metadata: Sequence[tuple[str, str]]) -> Event | None:
        """What an event says, by the schema it was written with; None when its bytes do not fit it."""
        if event.schema_id not in self._schemas:
            call = self._channel.unary_unary(f"/{SERVICE}/GetSchema", _written, _message("SchemaInfo").FromString)
            request = _message("SchemaRequest")(schema_id=event.schema_id)
            info = await call(request, metadata=metadata, timeout=30)
            self._schemas[event.schema_id] = fastavro.parse_schema(msgspec.json.decode(info.schema_json))
        try:
            found: Any = fastavro.schemaless_reader(io.BytesIO(event.payload), self._schemas[event.schema_id], None)
        except (EOFError, ValueError, IndexError, UnicodeDecodeError):
            return None
        return dict(found)

    async def close(self) -> None:
        await self._channel.close()


class Subscription:
    """An open stream of one topic, begun behind a replay id or, without one, at the tip."""

    def __init__(self, bus: Bus, topic: str, metadata: Sequence[tuple[str, str]], replay: bytes = b"") -> None:
        self._bus, self._metadata = bus, metadata
        self.taken, self.topic = replay, topic
        self.spoken = False
        self._heard_at = self._taken_at = time.monotonic()
        self._kept: deque[Happened] = deque()
        self._behind = replay
        self._failure: BaseException | None = None
        self._news = asyncio.Event()
        self._call = bus.subscribe(metadata)
        self._reading = asyncio.create_task(self._read())

    async def take(self, wait_s: float) -> list[Happened]:
        """What came since the last time; waits up to `wait_s` for something.

        Raises ReplayExpired, AuthorizationFailed, ConfigurationError, VendorUnavailable, once everything that came
        before was taken.
        """
        await self.wait(wait_s)
        found = list(self._kept)
        self._kept.clear()
        if not found:
            self.check()
        self.taken, self._taken_at = self._behind, time.monotonic()
        if self._failure is None:
            self._news.clear()
            if found:
                await self._ask(len(found))
        return found

    async def wait(self, wait_s: float) -> None:
        """Until something was heard, or the stream ended, or the time is over."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), wait_s)

    def check(self) -> None:
        """Raise what ended the stream, as `take` does; nothing while it stands."""
        if self._failure is not None:
            raise _explained(self._failure, self.topic) from self._failure

    def silent_s(self) -> float:
        """For how long nothing was heard, not even that there is nothing."""
        return time.monotonic() - self._heard_at

    def untaken_s(self) -> float:
        """For how long nobody asked what came."""
        return time.monotonic() - self._taken_at

    async def close(self) -> None:
        self._call.cancel()
        self._reading.cancel()
        with contextlib.suppress(asyncio.CancelledError, grpc.RpcError):
            await self._reading

    async def _ask(self, count: int, **where: Any) -> None:
        # a stream that ends while we write says why to its reader
        with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):
            await self._call.write(_message("FetchRequest")(topic_name=self.topic, num_requested=count, **where))

    async def _read(self) -> None:
        try:
            await self._ask(MOST_EVENTS, **_from(self.taken))
            while (response := await self._call.read()) is not grpc.aio.EOF:
                for item in response.events:
                    self._kept.append(Happened(item.replay_id, await self._bus.body(item.event, self._metadata)))
                self._behind = response.latest_replay_id or self._behind
                self.spoken, self._heard_at = True, time.monotonic()
                self._news.set()
            self._failure = VendorUnavailable("Salesforce ended the subscription")
        except (grpc.RpcError, msgspec.DecodeError) as error:
            self._failure = error
        finally:
            self._news.set()


def _from(replay: bytes) -> Event:
    return {"replay_preset": CUSTOM, "replay_id": replay} if replay else {"replay_preset": LATEST}


def _explained(failure: BaseException, topic: str) -> Exception:
    """What to do about the end of a stream: the code in the trailers says it, before the status does."""
    if not isinstance(failure, grpc.aio.AioRpcError):
        return VendorUnavailable(f"the change events of {topic} cannot be read: {failure}")
    trailers = {name: str(value) for name, value in failure.trailing_metadata() or ()}
    code, said = trailers.get("error-code", ""), failure.details() or ""
    if EXPIRED in code:
        return ReplayExpired(said)
    text = f'Salesforce ended the change events of {topic}: "{said}" ({code or failure.code().name})'
    match failure.code():
        case grpc.StatusCode.UNAUTHENTICATED:
            return AuthorizationFailed(text)
        case grpc.StatusCode.NOT_FOUND | grpc.StatusCode.PERMISSION_DENIED:
            return ConfigurationError(f"{text}: select the object in Setup, Change Data Capture, and grant its rights")
    return VendorUnavailable(text)


# the messages, by the numbers of their fields

_MESSAGES: Mapping[str, str] = {
    "ProducerEvent": "1 id string, 2 schema_id string, 3 payload bytes",
    "ConsumerEvent": "1 event ProducerEvent, 2 replay_id bytes",
    "FetchRequest": "1 topic_name string, 2 replay_preset int32, 3 replay_id bytes, 4 num_requested int32",
    "FetchResponse": "1 events ConsumerEvent repeated, 2 latest_replay_id bytes, 3 rpc_id string, "
    "4 pending_num_requested int32",
    "SchemaRequest": "1 schema_id string",
    "SchemaInfo": "1 schema_json string, 2 schema_id string, 3 rpc_id string",
}
"""What we use of them. An enum travels like an int32; fields that are not named here are skipped, as proto3 has it."""


def _pool() -> descriptor_pool.DescriptorPool:
    kind = descriptor_pb2.FieldDescriptorProto
    scalars = {"string": kind.TYPE_STRING, "bytes": kind.TYPE_BYTES, "int32": kind.TYPE_INT32}
    file = descriptor_pb2.FileDescriptorProto(name="tieline/salesforce_pubsub.proto", package="eventbus.v1")
    file.syntax = "proto3"
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for text in fields.split(", "):
            number, field_name, type_name, *repeated = text.split()
            field = message.field.add(name=field_name, number=int(number))
            field.label = kind.LABEL_REPEATED if repeated else kind.LABEL_OPTIONAL
            field.type = scalars.get(type_name, kind.TYPE_MESSAGE)
            if type_name not in scalars:
                field.type_name = f".eventbus.v1.{type_name}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


_types = _pool()


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_types.FindMessageTypeByName(f"eventbus.v1.{name}"))


def _written(request: Any) -> bytes:
    return bytes(request.SerializeToString())
