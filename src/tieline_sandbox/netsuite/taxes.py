"""Tax of a sale: from the tax codes of its lines, or as the request gives it.

A line with a tax code has its tax computed, and the document's `taxTotal` is their sum, whatever was sent. Without
codes the account takes `taxTotal` as sent: that is how another system's tax engine writes its result.
Source: REST API browser 2026.1 (`taxTotal`, `taxCode`, `tax1Amt`, `grossAmt`, all amounts in the document's currency).
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from tieline_sandbox.netsuite.drafts import Draft
from tieline_sandbox.netsuite.errors import invalid_value
from tieline_sandbox.netsuite.store import Record, Store

ZERO = Decimal(0)


def settle_tax(store: Store, draft: Draft, lines: list[Record], unit: Decimal) -> Decimal:
    """Complete the lines and return the document's tax."""
    coded = [_settle_line(store, line, unit) for line in lines if line.get("taxCode")]
    if coded:
        return sum(coded, ZERO)
    was_coded = any("taxCode" in line for line in ((draft.old or {}).get("item") or {"items": []})["items"])
    if was_coded and "taxTotal" not in draft.changed:
        return ZERO
    tax: Decimal = draft.new.get("taxTotal", ZERO).quantize(unit, ROUND_HALF_UP)
    if tax < 0:
        raise invalid_value(tax, "taxtotal", "taxTotal")
    return tax


def _settle_line(store: Store, line: Record, unit: Decimal) -> Decimal:
    rate: Decimal = store.get("salesTaxItem", line["taxCode"]["id"]).get("rate", ZERO)
    tax: Decimal = (line["amount"] * rate / 100).quantize(unit, ROUND_HALF_UP)
    line |= {"taxRate1": rate, "tax1Amt": tax, "grossAmt": line["amount"] + tax}
    return tax
