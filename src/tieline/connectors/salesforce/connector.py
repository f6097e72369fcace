"""One connection to one Salesforce org: deals and accounts are read, the status of a deal is written back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tieline.connectors.salesforce import errors, webhooks
from tieline.connectors.salesforce.client import MAX_RECORDS, Record, SalesforceClient, is_id, same_id
from tieline.connectors.salesforce.fields import SOBJECTS, shape_schema
from tieline.connectors.salesforce.polling import Place
from tieline.connectors.salesforce.settings import SalesforceSettings
from tieline.connectors.salesforce.sweeping import Sweep
from tieline.connectors.salesforce.wire import SHAPES, SaveResult
from tieline.connectors.sdk import Recent, stands_as_sent
from tieline.engine.ports import (
    Absent,
    Applied,
    Call,
    Candidate,
    Changes,
    Finding,
    Limits,
    Manifest,
    Notice,
    Operation,
    Outcome,
    Safety,
    Usage,
    Wire,
)
from tieline.errors import ConfigurationError, RejectedByVendor, TielineError, TransientError

if TYPE_CHECKING:
    from tieline.connectors.salesforce.changefeed import ChangeFeed
    from tieline.connectors.salesforce.pubsub import Bus

STREAM = "won_opportunities"

Wave = list[tuple[int, Call]]
"""Calls that go out together, each with its place in the answer."""

DEAL_STATUS = Operation(
    kind="deal_status",
    safety=Safety.UPSERT,
    mapping="deal_status -> salesforce.opportunity",
    bulk=MAX_RECORDS,
    concurrency=2,
    creates=False,
)


def event_stream(kind: str) -> str:
    """The stream of a kind's change events."""
    return f"{kind}_events"


def manifest(settings: SalesforceSettings | None = None) -> Manifest:
    """What this connector can do, with the limits of one connection where its settings are known."""
    return Manifest(
        vendor="salesforce",
        api_version=settings.api_version if settings else "62.0",
        operations=(DEAL_STATUS,),
        reads=tuple(SHAPES),
        catalogues=("product",),
        scopes=("api",),
        streams=(STREAM, *(event_stream(kind) for kind in settings.change_events)) if settings else (STREAM,),
        notices=("opportunity",),
        limits=_limits(settings) if settings else Limits(slots=8),
    )


class SalesforceConnector:
    """The Connector of the engine's ports, for Salesforce."""

    def __init__(self, name: str, settings: SalesforceSettings) -> None:
        self.name = name
        self.manifest = manifest(settings)
        self._settings = settings
        self._client = SalesforceClient(settings)
        self._won = Sweep(self._client, settings, "opportunity", "IsWon = true")
        self._bus: Bus | None = None
        self._feeds = self._open_feeds()

    async def send(self, operation: Operation, calls: Sequence[Call]) -> Sequence[Outcome]:
        """Write the status of deals: one call per 200, and never the same deal twice in one call."""
        _known(operation)
        outcomes: dict[int, Outcome] = {i: _no_id(call) for i, call in enumerate(calls) if not is_id(_id(call))}
        failure: TielineError | None = None
        for wave in _waves([(i, call) for i, call in enumerate(calls) if i not in outcomes]):
            if failure is not None:
                # a later word on a deal must not overtake an earlier one whose fate is open
                outcomes |= {
                    i: TransientError(f"was not sent, because a call before it failed: {failure}") for i, _ in wave
                }
                continue
            sent, failure = await self._send_wave(wave)
            outcomes |= sent
        if failure is not None and all(outcome is failure for outcome in outcomes.values()):
            raise failure
        return [outcomes[i] for i in range(len(calls))]

    async def probe(self, operation: Operation, calls: Sequence[Call]) -> Sequence[Finding]:
        """Read the deals and compare what was sent with what stands there."""
        _known(operation)
        sent = [name for call in calls for name in _sent(call)]
        found = await self._client.select("Opportunity", sent, [_id(call) for call in calls])
        return [_finding(call, found.get(same_id(_id(call)))) for call in calls]

    async def fetch(self, kind: str, ids: Sequence[str]) -> Sequence[Wire | None]:
        """Opportunities with all their lines, accounts or contacts, in the order asked."""
        found = await self._client.records(kind, ids)
        return [found.get(same_id(i)) for i in ids]

    async def find(self, kind: str, document: Wire) -> list[Candidate]:
        """Nothing: Salesforce is where customers and deals come from."""
        return []

    async def catalogue(self, kind: str) -> list[Wire]:
        """Products that are sold (`product`): Id, ProductCode, Name, IsActive."""
        if kind != "product":
            raise ConfigurationError(f"salesforce: there is no catalogue of kind {kind!r}")
        return await self._client.query("SELECT Id, ProductCode, Name, IsActive FROM Product2 ORDER BY Id")

    async def describe(self, shape: str) -> Wire | None:
        """The JSON Schema of a shape as this org has it: the user's own rights decide which fields it shows."""
        return await shape_schema(SOBJECTS[shape], self._client.describe) if shape in SOBJECTS else None

    async def changes(self, stream: str, cursor: str) -> Changes:
        """What changed behind a cursor, oldest change first; a record may come again, none is left out.

        `won_opportunities` is swept. A stream of change events is heard, and never ends while it can be heard: a read
        waits `listen_s` for the next event.
        """
        if feed := self._feeds.get(stream):
            return await feed.after(cursor)
        if stream != STREAM:
            raise ConfigurationError(f"salesforce: there is no stream {stream!r}")
        found = await self._won.after(Place.of(cursor, self._settings.since))
        return Changes(
            kind="opportunity",
            changed=found.changed,
            actions=found.actions,
            cursor=found.place.cursor,
            more=found.more,
        )

    async def notices(self, headers: Mapping[str, str], body: bytes, query: Mapping[str, str]) -> list[Notice]:
        """The notifications of an outbound message, once its token and org are verified."""
        return webhooks.read(self._settings, query, body)

    def acknowledgement(self) -> tuple[int, str, bytes]:
        """SOAP with Ack true: anything else and Salesforce sends the message again."""
        return 200, "text/xml; charset=utf-8", webhooks.ACKNOWLEDGEMENT

    @property
    def recent(self) -> Recent:
        return self._client.recent

    def usage(self) -> Usage:
        """Every answer of Salesforce tells the calls of the last 24 hours, all its clients together."""
        return self._client.usage()

    async def check(self) -> str:
        """Who we are there: the org, its id and edition, and the API calls of the day."""
        org = await self._client.organization()
        self._client.check_instance()
        expected = self._settings.organization_id
        if expected and same_id(expected) != same_id(org["Id"]):
            raise ConfigurationError(f"salesforce: `organization_id` is {expected}, but this org is {org['Id']}")
        calls = self._client.usage()
        usage = f", {calls.used:,} of {calls.per_day:,} API calls used in 24 hours" if calls.used is not None else ""
        edition = f"{org['OrganizationType']}{', sandbox' if org['IsSandbox'] else ''}"
        return f"{org['Name']} ({edition}, {org['Id']}), API {self._settings.api_version}{usage}"

    async def close(self) -> None:
        for feed in self._feeds.values():
            await feed.close()
        if self._bus is not None:
            await self._bus.close()
        await self._client.close()

    def _open_feeds(self) -> dict[str, ChangeFeed]:
        """A feed for each kind of `change_events`. Raises ConfigurationError without the extra `pubsub`."""
        if not self._settings.change_events:
            return {}
        try:
            from tieline.connectors.salesforce.changefeed import ChangeFeed
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"salesforce: `change_events` needs the extra `pubsub` ({error.name} is missing): "
                "pip install 'tieline[pubsub]'"
            ) from error
        return {
            event_stream(kind): ChangeFeed(self._client, self._settings, kind, self._shared_bus)
            for kind in self._settings.change_events
        }

    def _shared_bus(self) -> Bus:
        """The Pub/Sub API, one channel for all streams of this connection."""
        if self._bus is None:
            from tieline.connectors.salesforce.pubsub import Bus

            self._bus = Bus(self._settings.pubsub_url)
        return self._bus

    async def _send_wave(self, wave: Wave) -> tuple[dict[int, Outcome], TielineError | None]:
        """One call: what became of each record, and the error when it was not answered at all.

        One unreadable value makes Salesforce refuse the whole call, with nothing done: halves find out whose it is.
        """
        try:
            rows, request_id = await self._client.update([_record(call) for _, call in wave])
        except RejectedByVendor as error:
            if len(wave) == 1:
                return {wave[0][0]: error}, None
            half = len(wave) // 2
            first, failure = await self._send_wave(wave[:half])
            second, later = await self._send_wave(wave[half:])
            return first | second, failure or later
        except TielineError as error:
            return {i: error for i, _ in wave}, error
        return {i: _outcome(call, row, request_id) for (i, call), row in zip(wave, rows, strict=True)}, None


def open_connector(name: str, settings: SalesforceSettings) -> SalesforceConnector:
    """Connect lazily: the first call gets the token."""
    return SalesforceConnector(name, settings)


def _limits(settings: SalesforceSettings) -> Limits:
    # a stream that listens holds a slot while it waits; the slots of postings are not its to hold
    return Limits(slots=settings.slots + len(settings.change_events), per_day=settings.per_day)


def _known(operation: Operation) -> None:
    if (operation.kind, operation.action) != (DEAL_STATUS.kind, DEAL_STATUS.action):
        raise ConfigurationError(f"salesforce: there is no operation {operation.kind}/{operation.action}")


def _id(call: Call) -> str:
    return call.external_id or str(call.wire.get("Id", ""))


def _no_id(call: Call) -> RejectedByVendor:
    return RejectedByVendor(
        f"the status of {call.key.canonical_id} cannot be written: {_id(call)!r} is not the id of an opportunity",
        vendor_code="MALFORMED_ID",
    )


def _record(call: Call) -> Record:
    return {"attributes": {"type": "Opportunity"}, **call.wire, "Id": _id(call)}


def _waves(calls: Wave) -> list[Wave]:
    """Calls to make one after another: at most 200 records each, no deal twice in one, later words last."""
    waves: list[Wave] = []
    last_wave: dict[str, int] = {}
    for i, call in calls:
        deal = same_id(_id(call))
        at = last_wave.get(deal, -1) + 1
        while at < len(waves) and len(waves[at]) >= MAX_RECORDS:
            at += 1
        if at == len(waves):
            waves.append([])
        waves[at].append((i, call))
        last_wave[deal] = at
    return waves


def _outcome(call: Call, row: SaveResult, request_id: str) -> Outcome:
    if row.get("success") is True:
        return Applied(external_id=row.get("id") or _id(call), display=_id(call), response=dict(row))
    return errors.from_row(f"the status of opportunity {_id(call)}", row.get("errors") or [], request_id)


def _finding(call: Call, found: Record | None) -> Finding:
    if found is None:
        return Absent()
    sent = _sent(call)
    if stands_as_sent(_as_kept(sent), _as_kept(found)):
        return Applied(external_id=found["Id"], display=found["Id"], response={name: found.get(name) for name in sent})
    return Absent(external_id=found["Id"])


def _sent(call: Call) -> Record:
    return {name: value for name, value in call.wire.items() if name not in ("Id", "attributes")}


def _as_kept(record: Mapping[str, object]) -> dict[str, object]:
    """Texts as Salesforce keeps them: no blanks at either end, line feeds alone between lines."""
    return {
        name: value.strip().replace("\r\n", "\n") if isinstance(value, str) else value for name, value in record.items()
    }
