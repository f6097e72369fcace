"""The file of one deal, as its page shows it: where it stands, its money with the documents behind it, its timeline.

The invariant: what is shown of a deal is computed by the same functions as `tieline trace`; only the timeline is cut
into pages, so that a deal of thousands of entries opens as quickly as one of twenty.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from tieline.app.views.deal import DealMoney, DealRows, gather, money_of
from tieline.app.views.reading import View
from tieline.app.views.resolve import NothingFound
from tieline.app.views.standing import standing
from tieline.app.views.trace import Entry, Waiting, document_name, main_line, timeline, waiting
from tieline.app.views.words import APPROVAL
from tieline.domain import Contract, Customer
from tieline.engine.records import DealFilter, Effect, EffectState, ListedDeal
from tieline.events import event_name

ENTRIES = 200
RELATED = 8
_AMOUNTS = ("invoice", "credit_note", "payment")


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A document of the deal in a system, by its newest revision. `amount` is "" where it has none."""

    connection: str
    kind: str
    action: str
    canonical_id: str
    name: str
    external_id: str
    display: str
    state: EffectState
    revisions: int
    amount: str
    mapping: str
    at: datetime
    response: bytes


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """One stage of the money, and the documents that its amount is made of."""

    name: str
    amount: Decimal
    explained: str
    documents: list[Document]
    differs: bool = False


class DealFile(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the page of a deal shows. `first` counts the entries before those of this page."""

    deal: str
    contract: Contract | None
    customer: Customer | None
    parents: list[Customer]
    status: str
    detail: str
    since: datetime
    changed_at: datetime
    won_seq: int
    money: DealMoney | None
    stages: list[Stage]
    waits_for: list[Waiting]
    documents: list[Document]
    entries: list[Entry]
    first: int
    later: int
    total: int
    related: list[ListedDeal]
    approvals: list[tuple[str, str, datetime]]


async def read_deal(view: View, deal: str, now: datetime, *, until: int = 0, everything: bool = False) -> DealFile:
    """The deal's file, with the newest entries, or those up to entry number `until`. Raises NothingFound."""
    rows = await gather(view, deal)
    if not rows.events and not rows.effects:
        raise NothingFound(f"no deal goes by {deal!r}; search for it by any of its ids")
    status, detail = await standing(rows)
    documents, money = _documents(rows), money_of(rows)
    entries, first, total = _page(rows, until, everything)
    lanes = {lane.connection: lane for lane in await view.store.lanes()}
    family = rows.won.customers if rows.won else []
    return DealFile(
        deal=deal,
        contract=rows.contract,
        customer=rows.customer,
        parents=family[:-1],
        status=status,
        detail=detail,
        since=min(moments(rows)),
        changed_at=max(moments(rows)),
        won_seq=next((e.seq for e in rows.events if event_name(e.type) == "OpportunityWon"), 0),
        money=money,
        stages=_stages(money, documents) if money else [],
        waits_for=waiting(rows, lanes, now),
        documents=documents,
        entries=entries,
        first=first,
        later=max(total - first - ENTRIES, 0),
        total=total,
        related=await _related(view, deal, family),
        approvals=[(c.id, c.decided_by, c.closed_at) for c in rows.cases if c.case_class == APPROVAL and c.closed_at],
    )


def moments(rows: DealRows) -> list[datetime]:
    """When anything was told, sent, settled, asked or decided."""
    found = [event.recorded_at for event in rows.events if event.correlation_id == rows.deal]
    found += [effect.settled_at or effect.intended_at for effect in rows.effects]
    found += [case.closed_at or case.opened_at for case in rows.cases]
    return found


# --- documents and money ----------------------------------------------------------------------------------------------


def _documents(rows: DealRows) -> list[Document]:
    """Each document once, deeds among them, in the order of the systems and of their making."""
    latest: dict[tuple[str, str, str, str], Effect] = {}
    first_at: dict[tuple[str, str, str, str], datetime] = {}
    for effect in sorted(rows.effects, key=lambda e: (e.intended_at, e.revision)):
        first_at.setdefault(effect.key, effect.intended_at)
        latest[effect.key] = effect
    return [_document(rows, latest[key]) for key in sorted(latest, key=lambda key: (key[0], first_at[key]))]


def _document(rows: DealRows, effect: Effect) -> Document:
    reference = rows.references.get(effect.key[:3])
    content = msgspec.json.decode(effect.content) if effect.content else {}
    amount = content.get("amount")
    return Document(
        connection=effect.connection,
        kind=effect.kind,
        action=effect.action,
        canonical_id=effect.canonical_id,
        name=document_name(effect),
        external_id=effect.external_id,
        display=reference.display if reference else "",
        state=effect.state,
        revisions=effect.revision,
        amount=f"{amount['amount']} {amount['currency']}" if isinstance(amount, dict) else "",
        mapping=effect.mapping,
        at=effect.settled_at or effect.intended_at,
        response=effect.response,
    )


def _stages(money: DealMoney, documents: list[Document]) -> list[Stage]:
    of = {kind: [d for d in documents if d.kind == kind and d.action == "ensure"] for kind in (*_AMOUNTS, "order")}
    standing_there = {kind: [d for d in found if d.state is EffectState.APPLIED] for kind, found in of.items()}
    stages = [
        Stage(name="Booked", amount=money.booked, explained="the lines that were sold", documents=of["order"]),
        Stage(name="Billed", amount=money.billed, explained="invoices of billing, with tax", documents=of["invoice"]),
    ]
    if money.credited:
        stages.append(
            Stage(name="Credited", amount=money.credited, explained="credit notes", documents=of["credit_note"])
        )
    posted = money.posted - money.credited_posted
    stages += [
        Stage(
            name="Posted",
            amount=posted,
            explained="of that in the ERP, less credit notes" if money.credited else "of that in the ERP",
            documents=[*standing_there["invoice"], *standing_there["credit_note"]],
            differs=bool(money.not_posted),
        ),
        Stage(
            name="Paid",
            amount=money.paid,
            explained="payments in the ERP, this deal's share",
            documents=standing_there["payment"],
            differs=bool(money.owed),
        ),
    ]
    return stages


async def _related(view: View, deal: str, family: list[Customer]) -> list[ListedDeal]:
    """The newest other deals of the customer, and of the companies above it."""
    found: dict[str, ListedDeal] = {}
    for customer in reversed(family):
        for other in await view.store.deals(DealFilter(customer=customer.id), limit=RELATED + 1):
            found.setdefault(other.id, other)
    found.pop(deal, None)
    return list(found.values())[:RELATED]


# --- the timeline -----------------------------------------------------------------------------------------------------


def _page(rows: DealRows, until: int, everything: bool) -> tuple[list[Entry], int, int]:
    """The entries of a page, the number of those before it, and of all. Only what is on the page is put into words."""
    places = [(event.recorded_at, event.seq, "event", at) for at, event in enumerate(rows.events)]
    places += [(effect.intended_at, 1 << 60, "effect", at) for at, effect in enumerate(rows.effects)]
    places += [(case.opened_at, 1 << 60, "case", at) for at, case in enumerate(rows.cases)]
    places.sort()
    end = until if 0 < until < len(places) else len(places)
    first = max(end - ENTRIES, 0)
    shown = places[first:end]
    part = msgspec.structs.replace(
        rows,
        events=[rows.events[at] for _, _, what, at in shown if what == "event"],
        effects=[rows.effects[at] for _, _, what, at in shown if what == "effect"],
        cases=[rows.cases[at] for _, _, what, at in shown if what == "case"],
    )
    entries = timeline(part)
    return (entries if everything else main_line(entries)), first, len(places)
