"""A view on a memory store, and the rows of a small deal to look at."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
from tests.support.engine import NOW

from tieline.app.views.reading import View
from tieline.domain import (
    Address,
    BillingPeriod,
    ChargeKind,
    Contract,
    ContractLine,
    Customer,
    Invoice,
    InvoiceLine,
    Money,
)
from tieline.engine.effects import encode_document
from tieline.engine.ports import Batch, Store
from tieline.engine.records import (
    CaseRow,
    Effect,
    EffectState,
    EntityRow,
    JournalEntry,
    Reference,
    RunRow,
    RunState,
)
from tieline.engine.run import to_builtins
from tieline.events import (
    Event,
    EventData,
    InvoiceIssued,
    InvoicePosted,
    LoggedEvent,
    OpportunityWon,
    VendorNotified,
    make_event,
)
from tieline.mapping import MappingSet

NATIVE = "006Aa000001XyZ1IAK"
DEAL = f"crm-{NATIVE}"
CUSTOMER = "crm-001Aa000001AcmeIAC"
INVOICE = "billing-INV1"


def view_on(store: Store, database: Path = Path("tieline.db")) -> View:
    """A project with three connections and no mapping tables."""
    return View(
        store=store,
        mappings=MappingSet({}, {}),
        vendors={"crm": "salesforce", "billing": "zuora", "erp": "netsuite"},
        operations={},
        database=database,
    )


def contract(native: str = NATIVE, customer: str = CUSTOMER) -> Contract:
    line = ContractLine(
        id=f"00k{native[3:]}",
        number=1,
        product="GTX Pro",
        kind=ChargeKind.ONE_TIME,
        quantity=Decimal(1),
        list_price=Money(Decimal("100.00"), "EUR"),
        unit_price=Money(Decimal("100.00"), "EUR"),
        net=Money(Decimal("100.00"), "EUR"),
        starts_on=date(2026, 3, 1),
        ends_on=date(2027, 2, 28),
    )
    return Contract(
        id=f"crm-{native}",
        number=native,
        name="Acme platform",
        customer=customer,
        legal_entity="DE01",
        currency="EUR",
        won_on=date(2026, 3, 1),
        starts_on=date(2026, 3, 1),
        term_months=12,
        billing_period=BillingPeriod.MONTH,
        payment_terms="Net 30",
        lines=[line],
    )


def won(native: str = NATIVE) -> OpportunityWon:
    buyer = Customer(id=CUSTOMER, name="Acme GmbH", currency="EUR", billing_address=Address(country="DE"))
    return OpportunityWon(contract=contract(native), customers=[buyer])


def invoice() -> Invoice:
    line = InvoiceLine(
        id="i1",
        line=f"00k{NATIVE[3:]}",
        charge=f"C-00k{NATIVE[3:]}",
        product="GTX Pro",
        quantity=Decimal(1),
        net=Money(Decimal("100.00"), "EUR"),
    )
    return Invoice(
        id=INVOICE,
        number="INV1",
        customer=CUSTOMER,
        contract=DEAL,
        subscription="S-1",
        currency="EUR",
        issued_on=date(2026, 3, 1),
        due_on=date(2026, 3, 31),
        amount=Money(Decimal("100.00"), "EUR"),
        lines=[line],
    )


class Ledger:
    """Writes rows as a worker would, one second of the clock between them."""

    def __init__(self, store: Store) -> None:
        self.store, self.now = store, NOW

    async def tell(self, data: EventData, ident: str, source: str = "tieline", cause: str = "") -> LoggedEvent:
        event: Event = make_event(data, source=source, id=ident, time=self.tick(), causation_id=cause)
        return (await self.store.commit(Batch(events=[event])))[0].event

    async def notice(self, kind: str, native_id: str, source: str = "crm") -> LoggedEvent:
        data = VendorNotified(connection=source, kind=kind, native_id=native_id)
        return await self.tell(data, f"{kind}/{native_id}/{self.now:%H%M%S}", source)

    async def ran(self, process: str, event: LoggedEvent, deal: str = DEAL, **fields: object) -> RunRow:
        base = {"state": RunState.DONE, "ended_at": self.tick(), "started_at": self.now, "key": deal or event.subject}
        row = RunRow(
            id=f"{process}:{event.seq}",
            process=process,
            version="1",
            event_seq=event.seq,
            event_id=event.id,
            correlation_id=deal,
            **{**base, **fields},  # type: ignore[arg-type]
        )
        await self.store.commit(Batch(runs=[row]))
        return row

    async def journaled(self, run_id: str, position: int, kind: str, name: str) -> None:
        entry = JournalEntry(run_id=run_id, position=position, kind=kind, name=name, payload=b"true", at=self.now)
        await self.store.commit(Batch(journal=[entry]))

    async def wrote(
        self, connection: str, kind: str, document: object, external_id: str, display: str = "", **fields: object
    ) -> Effect:
        content = encode_document(to_builtins(document))
        at = self.tick()
        state = EffectState.APPLIED if external_id else EffectState.INTENDED
        base = {"state": state, "settled_by": "answer", "attempts": 1, "settled_at": at + timedelta(milliseconds=20)}
        effect = Effect(
            connection=connection,
            kind=kind,
            canonical_id=document.id,  # type: ignore[attr-defined]
            content=content,
            content_hash="h",
            external_id=external_id,
            correlation_id=DEAL,
            intended_at=at,
            **{**base, **fields},  # type: ignore[arg-type]
        )
        batch = Batch(effects=[effect])
        if effect.state is EffectState.APPLIED:
            batch.references = [
                Reference(
                    connection=connection,
                    kind=kind,
                    canonical_id=effect.canonical_id,
                    external_id=external_id,
                    display=display,
                    at=at,
                )
            ]
        await self.store.commit(batch)
        return effect

    async def knows(self, kind: str, document: object, deal: str = DEAL) -> None:
        row = EntityRow(
            kind=kind,
            id=document.id,  # type: ignore[attr-defined]
            content_hash="h",
            content=msgspec.json.encode(document),
            correlation_id=deal,
            updated_at=self.now,
        )
        await self.store.commit(Batch(entities=[row]))

    async def case(self, ident: str, run_id: str, deal: str = DEAL, **fields: object) -> CaseRow:
        opened_at = self.tick()
        base = {"case_class": "unknown-product", "owner": "revops", "message": "Product `X` has no item"}
        base |= {"due_at": opened_at + timedelta(hours=8)}  # type: ignore[dict-item]
        row = CaseRow(
            id=ident,
            cause="c",
            run_id=run_id,
            position=1,
            correlation_id=deal,
            opened_at=opened_at,
            **{**base, **fields},  # type: ignore[arg-type]
        )
        await self.store.commit(Batch(cases=[row]))
        return row

    def tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


async def small_deal(store: Store) -> Ledger:
    """A deal that was won, billed once and posted once: 100 EUR."""
    ledger = Ledger(store)
    hint = await ledger.notice("opportunity", NATIVE)
    await ledger.ran("read-opportunity", hint, deal="")
    await ledger.journaled(f"read-opportunity:{hint.seq}", 1, "record", f"contract/{DEAL}")
    news = await ledger.tell(won(), f"read-opportunity:{hint.seq}/1", cause=hint.id)
    await ledger.knows("contract", contract())
    await ledger.ran("quote-to-cash", news)
    await ledger.wrote("erp", "customer", won().customers[0], "12")
    await ledger.wrote("erp", "order", contract(), "12", run_id=f"quote-to-cash:{news.seq}")
    issued = await ledger.tell(InvoiceIssued(invoice=invoice()), "read-invoice:9/1")
    await ledger.knows("invoice", invoice())
    await ledger.wrote("erp", "invoice", invoice(), "77", version=issued.seq, event_id=issued.id)
    amount = Money(Decimal("100.00"), "EUR")
    posted = InvoicePosted(contract=DEAL, connection="erp", document=INVOICE, external_id="77", amount=amount)
    await ledger.tell(posted, "post-invoice:9/4", cause=issued.id)
    return ledger
