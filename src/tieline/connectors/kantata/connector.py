"""One connection to one Kantata OX account: projects are opened for services that were sold, time is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

from tieline.connectors.kantata.client import KantataClient, our_references
from tieline.connectors.kantata.settings import TIME_ENTRY, KantataSettings
from tieline.connectors.kantata.timesheet import read_position
from tieline.connectors.kantata.wire import Workspace
from tieline.connectors.sdk import Recent, each, moment_of, stands_as_sent, utc_text
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
from tieline.errors import ConfigurationError, InvalidMessage, RejectedByVendor

API_VERSION = "v1"
WRITE_ONLY = ("creator_role", "external_reference", "price")
"""What is sent and does not come back under its name; price comes back as price_in_cents."""


def manifest(settings: KantataSettings | None = None) -> Manifest:
    """What this connector can do, with the limits of one connection where its settings are known."""
    project = Operation(
        kind="project",
        safety=Safety.LOOK_UP_FIRST,
        mapping="project -> kantata.workspace",
        concurrency=2,
        settle_after_s=settings.settle_after_s if settings else 45.0,
    )
    return Manifest(
        vendor="kantata",
        api_version=API_VERSION,
        operations=(project,),
        reads=("project", TIME_ENTRY),
        finds=("project",),
        scopes=("account administrator",),
        streams=settings.streams if settings else (TIME_ENTRY,),
        limits=Limits(slots=settings.slots if settings else 4),
    )


class KantataConnector:
    """The Connector of the engine's ports, for Kantata OX."""

    def __init__(self, name: str, settings: KantataSettings) -> None:
        self.name = name
        self.manifest = manifest(settings)
        self._settings = settings
        self._client = KantataClient(settings)

    async def send(self, operation: Operation, calls: Sequence[Call]) -> Sequence[Outcome]:
        """Open or change projects, one call each."""
        _known(operation)
        if len(calls) == 1:
            return [await self._send(calls[0])]
        return await each(self._send, calls, at_once=1)

    async def probe(self, operation: Operation, calls: Sequence[Call]) -> Sequence[Finding]:
        """Look projects up by id where it is known, else by external reference, and compare with what was sent."""
        _known(operation)
        by_id = await self._client.by_ids([call.external_id for call in calls if call.external_id])
        by_reference = await self._client.by_references([_reference(call) for call in calls if not call.external_id])
        return [
            _finding(
                call, [by_id[call.external_id]] if call.external_id in by_id else by_reference.get(_reference(call), [])
            )
            for call in calls
        ]

    async def fetch(self, kind: str, ids: Sequence[str]) -> Sequence[Wire | None]:
        """Projects with their external references, or time entries, in the order asked."""
        if kind == TIME_ENTRY:
            entries = await self._client.time_by_ids(ids)
            return [cast("Wire | None", entries.get(i)) for i in ids]
        _is_project(kind)
        found = await self._client.by_ids(ids)
        return [cast("Wire | None", found.get(i)) for i in ids]

    async def find(self, kind: str, document: Wire) -> list[Candidate]:
        """Projects that carry the document's canonical id as our external reference."""
        _is_project(kind)
        canonical_id = str(document["id"])
        found = await self._client.by_references([canonical_id])
        return [
            Candidate(
                external_id=workspace["id"],
                display=workspace["id"],
                matched_by="external_id",
                name=workspace.get("title", ""),
                canonical_id=canonical_id,
            )
            for workspace in found[canonical_id]
        ]

    async def catalogue(self, kind: str) -> list[Wire]:
        raise ConfigurationError(f"kantata: there is no catalogue of kind {kind!r}")

    async def changes(self, stream: str, cursor: str) -> Changes:
        """Time entries by their last change: entered, corrected, approved or invoiced."""
        if stream != TIME_ENTRY:
            raise ConfigurationError(f"kantata: there is no stream {stream!r}")
        position = read_position(cursor)
        entries, more = await self._client.time_changed(position.since, position.page, self._settings.page_size)
        stamps = [entry["updated_at"] for entry in entries]
        return Changes(
            kind=TIME_ENTRY,
            changed=[(e["id"], utc_text(moment_of(s, "Kantata"))) for e, s in zip(entries, stamps, strict=True)],
            cursor=position.behind(stamps, self._settings.overlap_s, more=more).cursor,
            more=more,
        )

    async def notices(self, headers: Mapping[str, str], body: bytes, query: Mapping[str, str]) -> list[Notice]:
        raise InvalidMessage("kantata: this connection expects no webhooks")

    def acknowledgement(self) -> tuple[int, str, bytes]:
        """Nothing in particular: no webhook is expected."""
        return 200, "text/plain; charset=utf-8", b""

    @property
    def recent(self) -> Recent:
        return self._client.recent

    def usage(self) -> Usage:
        """Kantata tells nobody what its rate limits are: what was sent is all there is to know."""
        return self._client.usage()

    async def check(self) -> str:
        """Whether the token is accepted, and how many projects its user sees."""
        return f"Kantata OX at {self._settings.url}: {await self._client.count()} projects visible"

    async def close(self) -> None:
        await self._client.close()

    async def _send(self, call: Call) -> Applied:
        if not call.external_id:
            saved = await self._client.create(call.wire)
        else:
            changed = {name: value for name, value in call.wire.items() if name != "creator_role"}
            saved = await self._client.update(call.external_id, changed)
        return Applied(external_id=saved["id"], display=saved["id"], response=dict(saved))


def open_connector(name: str, settings: KantataSettings) -> KantataConnector:
    """Connect lazily: nothing is called until something is asked."""
    return KantataConnector(name, settings)


def _known(operation: Operation) -> None:
    if (operation.kind, operation.action) != ("project", "ensure"):
        raise ConfigurationError(f"kantata: there is no operation {operation.kind}/{operation.action}")


def _is_project(kind: str) -> None:
    if kind != "project":
        raise ConfigurationError(f"kantata: there is nothing of kind {kind!r}")


def _reference(call: Call) -> str:
    return str(call.wire.get("external_reference", {}).get("service_model_ref", "")) or call.key.canonical_id


def _finding(call: Call, found: Sequence[Workspace]) -> Finding:
    if not found:
        return Absent()
    if len(found) > 1:
        ids = ", ".join(workspace["id"] for workspace in found)
        return RejectedByVendor(
            f"several projects of Kantata carry the reference {_reference(call)}: {ids}. Remove it from all but one",
            vendor_code="ambiguous_reference",
        )
    workspace = found[0]
    if _stands(call.wire, workspace):
        return Applied(external_id=workspace["id"], display=workspace["id"], response=dict(workspace))
    return Absent(external_id=workspace["id"])


def _stands(sent: Wire, found: Workspace) -> bool:
    """Whether a project is as sent: texts without outer blanks, the price in its own base unit."""
    plain = {name: _kept(value) for name, value in sent.items() if name not in WRITE_ONLY}
    reference = sent.get("external_reference", {}).get("service_model_ref")
    if reference is not None and reference not in our_references(found):
        return False
    if sent.get("price") is not None and not _same_price(sent["price"], found):
        return False
    return stands_as_sent(plain, {name: _kept(value) for name, value in found.items()})


def _same_price(sent: Any, found: Workspace) -> bool:
    cents, unit = found.get("price_in_cents"), found.get("currency_base_unit") or 100
    return cents is not None and Decimal(cents) == Decimal(str(sent)) * unit


def _kept(value: Any) -> Any:
    return value.strip().replace("\r\n", "\n") if isinstance(value, str) else value
