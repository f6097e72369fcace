"""The Pub/Sub API of the sandbox, over real gRPC: what is delivered, from where on, and how it is refused."""

from __future__ import annotations

import io
import json
import queue
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import fastavro
import grpc
import pytest
from tests.sandbox.salesforce.client import Client

from tieline_sandbox.salesforce.messages import CUSTOM, EARLIEST, LATEST, SERVICE, message
from tieline_sandbox.salesforce.model import ORGANIZATION_ID

TOPIC = "/data/AccountChangeEvent"
CORRUPTED = "sfdc.platform.eventbus.grpc.subscription.fetch.replayid.corrupted"
WAIT_S = 5


class Subscriber:
    """One subscription: asks for events and takes what comes, as a stranger's client would."""

    def __init__(self, bus: Bus, topic: str, preset: int, replay: bytes, count: int) -> None:
        self._bus, self._requests = bus, queue.SimpleQueue[Any]()
        self.ask(count, topic_name=topic, replay_preset=preset, replay_id=replay)
        call = bus.channel.stream_stream(
            f"/{SERVICE}/Subscribe", lambda m: m.SerializeToString(), message("FetchResponse").FromString
        )
        self.call = call(iter(self._requests.get, None), metadata=bus.metadata, timeout=WAIT_S)

    def ask(self, count: int, **more: Any) -> None:
        self._requests.put(message("FetchRequest")(num_requested=count, **more))

    def events(self, count: int) -> list[tuple[bytes, dict[str, Any]]]:
        """The next events, decoded: (replay id, body)."""
        found: list[tuple[bytes, dict[str, Any]]] = []
        while len(found) < count:
            found += [(item.replay_id, self._bus.decoded(item.event)) for item in next(self.call).events]
        return found

    def end(self) -> None:
        self._requests.put(None)
        self.call.cancel()


class Bus:
    """A client of the gRPC API with the session of the HTTP client."""

    def __init__(self, channel: grpc.Channel, org: Client) -> None:
        self.channel, self._org, self._schemas = channel, org, dict[str, Any]()
        self.metadata = [("accesstoken", org.token), ("instanceurl", org.base), ("tenantid", ORGANIZATION_ID)]

    def ask(self, method: str, answer: str, request: Any) -> Any:
        call = self.channel.unary_unary(
            f"/{SERVICE}/{method}", lambda m: m.SerializeToString(), message(answer).FromString
        )
        return call(request, metadata=self.metadata, timeout=WAIT_S)

    def topic(self, name: str) -> Any:
        return self.ask("GetTopic", "TopicInfo", message("TopicRequest")(topic_name=name))

    def schema(self, schema_id: str) -> Any:
        if schema_id not in self._schemas:
            info = self.ask("GetSchema", "SchemaInfo", message("SchemaRequest")(schema_id=schema_id))
            self._schemas[schema_id] = json.loads(info.schema_json)
        return self._schemas[schema_id]

    def decoded(self, event: Any) -> dict[str, Any]:
        parsed = fastavro.parse_schema(self.schema(event.schema_id))
        return dict(fastavro.schemaless_reader(io.BytesIO(event.payload), parsed, None))  # type: ignore[arg-type]

    @contextmanager
    def subscribed(
        self, preset: int = EARLIEST, replay: bytes = b"", *, topic: str = TOPIC, count: int = 100
    ) -> Iterator[Subscriber]:
        subscriber = Subscriber(self, topic, preset, replay, count)
        try:
            yield subscriber
        finally:
            subscriber.end()

    def named(self, schema_id: str, bitmaps: list[str]) -> set[str]:
        """The fields that bitmaps name."""
        fields = self.schema(schema_id)["fields"]
        names: set[str] = set()
        for text in bitmaps:
            place, dash, bits = text.partition("-")
            inner = fields[int(place)]["type"][1]["fields"] if dash else fields
            start = f"{fields[int(place)]['name']}." if dash else ""
            names |= {start + f["name"] for i, f in enumerate(inner) if int(bits or place, 16) >> i & 1}
        return names


@pytest.fixture
async def bus(org: Client) -> AsyncIterator[Bus]:
    address = (await org.control("act/pubsub", {}))["address"]
    with grpc.insecure_channel(address) as channel:
        yield Bus(channel, org)


async def change(org: Client, account: str, **fields: Any) -> None:
    assert (await org.call("PATCH", f"sobjects/Account/{account}", fields)).status == 204


async def test_the_life_of_a_record_is_told_in_order(org: Client, bus: Bus) -> None:
    account = await org.create("Account", Name="Nordwind", BillingCity="Berlin", Phone="030")
    await change(org, account, Phone=None, BillingCity="Bonn")
    await org.call("DELETE", f"sobjects/Account/{account}")
    await org.control("act/undelete", {"object": "Account", "id": account})

    with bus.subscribed() as subscriber:
        told = [body for _, body in subscriber.events(4)]

    headers = [body["ChangeEventHeader"] for body in told]
    assert [header["changeType"] for header in headers] == ["CREATE", "UPDATE", "DELETE", "UNDELETE"]
    assert {tuple(header["recordIds"]) for header in headers} == {(account,)}
    assert (told[0]["Name"], told[0]["BillingAddress"]["City"]) == ("Nordwind", "Berlin")
    assert (told[1]["Name"], told[1]["Phone"], told[1]["BillingAddress"]["City"]) == (None, None, "Bonn")
    schema_id = bus.topic(TOPIC).schema_id
    changed = bus.named(schema_id, headers[1]["changedFields"])
    assert {"Phone", "LastModifiedDate", "BillingAddress.City"} == changed
    assert bus.named(schema_id, headers[1]["nulledFields"]) == {"Phone"}


async def test_equal_changes_of_one_transaction_share_an_event(org: Client, bus: Bus) -> None:
    ids = [await org.create("Account", Name=f"A{i}") for i in range(3)]
    records = [{"attributes": {"type": "Account"}, "id": i, "Phone": "030"} for i in ids]
    with bus.subscribed() as subscriber:
        subscriber.events(3)
        await org.call("PATCH", "composite/sobjects", {"records": records})
        (_, body), *_ = subscriber.events(1)

    assert body["ChangeEventHeader"]["recordIds"] == ids


async def test_what_was_rolled_back_was_never_told(org: Client, bus: Bus) -> None:
    typed = {"attributes": {"type": "Account"}}
    await org.call("POST", "composite/sobjects", {"allOrNone": True, "records": [typed | {"Name": "A"}, typed]})
    kept = await org.create("Account", Name="B")

    with bus.subscribed() as subscriber:
        (_, body), *_ = subscriber.events(1)

    assert body["ChangeEventHeader"]["recordIds"] == [kept]


async def test_only_what_was_asked_for_is_delivered(org: Client, bus: Bus) -> None:
    """Two requests add up; between them nothing comes."""
    for number in range(5):
        await org.create("Account", Name=f"A{number}")
    await org.control("configure", {"pubsub_keepalive_s": 0.1})
    with bus.subscribed(count=2) as subscriber:
        first = subscriber.events(2)
        idle = next(subscriber.call)
        subscriber.ask(2)
        more = subscriber.events(2)
    await org.control("configure", {"pubsub_keepalive_s": 270})

    assert (len(first), len(more), list(idle.events)) == (2, 2, [])
    assert idle.latest_replay_id == first[-1][0]


async def test_a_subscription_resumes_behind_a_replay_id(org: Client, bus: Bus) -> None:
    for number in range(4):
        await org.create("Account", Name=f"A{number}")
    with bus.subscribed() as subscriber:
        places = [replay for replay, _ in subscriber.events(4)]

    with bus.subscribed(CUSTOM, places[1]) as again:
        assert [body["Name"] for _, body in again.events(2)] == ["A2", "A3"]


async def test_the_tip_is_only_what_comes_after(org: Client, bus: Bus) -> None:
    await org.create("Account", Name="Before")
    await org.control("configure", {"pubsub_keepalive_s": 0.05})
    with bus.subscribed(LATEST) as subscriber:
        next(subscriber.call)  # an empty answer: the subscription stands
        await org.create("Account", Name="After")
        (_, body), *_ = subscriber.events(1)
    await org.control("configure", {"pubsub_keepalive_s": 270})

    assert body["Name"] == "After"


async def test_a_quiet_subscriber_keeps_a_place_it_can_resume_from(org: Client, bus: Bus) -> None:
    """Without events the server tells the latest replay id, so that a place does not age while nothing happens."""
    await org.control("configure", {"pubsub_keepalive_s": 0.05})
    with bus.subscribed(LATEST) as subscriber:
        place = next(subscriber.call).latest_replay_id
    await org.create("Account", Name="Later")
    with bus.subscribed(CUSTOM, place) as subscriber:
        assert subscriber.events(1)[0][1]["Name"] == "Later"
    await org.control("configure", {"pubsub_keepalive_s": 270})


def refusal(subscriber: Subscriber) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        next(subscriber.call)
    trailers = dict(subscriber.call.trailing_metadata())
    assert trailers["rpc-id"] in str(subscriber.call.details())
    return caught.value.code(), str(trailers["error-code"])


async def test_after_72_hours_a_replay_id_is_refused_and_events_are_gone(org: Client, bus: Bus) -> None:
    await org.create("Account", Name="Old")
    with bus.subscribed() as subscriber:
        place = subscriber.events(1)[0][0]
    await org.control("clock", {"seconds": 72 * 3600 + 60})
    await org.create("Account", Name="New")

    with bus.subscribed(CUSTOM, place) as late:
        assert refusal(late) == (grpc.StatusCode.INVALID_ARGUMENT, CORRUPTED)
    with bus.subscribed(EARLIEST) as subscriber:
        assert subscriber.events(1)[0][1]["Name"] == "New"


@pytest.mark.parametrize("replay", [b"", b"12907414", b"\x00" * 10])
async def test_a_replay_id_that_was_never_given_out_is_refused(bus: Bus, replay: bytes) -> None:
    with bus.subscribed(CUSTOM, replay) as subscriber:
        assert refusal(subscriber) == (grpc.StatusCode.INVALID_ARGUMENT, CORRUPTED)


async def test_an_expired_session_is_refused(org: Client, bus: Bus) -> None:
    await org.control("act/expire_tokens", {})
    with bus.subscribed() as subscriber:
        code = "sfdc.platform.eventbus.grpc.service.auth.error"
        assert refusal(subscriber) == (grpc.StatusCode.UNAUTHENTICATED, code)


async def test_objects_that_were_not_selected_have_no_topic(org: Client, bus: Bus) -> None:
    await org.control("configure", {"change_data_capture": ["Opportunity"]})
    with pytest.raises(grpc.RpcError) as caught:
        bus.topic(TOPIC)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert bus.topic("/data/OpportunityChangeEvent").can_subscribe


async def test_platform_events_come_with_their_uuid_and_fields(org: Client, bus: Bus) -> None:
    event = {"name": "Low_Ink__e", "fields": [{"name": "Serial__c"}, {"name": "Level__c", "type": "double"}]}
    await org.control("configure", {"custom_objects": [event]})
    saved = await org.call("POST", "sobjects/Low_Ink__e", {"Serial__c": "X1", "Level__c": 0.5})

    with bus.subscribed(topic="/event/Low_Ink__e") as subscriber:
        response = next(subscriber.call)

    item = response.events[0].event
    body = bus.decoded(item)
    assert (body["Serial__c"], body["Level__c"]) == ("X1", 0.5)
    assert item.id == saved.body["errors"][0]["message"]


async def test_a_gap_says_that_something_changed_and_not_what(org: Client, bus: Bus) -> None:
    account = await org.create("Account", Name="A")
    await org.control("act/gap", {"object": "Account", "ids": [account]})

    with bus.subscribed() as subscriber:
        _, (_, body) = subscriber.events(2)

    assert body["ChangeEventHeader"]["changeType"] == "GAP_UPDATE"
    assert {value for name, value in body.items() if name != "ChangeEventHeader"} == {None}


async def test_one_channel_carries_the_changes_of_all_objects(org: Client, bus: Bus) -> None:
    account = await org.create("Account", Name="A")
    await org.create("Contact", FirstName="Ada", LastName="L", AccountId=account)

    with bus.subscribed(topic="/data/ChangeEvents") as subscriber:
        told = [body for _, body in subscriber.events(2)]

    assert [body["ChangeEventHeader"]["entityName"] for body in told] == ["Account", "Contact"]
    assert told[1]["Name"] == {"FirstName": "Ada", "LastName": "L"}


async def test_a_broken_stream_loses_nothing_to_who_resumes(org: Client, bus: Bus) -> None:
    await org.create("Account", Name="A0")
    await org.control("faults", {"kind": "stream_break"})
    with bus.subscribed() as subscriber:
        place = subscriber.events(1)[0][0]
        assert refusal(subscriber)[0] is grpc.StatusCode.UNAVAILABLE
    await org.create("Account", Name="A1")

    with bus.subscribed(CUSTOM, place) as again:
        assert again.events(1)[0][1]["Name"] == "A1"
