"""The account: its settings, its records, and what may be done to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from tieline_sandbox.kernel.world import World
from tieline_sandbox.netsuite import credit, orders
from tieline_sandbox.netsuite.applications import Applications
from tieline_sandbox.netsuite.drafts import Draft, merge_lines
from tieline_sandbox.netsuite.entities import prepare_contact, prepare_customer, prepare_job
from tieline_sandbox.netsuite.errors import already_exists, no_such_record, user_error, wrong_transaction_type
from tieline_sandbox.netsuite.field_sets import CREDIT_KINDS, ITEM_KINDS, RecordSpec
from tieline_sandbox.netsuite.fields import SPECS
from tieline_sandbox.netsuite.lists import (
    first_world,
    prepare_currency,
    prepare_item,
    prepare_period,
    prepare_setup,
    prepare_subsidiary,
)
from tieline_sandbox.netsuite.periods import Calendar, refuse_shut_change
from tieline_sandbox.netsuite.store import Entry, Record, Store
from tieline_sandbox.netsuite.transactions import (
    prepare_credit_memo,
    prepare_invoice,
    prepare_journal,
    prepare_payment,
    prepare_sales_order,
)
from tieline_sandbox.netsuite.transforms import propose
from tieline_sandbox.netsuite.values import Reading, read_body

Rule = Callable[["Account", Draft], None]

RULES: dict[str, Rule] = {
    "customer": prepare_customer,
    "contact": prepare_contact,
    "job": prepare_job,
    "salesOrder": prepare_sales_order,
    "invoice": prepare_invoice,
    "creditMemo": prepare_credit_memo,
    "customerPayment": prepare_payment,
    "customerDeposit": credit.prepare_deposit,
    "depositApplication": credit.prepare_deposit_application,
    "customerRefund": credit.prepare_refund,
    "itemFulfillment": orders.prepare_fulfillment,
    "journalEntry": prepare_journal,
    "currency": prepare_currency,
    "subsidiary": prepare_subsidiary,
    "accountingPeriod": prepare_period,
    **dict.fromkeys(ITEM_KINDS, prepare_item),
}

PREFIXES = {
    "customer": "CUST",
    "job": "PRJ",
    "salesOrder": "SO",
    "invoice": "INV",
    "creditMemo": "CM",
    "customerPayment": "PYMT",
    "customerDeposit": "CD",
    "depositApplication": "DA",
    "customerRefund": "CR",
    "itemFulfillment": "IF",
    "journalEntry": "JE",
}

FIRST_KINDS = frozenset({"currency", "term", "accountingPeriod", "billingSchedule", "account"})
READ_ONLY_SEEDS = frozenset({"total", "subTotal", "amountRemaining", "amountPaid", "status", "links"})


class Settings(msgspec.Struct, kw_only=True):
    """What `configure` sets, besides credentials."""

    auto_numbering: bool = True
    customer_currencies: str = "primary"  # or "any": then every active currency is good for every customer
    strict_period_dates: bool = False  # refuse a date outside the posting period even when the period is given
    custom_fields: list[str] | None = None  # when given, other cust… names are unknown fields
    slots: int = 5
    service_ms: float = 0.0  # how long a request holds its slot
    job_ms: float = 0.0  # how long an asynchronous job stays pending, and again processing
    time_zone: str = "UTC"  # the company's: SuiteQL reads and writes times in it
    restlet_units: int = 5000  # what one execution of a script may spend
    administrator: bool = True  # may read governanceLimits


class WriteOptions(msgspec.Struct, kw_only=True):
    """The headers and query parameters that change how a body is read."""

    names: str = "Warning"
    values: str = "Error"
    replace: frozenset[str] = frozenset()
    seeding: bool = False


SYNCHRONOUS = WriteOptions()


class Account:
    """Everything one NetSuite account holds. Each write is checked whole before anything is stored."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.reset()

    def reset(self) -> None:
        self.settings = Settings()
        self.store = Store()
        self.applications = Applications(self.store)
        self.calendar = Calendar(self.store)
        self._numbers: Counter[str] = Counter()
        for kind, records in first_world():
            self.seed(kind, records)

    # --- reading -------------------------------------------------------------------------------------------------

    def locate(self, kind: str, key: str) -> Entry:
        """By internal id or `eid:…`. The id of another type of transaction is refused in words of its own."""
        if key.startswith("eid:"):
            entry = self.store.find_external(kind, key[4:])
        else:
            entry = self.store.find(kind, key)
            if entry is None and SPECS[kind].family == "transaction" and key in self.store.family(kind).entries:
                raise wrong_transaction_type()
        if entry is None:
            raise no_such_record()
        return entry

    # --- writing -------------------------------------------------------------------------------------------------

    def create(self, kind: str, body: Any, options: WriteOptions = SYNCHRONOUS) -> tuple[Entry, list[str]]:
        """Returns the entry and the paths of what was dropped with a warning. Raises NetSuiteError."""
        return self._write(kind, None, body, options)

    def update(self, entry: Entry, body: Any, options: WriteOptions = SYNCHRONOUS) -> tuple[Entry, list[str]]:
        return self._write(entry.kind, entry, body, options)

    def upsert(self, kind: str, external_id: str, body: Any, options: WriteOptions) -> tuple[Entry, list[str]]:
        if isinstance(body, dict):
            body = body | {"externalId": external_id}
        return self._write(kind, self.store.find_external(kind, external_id), body, options)

    def delete(self, entry: Entry) -> None:
        if entry.kind not in ("subsidiary", "currency") and SPECS[entry.kind].family == "transaction":
            refuse_shut_change(Draft(entry.kind, entry.doc, entry.doc, frozenset({"delete"})), self.store)
        if self.store.is_used(entry):
            raise user_error("This record cannot be deleted because it has dependent records.")
        now = self.now()
        self.applications.commit(entry.id, {}, now)
        self.store.remove(entry, now)
        if entry.kind == "accountingPeriod":
            self.calendar.rebuild()
        if entry.kind in credit.SPENDING_KINDS:
            credit.restate_sources(self, entry.doc)
        if source := entry.doc.get("createdFrom"):
            orders.restate(self, source["id"])

    def transform(self, order: Entry, target: str, body: Any, options: WriteOptions) -> tuple[Entry, list[str]]:
        """Make a document from another: what is left to bill, ship, credit, pay or apply of it."""
        proposed = propose(self, order, target, body)
        created, warnings = self._write(target, None, proposed, options, source=order)
        orders.restate(self, order.id)
        return created, warnings

    def seed(self, kind: str, records: list[Record]) -> list[Record]:
        options = WriteOptions(names="Ignore", seeding=True)
        stored = []
        for record in records:
            body = {name: value for name, value in record.items() if name not in READ_ONLY_SEEDS}
            stored.append(self._write(kind, self._standing(kind, body), body, options)[0].doc)
        if kind == "accountingPeriod":
            self.calendar.rebuild()
        return stored

    def _standing(self, kind: str, body: Record) -> Entry | None:
        """The record of the first world that a seed describes anew, e.g. {"periodName": "Jan 2016", "closed": true}."""
        if kind not in FIRST_KINDS:
            return None
        name = body.get("symbol") or body.get(SPECS[kind].name_field)
        return self.store.find_named(kind, str(name))

    def close_periods(self, entries: list[Entry], *, closed: bool) -> list[str]:
        """What the period close checklist does; there is no API for it. Returns the names of the periods."""
        now = self.now()
        for entry in entries:
            entry.doc = entry.doc | {"closed": closed, "allLocked": closed, "arLocked": closed, "apLocked": closed}
            entry.doc.pop("closedOnDate", None)
            if closed:
                entry.doc["closedOnDate"] = f"{now:%Y-%m-%d}"
            self.store.touch(entry, now)
        return [entry.doc["periodName"] for entry in entries]

    def number(self, kind: str) -> str:
        """The next document or entity number, e.g. INV1001."""
        self._numbers[kind] += 1
        start = 0 if kind in ("customer", "job") else 1000
        return f"{PREFIXES[kind]}{self._numbers[kind] + start:04d}"

    def now(self) -> datetime:
        return self.world.now().replace(microsecond=0)

    def today(self) -> str:
        return f"{self.world.now():%Y-%m-%d}"

    # --- the one way a document comes into being ---------------------------------------------------------------------

    def _write(
        self, kind: str, entry: Entry | None, body: Any, options: WriteOptions, source: Entry | None = None
    ) -> tuple[Entry, list[str]]:
        spec = SPECS[kind]
        reading = self._reading(options)
        fields, lines = read_body(reading, spec, body)
        draft = self._draft(spec, entry, fields, lines, options)
        if source is not None:
            draft.new["createdFrom"] = {"id": source.id, "refName": f"{source.kind} #{source.doc['tranId']}"}
        self._refuse_taken_ids(spec, draft)
        RULES.get(kind, prepare_setup)(self, draft)
        return self._store(draft), reading.warnings

    def _reading(self, options: WriteOptions) -> Reading:
        listed = self.settings.custom_fields
        return Reading(
            self.store,
            options.names,
            options.values,
            None if listed is None else frozenset(listed),
            by_name=options.seeding,
        )

    def _draft(
        self,
        spec: RecordSpec,
        entry: Entry | None,
        fields: Record,
        lines: dict[str, list[Record]],
        options: WriteOptions,
    ) -> Draft:
        old = None if entry is None else entry.doc
        new = dict(old or {})
        for name, value in fields.items():
            if value is None:
                new.pop(name, None)
            else:
                new[name] = value
        for name, given in lines.items():
            before = (old or {}).get(name, {"items": []})["items"]
            new[name] = {"items": merge_lines(spec.sublists[name], before, given, replace=name in options.replace)}
        if old is None and "id" not in new:
            new = {"id": self.store.family(spec.kind).mint()} | new
        changed = frozenset(name for name in fields if old is None or old.get(name) != fields[name]) | lines.keys()
        return Draft(spec.kind, old, new, changed, options.seeding)

    def _refuse_taken_ids(self, spec: RecordSpec, draft: Draft) -> None:
        external_id = draft.new.get("externalId")
        if draft.old is None and draft.id in self.store.family(spec.kind).entries:
            raise already_exists(spec.family == "entity")
        if external_id is None:
            return
        holder = self.store.find_external(spec.kind, external_id)
        if holder is not None and holder.id != draft.id:
            raise already_exists(spec.family == "entity")

    def _store(self, draft: Draft) -> Entry:
        now, new = self.now(), draft.new
        stamp = f"{now:%Y-%m-%dT%H:%M:%SZ}"
        if draft.old is None:
            new["dateCreated" if "dateCreated" in SPECS[draft.kind].fields else "createdDate"] = stamp
        new["lastModifiedDate"] = stamp
        entry = self.store.put(draft.kind, new, now)
        if draft.kind in ("creditMemo", "customerPayment", "depositApplication"):
            self.applications.commit(entry.id, draft.applied, now)
        if draft.kind in credit.SPENDING_KINDS:
            for doc in (draft.old, new):
                if doc is not None:
                    credit.restate_sources(self, doc)
        if draft.kind == "accountingPeriod" and not draft.seeding:
            self.calendar.rebuild()
        return entry

    # --- what rules ask about other documents -----------------------------------------------------------------------

    def first_status(self, lines: list[Record]) -> str:
        return orders.first_status(self.store, lines)

    def refunded(self, draft: Draft) -> Decimal:
        """What refunds, and applications of a deposit, have drawn on a standing memo, payment or deposit."""
        return Decimal(0) if draft.old is None or draft.kind not in CREDIT_KINDS else credit.refunded(self, draft.old)
