"""The tenant: settings, tables, numbering and the ids everything else is keyed by."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from tieline_sandbox.kernel.world import World
from tieline_sandbox.zuora.dates import stamp, v1_stamp
from tieline_sandbox.zuora.store import Record, Table

USER = "8ad0950c8292b79a018297e0b5ec5f4a"
Announce = Callable[[str, Record], None]


@dataclass
class Settings:
    """What a person sets in the tenant's administration, and what the sandbox's control API configures."""

    client_id: str = "00000000-0000-0000-0000-00000tieline"
    client_secret: str = "sandbox-secret"  # noqa: S105 - the sandbox's own
    token_lifetime_s: float = 3600
    token_limit_per_min: int = 100
    rate_limit_per_min: int = 50_000
    concurrency_limit: int = 40
    high_volume_limit: int = 200
    # The vendor's own Retry-After on 429 is 120 s.
    retry_after_s: int = 2
    latency_s: float = 0.0
    async_delay_s: float = 0.1
    activation_delay_s: float = 0.0
    bill_run: bool = True
    collect: bool = True
    invoice_separately: bool = True
    credit_memo_on_cancel: bool = True
    require_service_activation: bool = False
    require_customer_acceptance: bool = False
    callouts: Record | None = None
    callouts_on: bool = True
    callout_retry_after_s: tuple[float, ...] = (0.2, 0.5, 1.0)
    currencies: tuple[str, ...] = (
        "USD", "EUR", "GBP", "CAD", "AUD", "CHF", "JPY", "SEK", "NOK", "DKK", "PLN", "INR", "SGD", "NZD", "BRL", "MXN",
    )  # fmt: skip
    payment_terms: dict[str, int] = field(
        default_factory=lambda: {
            "Due Upon Receipt": 0, "Net 7": 7, "Net 10": 10, "Net 14": 14, "Net 15": 15, "Net 20": 20, "Net 30": 30,
            "Net 45": 45, "Net 60": 60, "Net 75": 75, "Net 90": 90, "Net 120": 120,
        }
    )  # fmt: skip
    uoms: tuple[str, ...] = (
        "Each",
        "User",
        "Users",
        "Seat",
        "License",
        "GB",
        "Hour",
        "API calls",
        "Transactions",
        "Units",
    )


@dataclass
class Billed:
    """What one charge was billed for [start, end), so that the rest of it can be credited."""

    start: date
    end: date
    amount: Decimal
    quantity: Decimal
    item_id: str


class Tenant:
    """All state of the vendor. Rules live in the modules beside it; each takes the tenant first."""

    def __init__(self, world: World, announce: Announce) -> None:
        self.world, self._announce = world, announce
        self.reset()

    def reset(self) -> None:
        self.settings = Settings()
        self._minted = 0
        self._numbers: dict[str, int] = {}
        self.quiet = False
        # Callouts of an order that is being carried out: sent when all of it has succeeded.
        self.held: list[tuple[str, Record]] | None = None
        self._reset_tables()
        self.order_bodies: dict[str, Record] = {}
        self.draft_bodies: dict[str, Record] = {}
        self.jobs: dict[str, Record] = {}
        self.files: dict[str, bytes] = {}
        self.locators: dict[str, list[Record]] = {}
        # The sorted result of the latest long object query of each kind, for its next pages.
        self.pages: dict[str, tuple[Any, list[Record], dict[str, int]]] = {}
        self.billed: dict[str, list[Billed]] = {}
        self.rated_usage: dict[tuple[str, date], tuple[Decimal, Decimal]] = {}
        self.due_charges: list[tuple[date, str]] = []
        self.due_invoices: list[tuple[date, str]] = []
        self.due_terms: list[tuple[date, str]] = []

    def _reset_tables(self) -> None:
        self.accounts = Table("accounts", "accountNumber", ("name", "crmId", "parentId"))
        self.contacts = Table("contacts", None, ("accountId",))
        self.products = Table("products", "productNumber", ("sKU", "name"))
        self.rate_plans_catalog = Table("product-rate-plans", "productRatePlanNumber", ("productId",))
        self.charges_catalog = Table("product-rate-plan-charges", "productRatePlanChargeNumber", ("productRatePlanId",))
        self.orders = Table("orders", "orderNumber", ("accountId",))
        self.subscriptions = Table("subscriptions", "name", ("accountId", "status"))
        self.ramps = Table("ramps", "number", ("subscriptionNumber",))
        self.rate_plans = Table("rate-plans", "subscriptionRatePlanNumber", ("subscriptionId",))
        self.charges = Table("rate-plan-charges", "chargeNumber", ("ratePlanId", "subscriptionId"))
        self.imports = Table("imports", None, ("name",))
        self.usages = Table("usages", None, ("accountId", "ratePlanChargeId"))
        self.invoices = Table("invoices", "invoiceNumber", ("accountId", "sourceId"))
        self.invoice_items = Table("invoice-items", None, ("invoiceId", "subscriptionId"))
        self.credit_memos = Table("credit-memos", "memoNumber", ("accountId", "invoiceId"))
        self.credit_memo_items = Table("credit-memo-items", None, ("creditMemoId",))
        self.credit_memo_parts = Table("credit-memo-parts", None, ("creditMemoId", "invoiceId", "debitMemoId"))
        self.debit_memos = Table("debit-memos", "memoNumber", ("accountId", "invoiceId"))
        self.debit_memo_items = Table("debit-memo-items", None, ("debitMemoId",))
        self.payments = Table("payments", "paymentNumber", ("accountId",))
        self.payment_parts = Table("payment-parts", None, ("paymentId", "invoiceId", "debitMemoId"))
        self.refunds = Table("refunds", "refundNumber", ("accountId", "paymentId", "creditMemoId"))
        self.refund_parts = Table("refund-parts", None, ("refundId",))
        self.bill_runs = Table("bill-runs", "billRunNumber")
        self.definitions = Table("notification-definitions", None, ("eventTypeName",))
        self.callouts = Table("callout-history")
        self.tables = {t.kind: t for t in vars(self).values() if isinstance(t, Table)}

    def new_id(self) -> str:
        """32 hexadecimal digits; later ids sort after earlier ones."""
        self._minted += 1
        return f"8ad0876e8c2f4a10{self._minted:016x}"

    def number(self, prefix: str) -> str:
        """The next of a number sequence: `INV00000001`, `P-00000001`…"""
        self._numbers[prefix] = self._numbers.get(prefix, 0) + 1
        return f"{prefix}{self._numbers[prefix]:08d}"

    def now(self) -> str:
        return stamp(self.world.now())

    def today(self) -> date:
        return self.world.now().date()

    def stamped(self, record: Record) -> Record:
        """The record with an id and the audit fields."""
        now = self.now()
        audit = {"createdById": USER, "createdDate": now, "updatedById": USER, "updatedDate": now}
        return {"id": self.new_id(), **record, **audit}

    def touch(self, table: Table, record: Record) -> None:
        table.touch(record, self.now(), USER)

    def announce(self, event: str, ids: Record) -> None:
        """Send a callout, unless records are being seeded or an order is under way."""
        if self.held is not None:
            self.held.append((event, ids))
        elif not self.quiet:
            self._announce(event, ids)

    def wait_for_charge(self, on: date, charge_id: str) -> None:
        heapq.heappush(self.due_charges, (on, charge_id))


def audit_v1(record: Record) -> Record:
    """The audit fields as `/v1` writes them."""
    return {
        "createdById": record["createdById"],
        "createdDate": v1_stamp(record["createdDate"]),
        "updatedById": record["updatedById"],
        "updatedDate": v1_stamp(record["updatedDate"]),
    }


def custom_fields(record: Record) -> Record:
    """The `__c` fields (and the `__NS`, `__QT` ones of the vendor's own packages)."""
    return {k: v for k, v in record.items() if k.endswith(("__c", "__NS", "__QT"))}


Query = dict[str, Any]
