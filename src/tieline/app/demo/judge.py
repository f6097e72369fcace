"""Count what really stands in the systems, by asking the systems; Tieline's own ledger is not consulted.

For each deal that sales won, the judge looks for its customer, subscription, order, project, invoices and payments
in each system and compares documents and money. Something missing is lost; something there twice is doubled.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from tieline.app.demo.world import Sandboxes

Record = dict[str, Any]
Amounts = dict[str, Decimal]


class Sold(msgspec.Struct, frozen=True, kw_only=True):
    """What sales knows of a won deal: the truth that everything is measured against."""

    opportunity_id: str
    account_id: str
    currency: str
    value: Decimal
    overage: Decimal = Decimal(0)
    services: bool = False


class Verdict(msgspec.Struct, kw_only=True):
    """What was found. Amounts are per currency; `lost` and `doubled` name each document."""

    deals_won: int
    deals_complete: int
    deals_in_cases: int
    deals_cancelled: int
    customers: int
    subscriptions: int
    orders: int
    projects: int
    invoices: int
    credit_notes: int
    payments: int
    booked: Amounts
    billed: Amounts
    posted: Amounts
    paid: Amounts
    contracts: Amounts
    overage: Amounts
    credited: Amounts
    status_wrong: list[str]
    lost: list[str]
    doubled: list[str]
    unequal: list[str]
    disorder: list[str]

    @property
    def ties_out(self) -> bool:
        """Booked = billed = posted to the cent, and nothing lost, doubled, unequal or out of order."""
        found = (self.lost, self.doubled, self.unequal, self.disorder)
        return self.booked == self.billed == self.posted and not any(found)


class Systems(msgspec.Struct, kw_only=True):
    """Every document that stands, as the sandboxes tell it."""

    accounts: list[Record]
    orders: list[Record]
    subscriptions: list[Record]
    invoices: list[Record]
    invoice_items: list[Record]
    memos: list[Record]
    memo_parts: list[Record]
    payments: list[Record]
    ns_customers: list[Record]
    ns_orders: list[Record]
    ns_invoices: list[Record]
    ns_memos: list[Record]
    ns_payments: list[Record]
    projects: list[Record]
    project_references: list[Record]
    opportunities: list[Record]


async def read_systems(sandboxes: Sandboxes) -> Systems:
    """Ask every sandbox for everything."""
    kinds = {
        "accounts": ("zuora", "accounts"),
        "orders": ("zuora", "orders"),
        "subscriptions": ("zuora", "subscriptions"),
        "invoices": ("zuora", "invoices"),
        "invoice_items": ("zuora", "invoice-items"),
        "memos": ("zuora", "credit-memos"),
        "memo_parts": ("zuora", "credit-memo-parts"),
        "payments": ("zuora", "payments"),
        "ns_customers": ("netsuite", "customer"),
        "ns_orders": ("netsuite", "salesOrder"),
        "ns_invoices": ("netsuite", "invoice"),
        "ns_memos": ("netsuite", "creditMemo"),
        "ns_payments": ("netsuite", "customerPayment"),
        "projects": ("kantata", "workspaces"),
        "project_references": ("kantata", "external_references"),
        "opportunities": ("salesforce", "Opportunity"),
    }
    return Systems(**{field: await sandboxes.documents(*place) for field, place in kinds.items()})


def judge(sold: list[Sold], systems: Systems, in_cases: set[str]) -> Verdict:
    """Compare what was sold with what stands. `in_cases` are opportunity ids that wait for a person."""
    return _Judge(sold, systems, in_cases).verdict()


class _Judge:
    def __init__(self, sold: list[Sold], systems: Systems, in_cases: set[str]) -> None:
        self._sold, self._s, self._in_cases = sold, systems, in_cases
        self._lost: list[str] = []
        self._doubled: list[str] = []
        self._unequal: list[str] = []
        self._subscription = {s["name"].removeprefix("S-"): s for s in systems.subscriptions}
        self._deal_of_invoice = _deal_of_invoice(systems)
        self._orders = {o.get("externalId") for o in systems.ns_orders}
        self._customers = {c.get("externalId") for c in systems.ns_customers}
        self._accounts = {a["accountNumber"] for a in systems.accounts}
        self._projects = {r.get("service_model_ref") for r in systems.project_references}
        self._cancelled = {
            deal for deal, s in self._subscription.items() if str(s.get("status", "")).lower() == "cancelled"
        }

    def verdict(self) -> Verdict:
        complete = [s for s in self._sold if s.opportunity_id not in self._in_cases]
        for deal in complete:
            self._find_documents(deal)
        self._find_doubles()
        self._compare_books()
        counted = [s for s in complete if s.opportunity_id not in self._cancelled]
        mine = {s.opportunity_id for s in counted}
        contracts, overage = (
            _sum((s.currency, s.value) for s in counted),
            _sum((s.currency, s.overage) for s in counted),
        )
        credited = self._memos_of(self._s.memos, mine)
        return Verdict(
            deals_won=len(self._sold),
            deals_complete=len(counted),
            deals_in_cases=len(self._sold) - len(complete),
            deals_cancelled=len(complete) - len(counted),
            customers=len(self._s.accounts),
            subscriptions=len(self._s.subscriptions),
            orders=len(self._s.ns_orders),
            projects=len(self._s.projects),
            invoices=len(self._s.ns_invoices),
            credit_notes=len(self._s.ns_memos),
            payments=len(self._s.ns_payments),
            contracts=contracts,
            overage=overage,
            credited=credited,
            booked=_less(_plus(contracts, overage), credited),
            billed=_less(self._billed(mine), credited),
            posted=_less(self._posted(mine), self._posted_memos(mine)),
            paid=_sum((_currency(p), p["payment"]) for p in self._s.ns_payments),
            status_wrong=self._status_wrong(counted),
            lost=sorted(self._lost),
            doubled=sorted(self._doubled),
            unequal=sorted(self._unequal),
            disorder=self._disorder(),
        )

    # --- documents of each deal ---------------------------------------------------------------------------------------

    def _find_documents(self, deal: Sold) -> None:
        canonical, customer = f"salesforce-{deal.opportunity_id}", f"salesforce-{deal.account_id}"
        wanted = {
            f"customer {customer} in NetSuite": customer in self._customers,
            f"account {customer} in Zuora": customer in self._accounts,
            f"subscription S-{deal.opportunity_id} in Zuora": deal.opportunity_id in self._subscription,
            f"sales order {canonical} in NetSuite": canonical in self._orders,
        }
        if deal.services:
            wanted[f"project {canonical} in Kantata"] = canonical in self._projects
        self._lost += [name for name, there in wanted.items() if not there]

    def _find_doubles(self) -> None:
        """By what makes a document the same in business, not by the key that Tieline gave it."""
        businesses: dict[str, Iterable[Any]] = {
            "sales order in NetSuite for": (o.get("custbody_crm_opportunity") for o in self._s.ns_orders),
            "invoice in NetSuite for": (i.get("otherRefNum") for i in self._s.ns_invoices),
            "project in Kantata for": (p.get("title") for p in self._s.projects),
            "account in Zuora for": (a.get("crmId") for a in self._s.accounts),
            "subscription in Zuora for order": (o.get("orderNumber") for o in self._s.orders),
            "customer in NetSuite for": (c.get("externalId") for c in self._s.ns_customers),
            "payment in NetSuite": (p.get("externalId") for p in self._s.ns_payments),
            "credit memo in NetSuite": (m.get("externalId") for m in self._s.ns_memos),
        }
        for what, names in businesses.items():
            self._doubled += [f"{n} x {what} {name}" for name, n in Counter(filter(None, names)).items() if n > 1]

    # --- billing against ERP, document by document --------------------------------------------------------------------

    def _compare_books(self) -> None:
        self._compare("invoice", "invoiceNumber", self._s.invoices, self._s.ns_invoices, "total")
        self._compare("credit memo", "memoNumber", self._s.memos, self._s.ns_memos, "total", "totalAmount")
        processed = [p for p in self._s.payments if p.get("status") == "Processed"]
        self._compare("payment", "paymentNumber", processed, self._s.ns_payments, "payment")

    def _compare(
        self, what: str, number: str, billing: list[Record], books: list[Record], total: str, amount: str = "amount"
    ) -> None:
        posted = {b.get("externalId"): b for b in books}
        for document in billing:
            name = document[number]
            twin = posted.pop(f"zuora-{name}", None)
            if twin is None:
                self._lost.append(f"{what} {name} in NetSuite")
            elif Decimal(str(twin[total])) != Decimal(str(document[amount])):
                self._unequal.append(f"{what} {name}: {document[amount]} in Zuora, {twin[total]} in NetSuite")
        self._doubled += [f"{what} {name} in NetSuite without one in Zuora" for name in posted if name]

    # --- order --------------------------------------------------------------------------------------------------------

    def _disorder(self) -> list[str]:
        """Invoices that were written before the order of their deal; NetSuite numbers its transactions as they come."""
        orders = {o.get("custbody_crm_opportunity"): int(o["id"]) for o in self._s.ns_orders}
        return sorted(
            f"invoice {i.get('otherRefNum')} before the sales order of its deal"
            for i in self._s.ns_invoices
            if int(i["id"]) < orders.get(i.get("custbody_crm_opportunity"), 0)
        )

    # --- money --------------------------------------------------------------------------------------------------------

    def _billed(self, deals: set[str]) -> Amounts:
        mine = [i for i in self._s.invoices if self._deal_of_invoice.get(i["id"]) in deals]
        return _sum((_currency(i), i["amount"]) for i in mine)

    def _memos_of(self, memos: list[Record], deals: set[str]) -> Amounts:
        deal_of = {p["creditMemoId"]: self._deal_of_invoice.get(p.get("invoiceId", "")) for p in self._s.memo_parts}
        return _sum((_currency(m), m["totalAmount"]) for m in memos if deal_of.get(m["id"]) in deals)

    def _posted(self, deals: set[str]) -> Amounts:
        mine = [i for i in self._s.ns_invoices if _native(i.get("custbody_crm_opportunity")) in deals]
        return _sum((_currency(i), i["total"]) for i in mine)

    def _posted_memos(self, deals: set[str]) -> Amounts:
        mine = [m for m in self._s.ns_memos if _native(m.get("custbody_crm_opportunity")) in deals]
        return _sum((_currency(m), m["total"]) for m in mine)

    def _status_wrong(self, deals: list[Sold]) -> list[str]:
        """Deals whose status in the CRM does not say what the books say."""
        shown = {o["Id"]: o for o in self._s.opportunities}
        wrong = []
        for deal in deals:
            record = shown[deal.opportunity_id]
            mine = [i for i in self._s.ns_invoices if _native(i.get("custbody_crm_opportunity")) == deal.opportunity_id]
            open_amount = sum((Decimal(str(i["amountRemaining"])) for i in mine), Decimal(0))
            right = (
                ("Paid",)
                if mine and not open_amount
                else ("Invoiced", "Payment failed", "Project opened", "Order posted")
            )
            if record.get("Tieline_Status__c") not in right:
                wrong.append(f"{deal.opportunity_id} says {record.get('Tieline_Status__c')!r}, not {right[0]!r}")
        return wrong


def _deal_of_invoice(systems: Systems) -> dict[str, str]:
    name_of = {s["id"]: s["name"] for s in systems.subscriptions}
    deals: dict[str, str] = {}
    for item in systems.invoice_items:
        name = item.get("subscriptionNumber") or name_of.get(item.get("subscriptionId", ""), "")
        deals[item["invoiceId"]] = str(name).removeprefix("S-")
    return deals


def _native(canonical_id: Any) -> str:
    return str(canonical_id or "").rpartition("-")[2]


def _currency(document: Record) -> str:
    return str(document.get("currencysymbol") or document["currency"])


def _sum(amounts: Iterable[tuple[str, Any]]) -> Amounts:
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for currency, amount in amounts:
        totals[currency] += Decimal(str(amount))
    return {c: a.quantize(Decimal("0.01")) for c, a in sorted(totals.items()) if a}


def _plus(left: Amounts, right: Amounts) -> Amounts:
    return _sum([*left.items(), *right.items()])


def _less(left: Amounts, right: Amounts) -> Amounts:
    return _sum([*left.items(), *((c, -a) for c, a in right.items())])
