"""What payments and credit memos settle: which invoice, how much, and what remains of each.

Invariants: an invoice is never settled beyond its total, nor a payment or memo beyond its own amount.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from decimal import Decimal

from tieline_sandbox.netsuite.drafts import Draft
from tieline_sandbox.netsuite.entities import root_of
from tieline_sandbox.netsuite.errors import invalid_value, user_error
from tieline_sandbox.netsuite.store import Entry, Record, Store, customer_of

ZERO = Decimal(0)


class Applications:
    """Amounts applied, by invoice and then by the payment or memo that applies them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._by_invoice: dict[str, dict[str, Decimal]] = defaultdict(dict)
        self._by_source: dict[str, frozenset[str]] = {}

    def paid(self, invoice_id: str, *, besides: str | None = None) -> Decimal:
        sources = self._by_invoice.get(invoice_id)
        if not sources:
            return ZERO
        return sum((amount for source, amount in sources.items() if source != besides), ZERO)

    def applied_by(self, source_id: str) -> Decimal:
        """What a payment, memo or application of a deposit settles, all invoices together."""
        invoices = self._by_source.get(source_id, frozenset())
        return sum((self._by_invoice[invoice][source_id] for invoice in invoices), ZERO)

    def links(self) -> list[tuple[str, str, Decimal]]:
        """(invoice id, payment or memo id, amount) of everything applied."""
        return [
            (invoice, source, amount)
            for invoice, sources in self._by_invoice.items()
            for source, amount in sources.items()
        ]

    def settle(self, draft: Draft, available: Decimal | None, unit: Decimal) -> Decimal:
        """Check and complete the `apply` lines of the draft; returns their sum.

        available: what the payment or memo holds; None when the sum of its lines is to become its amount.
        """
        left = available
        lines: dict[str, Record] = {}
        applied: dict[str, Decimal] = {}
        for index, line in enumerate(draft.lines("apply")):
            if line.get("apply") is False:
                continue
            invoice = self._invoice(draft, line, f"apply.items[{index}].doc")
            amount = self._amount(draft, line, invoice, left, unit, f"apply.items[{index}].amount")
            if not amount:
                continue
            # A list to apply to holds each document once: of two lines for one, the later counts.
            left = None if left is None else left + applied.get(invoice["id"], ZERO) - amount
            applied[invoice["id"]] = amount
            lines.pop(invoice["id"], None)
            lines[invoice["id"]] = self._line(len(lines) + 1, draft.id, invoice, amount)
        if left is not None and left < 0:
            raise user_error("You cannot apply more than your total payments.")
        draft.applied = applied
        if lines or "apply" in draft.new:
            draft.new["apply"] = {"items": list(lines.values())}
        return sum(applied.values(), ZERO)

    def propose(self, draft: Draft, available: Decimal) -> None:
        """autoApply: the customer's open invoices in this currency, oldest due date first."""
        customer, currency = customer_of(draft.new), draft.new["currency"]["id"]
        open_ones = [
            entry.doc
            for entry in self._store.by_customer.get(customer or "", {}).values()
            if entry.kind == "invoice" and entry.doc["currency"]["id"] == currency
        ]
        lines = []
        for invoice in sorted(open_ones, key=lambda doc: (doc["dueDate"], int(doc["id"]))):
            amount = min(available, invoice["total"] - self.paid(invoice["id"], besides=draft.id))
            if amount > 0:
                available -= amount
                lines.append({"doc": {"id": invoice["id"]}, "apply": True, "amount": amount})
        draft.new["apply"] = {"items": lines}

    def commit(self, source_id: str, applied: dict[str, Decimal], now: datetime) -> None:
        """Take over what a stored payment or memo applies; invoices it let go of are open again."""
        for invoice_id in self._by_source.get(source_id, frozenset()) - applied.keys():
            del self._by_invoice[invoice_id][source_id]
            self._restate(invoice_id, now)
        for invoice_id, amount in applied.items():
            if self._by_invoice[invoice_id].get(source_id) != amount:
                self._by_invoice[invoice_id][source_id] = amount
                self._restate(invoice_id, now)
        self._by_source[source_id] = frozenset(applied)

    def _restate(self, invoice_id: str, now: datetime) -> None:
        entry: Entry = self._store.kinds["invoice"][invoice_id]
        entry.doc = entry.doc | invoice_standing(entry.doc["total"], self.paid(invoice_id))
        entry.doc["lastModifiedDate"] = f"{now:%Y-%m-%dT%H:%M:%SZ}"
        self._store.touch(entry, now)

    def _invoice(self, draft: Draft, line: Record, path: str) -> Record:
        reference = line.get("doc")
        if not reference:
            raise user_error("Please enter value(s) for: Doc.")
        invoice = self._store.get("invoice", reference["id"])
        customer = customer_of(draft.new) or ""
        same_family = root_of(self._store, invoice["entity"]["id"]) == root_of(self._store, customer)
        # The list to apply to holds the customer's documents in the payment's currency, and nothing else.
        if not same_family or invoice["currency"]["id"] != draft.new["currency"]["id"]:
            raise invalid_value(invoice["id"], "doc", path)
        return invoice

    def _amount(
        self, draft: Draft, line: Record, invoice: Record, left: Decimal | None, unit: Decimal, path: str
    ) -> Decimal:
        due: Decimal = invoice["total"] - self.paid(invoice["id"], besides=draft.id)
        if "amount" not in line:
            return due if left is None else max(ZERO, min(due, left))
        amount: Decimal = line["amount"].quantize(unit)
        if amount < 0:
            raise invalid_value(amount, "amount", path)
        if amount > due:
            raise user_error(
                f"The amount applied ({amount}) can not exceed the amount due ({due}) of {invoice['tranId']}."
            )
        return amount

    def _line(self, number: int, source_id: str, invoice: Record, amount: Decimal) -> Record:
        return {
            "line": number,
            "doc": {"id": invoice["id"], "refName": f"Invoice #{invoice['tranId']}"},
            "apply": True,
            "amount": amount,
            "applyDate": invoice["tranDate"],
            "due": invoice["total"] - self.paid(invoice["id"], besides=source_id),
            "refNum": invoice["tranId"],
            "total": invoice["total"],
            "type": "Invoice",
        }


def invoice_standing(total: Decimal, paid: Decimal) -> Record:
    """amountPaid, amountRemaining and status of an invoice. Raises USER_ERROR when more is applied than it totals."""
    if paid > total:
        raise user_error(f"The total ({total}) can not be less than the amount already applied ({paid}).")
    status = "Open" if paid < total else "Paid In Full"
    return {"amountPaid": paid, "amountRemaining": total - paid, "status": {"id": status, "refName": status}}
