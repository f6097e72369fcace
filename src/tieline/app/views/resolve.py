"""From any id of any system to the deal it belongs to.

An id is looked up in what Tieline knows (references, effects, canonical state, the log); no system is asked.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import msgspec

from tieline.app.views.reading import View
from tieline.domain import KINDS
from tieline.engine.ports import Store
from tieline.engine.records import DealFilter, RunRow
from tieline.errors import TielineError
from tieline.events import (
    CreditNoteIssued,
    InvoiceIssued,
    LoggedEvent,
    OpportunityWon,
    PaymentReceived,
    SubscriptionActivated,
    VendorNotified,
    decode_event,
    topic,
)

DealsOf = Callable[[Store, str, str], Awaitable[tuple[str, ...]]]
MOST_DEALS = 100
_SALESFORCE_15 = re.compile(r"[0-9A-Za-z]{15}")
_PLACE_IN_LOG = re.compile(r"(?:#|event/)(\d+)")
_NAMED_IN = (OpportunityWon, InvoiceIssued, CreditNoteIssued, PaymentReceived, SubscriptionActivated)
_NOTICE_KINDS = ("opportunity", "account", "subscription", "invoice", "credit_memo", "payment", "project")


class NothingFound(TielineError):
    """No deal, document, run, case or event goes by this id."""


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """Something that goes by the id: `name` is what `tieline trace` takes for exactly this one."""

    name: str
    what: str
    deals: tuple[str, ...]
    notice: int = 0


class SeveralDeals(TielineError):
    """The id leads to several deals; `matches` says which documents and which deals."""

    def __init__(self, text: str, matches: list[Match]) -> None:
        self.matches = matches
        super().__init__(f"{text} leads to several deals; name one of them, or the document that is meant")


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """The deal behind an id, or, where it belongs to none yet, the place in the log of what a system told of it."""

    asked: str
    deal: str = ""
    notice: int = 0
    matches: list[Match] = []


async def resolve(view: View, text: str, *, quick: bool = False) -> Resolved:
    """Raises NothingFound, or SeveralDeals when the id does not lead to one deal alone. `quick`: as quick_matches."""
    text = text.strip()
    matches = await (quick_matches if quick else matches_of)(view, text)
    deals = list(dict.fromkeys(deal for match in matches for deal in match.deals))
    if len(deals) > 1:
        raise SeveralDeals(text, matches)
    if deals:
        return Resolved(asked=text, deal=deals[0], matches=matches)
    notices = [match.notice for match in matches if match.notice]
    if notices:
        return Resolved(asked=text, notice=notices[0], matches=matches)
    raise NothingFound(
        f"nothing here goes by {text!r}. Known are ids and numbers of documents that Tieline read or wrote, deals, "
        f"cases (C-…), runs (quote-to-cash:2) and events (#12); connections: {', '.join(view.vendors)}"
    )


async def matches_of(view: View, text: str) -> list[Match]:
    """Everything that goes by the id, the most particular kind of thing alone."""
    connection, kind, ident = _spelled_out(view, text)
    found = await _ours(view, text) or await _documents(view, connection, kind, ident, deals_of)
    return found or await _named(view, ident)


async def quick_matches(view: View, text: str) -> list[Match]:
    """As matches_of, by what an index answers: no parts of documents, and of a customer the deals of its own."""
    return await _ours(view, text) or await _documents(view, *_spelled_out(view, text), listed_deals_of)


async def _ours(view: View, text: str) -> list[Match]:
    for look in (_case, _run, _event):
        if found := await look(view, text):
            return found
    return []


def spellings(ident: str) -> list[str]:
    """The id itself, and a Salesforce id of 15 characters in its long form too."""
    return [ident, eighteen(ident)] if _SALESFORCE_15.fullmatch(ident) else [ident]


def eighteen(ident: str) -> str:
    """The 18-character form of a Salesforce id (source: Salesforce, "ID Field Type": a checksum of the capitals)."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
    chunks = (ident[start : start + 5] for start in (0, 5, 10))
    return ident + "".join(alphabet[sum(1 << at for at, c in enumerate(chunk) if c.isupper())] for chunk in chunks)


# --- our own things ---------------------------------------------------------------------------------------------------


async def _case(view: View, text: str) -> list[Match]:
    row = await view.store.case(text)
    if row is None:
        return []
    if row.correlation_id:
        return [Match(name=text, what=f"case {row.case_class}", deals=(row.correlation_id,))]
    run = await view.store.run(row.run_id)
    return await _of_run(view.store, text, run) if run else []


async def _run(view: View, text: str) -> list[Match]:
    run = await view.store.run(text) if ":" in text else None
    return await _of_run(view.store, text, run) if run else []


async def _of_run(store: Store, name: str, run: RunRow) -> list[Match]:
    deals = (run.correlation_id,) if run.correlation_id else await _deals_told_by(store, run)
    return [Match(name=name, what=f"run of {run.process}", deals=deals, notice=0 if deals else run.event_seq)]


async def _deals_told_by(store: Store, run: RunRow) -> tuple[str, ...]:
    """The deals of the events that a run published: a run that reads a record learns its deal only then."""
    told = [e for e in await store.journal(run.id) if e.kind in ("publish", "record")]
    events = [await store.find_event("tieline", f"{run.id}/{entry.position}") for entry in told]
    return tuple(dict.fromkeys(e.correlation_id for e in events if e is not None and e.correlation_id))


async def _event(view: View, text: str) -> list[Match]:
    event = await find_event(view, text)
    if event is None:
        return []
    deals = (event.correlation_id,) if event.correlation_id else await _deals_after(view.store, event)
    return [Match(name=f"#{event.seq}", what=f"event {event.id}", deals=deals, notice=0 if deals else event.seq)]


async def find_event(view: View, text: str) -> LoggedEvent | None:
    """An event by its place (`#12`, `event/12`) or its id, whoever told it."""
    if place := _PLACE_IN_LOG.fullmatch(text):
        found = await view.store.events_after(int(place[1]) - 1, 1)
        return found[0] if found and found[0].seq == int(place[1]) else None
    for source in view.sources:
        if event := await view.store.find_event(source, text):
            return event
    return None


async def _deals_after(store: Store, event: LoggedEvent) -> tuple[str, ...]:
    deals = [deal for run in await runs_of_event(store, event.seq) for deal in await _deals_told_by(store, run)]
    return tuple(dict.fromkeys(deals))


async def runs_of_event(store: Store, seq: int) -> list[RunRow]:
    """The runs that an event triggered, replays of them included."""
    return await store.runs(event_seq=seq)


# --- documents --------------------------------------------------------------------------------------------------------


def _spelled_out(view: View, text: str) -> tuple[str, str, str]:
    """`netsuite/invoice/123`, `netsuite/123` or `123` → (connection, kind, id), "" where it says nothing."""
    connection, slash, rest = text.partition("/")
    if not slash or connection not in view.vendors:
        return "", "", text
    kind, slash, ident = rest.partition("/")
    return (connection, kind, ident) if slash else (connection, "", rest)


async def _documents(view: View, connection: str, kind: str, ident: str, deals_of: DealsOf) -> list[Match]:
    """Documents known to systems under the id, canonical documents of that id, and what systems told about it."""
    found: dict[tuple[str, str, str], str] = {}
    for spelling in spellings(ident):
        async for where, what, canonical_id, known_as in _known_as(view, connection, spelling):
            if kind in ("", what):
                found.setdefault((where, what, canonical_id), known_as)
    return [
        Match(
            name=f"{where}/{what}/{known_as}" if where else known_as,
            what=f"{where} {what.replace('_', ' ')}".strip(),
            deals=await deals_of(view.store, what, canonical_id),
        )
        for (where, what, canonical_id), known_as in found.items()
    ] or await _notices(view, connection, ident)


async def _known_as(view: View, connection: str, ident: str) -> AsyncIterator[tuple[str, str, str, str]]:
    """(connection, kind, canonical id, the id) of each document that goes by the id."""
    store = view.store
    for reference in await store.referenced(ident, connection or None):
        yield reference.connection, reference.kind, reference.canonical_id, ident
    for effect in await store.effects(external_id=ident, connection=connection or None):
        yield effect.connection, effect.kind, effect.canonical_id, ident
    for canonical_id in _canonical(view.vendors, connection, ident):
        for kind in KINDS:
            if await store.find_entity(kind, canonical_id):
                yield "", kind, canonical_id, canonical_id
        for effect in await store.effects(canonical_id=canonical_id, connection=connection or None):
            yield "", effect.kind, canonical_id, canonical_id


def _canonical(connections: Iterable[str], connection: str, ident: str) -> list[str]:
    return [ident, *(f"{name}-{ident}" for name in ([connection] if connection else connections))]


async def listed_deals_of(store: Store, kind: str, canonical_id: str) -> tuple[str, ...]:
    """As deals_of, a customer's deals from the list of deals: those of its subsidiaries are not among them."""
    if kind != "customer":
        return await deals_of(store, kind, canonical_id)
    return tuple(deal.id for deal in await store.deals(DealFilter(customer=canonical_id), limit=MOST_DEALS))


async def deals_of(store: Store, kind: str, canonical_id: str) -> tuple[str, ...]:
    """The deals a document belongs to: one for most, many for a customer, several for a payment."""
    if kind == "customer":
        won = await store.events(type=OpportunityWon.__name__, naming=f'"{canonical_id}"', limit=100_000)
        return tuple(dict.fromkeys(event.correlation_id for event in won))
    deals = [effect.correlation_id for effect in await store.effects(canonical_id=canonical_id) if effect.kind == kind]
    entity = await store.find_entity(kind, canonical_id)
    deals += [entity.correlation_id] if entity else []
    if kind == "payment":
        for event in await store.events(type=PaymentReceived.__name__, subject=canonical_id):
            data = decode_event(event)
            deals += data.contracts if isinstance(data, PaymentReceived) else []
    return tuple(dict.fromkeys(deal for deal in deals if deal))


async def _notices(view: View, connection: str, ident: str) -> list[Match]:
    """What a system told about a record that became nothing here (yet), or something else."""
    found: list[Match] = []
    for name in [connection] if connection else view.vendors:
        for kind in _NOTICE_KINDS:
            for spelling in spellings(ident):
                event = await view.store.first_event(topic(VendorNotified.__name__, f"{name}/{kind}/{spelling}"))
                if event is not None:
                    deals = await _deals_after(view.store, event)
                    seq = 0 if deals else event.seq
                    found.append(Match(name=f"#{event.seq}", what=f"{name} {kind}", deals=deals, notice=seq))
    return found


async def _named(view: View, ident: str) -> list[Match]:
    """Lines, charges and other parts: ids that stand inside what business events say."""
    found: list[Match] = []
    for spelling in spellings(ident):
        for kind in _NAMED_IN:
            events = await view.store.events(type=kind.__name__, naming=f'"{spelling}"', limit=10_000)
            deals = tuple(dict.fromkeys(e.correlation_id for e in events if e.correlation_id))
            if deals:
                found.append(Match(name=f"#{events[0].seq}", what=f"named in {kind.__name__}", deals=deals))
    return found
