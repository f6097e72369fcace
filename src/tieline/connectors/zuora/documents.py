"""Reading documents whole: every item of an invoice, and what a payment or credit memo settles now.

Object query answers many ids in one call, but cuts expanded lists off at the page size; what may have been cut is
read again from the document's own path, so a document is complete or an error, never short.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from tieline.connectors.zuora.client import ZUORA_ID, ZuoraClient
from tieline.connectors.zuora.wire import Body
from tieline.errors import VendorUnavailable

LATEST = "islatestversion.EQ:true"
V1_PAGE = 40


class Spec(NamedTuple):
    """Where a kind of document is found: `number` is the field people know it by."""

    path: str
    number: str
    expand: tuple[str, ...] = ()
    only: tuple[str, ...] = ()


SPECS = {
    "invoice": Spec("invoices", "invoiceNumber", ("account", "invoiceitems")),
    "credit_memo": Spec("credit-memos", "memoNumber", ("account", "creditmemoitems", "creditmemoapplications")),
    "payment": Spec("payments", "paymentNumber", ("account", "paymentapplications")),
    "debit_memo": Spec("debit-memos", "memoNumber", ("account", "debitmemoitems")),
    "refund": Spec("refunds", "refundNumber", ("account", "refundapplications")),
    "subscription": Spec("subscriptions", "name", ("account", "order"), (LATEST,)),
    "account": Spec("accounts", "accountNumber", ("billto", "soldto")),
}


async def fetch(client: ZuoraClient, kind: str, ids: Sequence[str]) -> list[Body | None]:
    """Documents by Zuora id or by number, in the order asked; None for one that is not there.

    A subscription has an id for each of its versions: any of them leads to the version in force.
    """
    spec = SPECS[kind]
    by_id = [i for i in ids if ZUORA_ID.fullmatch(i)]
    by_number = [i for i in ids if not ZUORA_ID.fullmatch(i)]
    found = await client.listed(spec.path, "id", by_id, expand=spec.expand)
    if kind == "subscription":
        by_number += [str(s["name"]) for s in found if s.get("isLatestVersion") is False]
    found += await client.listed(spec.path, spec.number.lower(), by_number, expand=spec.expand, only=spec.only)
    await _complete(client, kind, found)
    # Object query ignores case, and a number that differs only in case may be another document: what is asked decides.
    keyed = {str(d[name]): d for d in found for name in ("id", spec.number) if d.get(name)}
    if kind == "subscription":
        current = {str(s["name"]): s for s in found if s.get("isLatestVersion") is not False}
        keyed |= current
        keyed |= {str(s["id"]): current.get(str(s["name"]), s) for s in found}
    return [keyed.get(i) for i in ids]


async def rate_plans(client: ZuoraClient) -> list[Body]:
    """Every product rate plan with its product and charges (`productRatePlanCharges`)."""
    expand = ("product", "productrateplancharges")
    plans = [plan async for plan in client.all("product-rate-plans", expand=expand)]

    async def charges(plan: Body) -> None:
        listed = plan.setdefault("productRatePlanCharges", [])
        if len(listed) >= client.settings.page_size:
            filters = [f"productrateplanid.EQ:{plan['id']}"]
            plan["productRatePlanCharges"] = [c async for c in client.all("product-rate-plan-charges", filters)]

    await client.each(charges, plans)
    return plans


async def _complete(client: ZuoraClient, kind: str, found: list[Body]) -> None:
    for document in found:
        if document.get("account") is None and kind != "account":
            raise VendorUnavailable(f"Zuora did not show the account of {kind} {document.get('id')}")
    if kind == "invoice":
        await client.each(lambda invoice: _items(client, invoice), found)
    elif kind == "credit_memo":
        await client.each(lambda memo: _listed_items(client, memo, "credit", "creditMemoItems"), found)
        await _settled(client, found, "credit-memos", "creditMemoApplications", "amount")
    elif kind == "debit_memo":
        await client.each(lambda memo: _listed_items(client, memo, "debit", "debitMemoItems"), found)
    elif kind == "refund":
        await client.each(lambda refund: _refunded(client, refund), found)
    elif kind == "payment":
        await _settled(client, found, "payments", "paymentApplications", "applyAmount")
        await client.each(lambda payment: _intended(client, payment), [p for p in found if p["status"] == "Error"])


async def _items(client: ZuoraClient, invoice: Body) -> None:
    shown = invoice.setdefault("invoiceItems", [])
    if len(shown) < client.settings.page_size:
        return
    # The /v1 list of items does not name the charge; ZOQL does, and the expanded items say more as far as they reach.
    statement = f"select {', '.join(_ITEM_FIELDS)} from InvoiceItem where InvoiceId = '{invoice['id']}'"
    rows = [{_ITEM_FIELDS[n]: v for n, v in row.items() if n in _ITEM_FIELDS} for row in await client.zoql(statement)]
    known = {item["id"]: item for item in shown}
    invoice["invoiceItems"] = [{**row, **known.get(row["id"], {})} for row in rows]


_ITEM_FIELDS = {
    "Id": "id",
    "ChargeNumber": "chargeNumber",
    "ChargeName": "chargeName",
    "SKU": "sKU",
    "Quantity": "quantity",
    "UnitPrice": "unitPrice",
    "UOM": "uOM",
    "ChargeAmount": "chargeAmount",
    "TaxAmount": "taxAmount",
    "ServiceStartDate": "serviceStartDate",
    "ServiceEndDate": "serviceEndDate",
    "SubscriptionId": "subscriptionId",
    "SubscriptionNumber": "subscriptionNumber",
}


async def _listed_items(client: ZuoraClient, memo: Body, kind: str, field: str) -> None:
    """All items of a credit or debit memo."""
    shown = memo.setdefault(field, [])
    if len(shown) < client.settings.page_size:
        return
    path = f"/v1/{kind}-memos/{memo['id']}/items?pageSize={V1_PAGE}"
    listed = await client.paged(path, "items", f"items of {kind} memo {memo['memoNumber']}")
    # /v1 does not name the charge; the expanded items do, as far as they reach.
    known = {item["id"]: item for item in shown}
    memo[field] = [{**item, **known.get(item["id"], {})} for item in listed]


async def _refunded(client: ZuoraClient, refund: Body) -> None:
    """Give a refund its `parts`: which payment or credit memo the money comes back from. They add up, or it waits."""
    shown = refund.pop("refundApplications", None) or []
    parts = [_refund_part(a, "applyAmount") for a in shown]
    if sum((p["amount"] for p in parts), Decimal(0)) != refund["amount"]:
        path = f"/v1/refunds/{refund['id']}/parts?pageSize={V1_PAGE}"
        listed = await client.paged(path, "parts", f"parts of refund {refund['refundNumber']}")
        parts = [_refund_part(p, "amount") for p in listed]
    if sum((p["amount"] for p in parts), Decimal(0)) != refund["amount"]:
        number = refund["refundNumber"]
        raise VendorUnavailable(f"Zuora does not show all parts of refund {number} yet", retry_after_s=2.0)
    refund["parts"] = parts


def _refund_part(shown: Body, amount: str) -> Body:
    kept = {name: shown[name] for name in ("id", "paymentId", "creditMemoId") if shown.get(name)}
    return {**kept, "amount": _number(shown.get(amount))}


async def _settled(client: ZuoraClient, found: list[Body], path: str, applications: str, amount: str) -> None:
    """Give each document its `parts`, with the numbers of the invoices they settle."""
    await client.each(lambda document: _parts(client, document, path, applications, amount), found)
    parts = [part for document in found for part in document["parts"]]
    ids = [str(p["invoiceId"]) for p in parts if p.get("invoiceId")]
    ids += [str(d["invoiceId"]) for d in found if d.get("invoiceId")]
    numbers = await _invoice_numbers(client, ids)
    for holder in [*parts, *found]:
        if holder.get("invoiceId"):
            holder["invoiceNumber"] = numbers[str(holder["invoiceId"])]


async def _intended(client: ZuoraClient, payment: Body) -> None:
    """A declined payment settles nothing and names no invoice: those of its account and amount are what it was for."""
    filters = [f"accountid.EQ:{payment['account']['id']}", f"amount.EQ:{payment['amount']}"]
    payment["intendedInvoices"] = [str(i["invoiceNumber"]) async for i in client.all("invoices", filters)]


async def _parts(client: ZuoraClient, document: Body, path: str, applications: str, amount: str) -> None:
    """What is applied now. Applications are a record of what was done, so they are believed only when they add up
    to the applied amount and name each invoice once; otherwise the parts themselves are read."""
    shown = document.pop(applications, None) or []
    applied = document.get("appliedAmount") or Decimal(0)
    targets = [a.get("invoiceId") or a.get("debitMemoId") for a in shown]
    total = sum((_number(a.get(amount)) for a in shown), Decimal(0))
    short = len(shown) < client.settings.page_size
    if short and total == applied and len(set(targets)) == len(targets) and all(targets):
        document["parts"] = [_part(a, amount) for a in shown]
        return
    own = f"/v1/{path}/{document['id']}/parts?pageSize={V1_PAGE}"
    listed = await client.paged(own, "parts", f"parts of {path} {document['id']}")
    document["parts"] = [_part(p, "amount") for p in listed if p.get("invoiceId") or p.get("debitMemoId")]


def _part(shown: Body, amount: str) -> Body:
    kept = {name: shown[name] for name in ("id", "invoiceId", "debitMemoId") if shown.get(name)}
    return {**kept, "amount": _number(shown.get(amount))}


def _number(value: Any) -> Decimal:
    return Decimal(str(value)) if value is not None else Decimal(0)


async def _invoice_numbers(client: ZuoraClient, ids: Sequence[str]) -> dict[str, str]:
    listed = await client.listed("invoices", "id", ids, fields=("id", "invoicenumber"))
    numbers = {str(i["id"]): str(i["invoiceNumber"]) for i in listed}
    if missing := sorted(set(ids) - set(numbers)):
        # Search may lag behind what was just posted: an application without its invoice would be lost money.
        raise VendorUnavailable(f"Zuora does not show invoice {missing[0]} yet", retry_after_s=2.0)
    return numbers
