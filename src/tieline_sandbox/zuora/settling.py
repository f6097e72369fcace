"""Handlers of what corrects and settles: debit memos, write-offs, refunds; and of contacts."""

from __future__ import annotations

from tieline_sandbox.zuora import contacts, debits, memos, refunds
from tieline_sandbox.zuora.access import Call, Handler
from tieline_sandbox.zuora.errors import Record, Resource
from tieline_sandbox.zuora.handlers import application_parts, body_of, paged
from tieline_sandbox.zuora.model import Tenant


def list_debit_memos(t: Tenant, call: Call) -> Record:
    account = t.accounts.find(call.first("accountNumber") or call.first("accountId"))
    rows = t.debit_memos.where("accountId", account["id"]) if account else list(t.debit_memos.rows.values())
    return paged(call, rows, "debitmemos", lambda m: _inner(debits.view(m)))


def debit_memo_items(t: Tenant, call: Call) -> Record:
    memo = t.debit_memos.get(call.params["key"])
    return paged(call, t.debit_memo_items.where("debitMemoId", memo["id"]), "items", debits.item_view)


def debit_memo_parts(t: Tenant, call: Call) -> Record:
    memo = t.debit_memos.get(call.params["key"])
    return paged(call, application_parts(t, "debitMemoId", memo), "applicationParts", lambda p: p)


def list_refunds(t: Tenant, call: Call) -> Record:
    account = t.accounts.find(call.first("accountId"))
    rows = t.refunds.where("accountId", account["id"]) if account else list(t.refunds.rows.values())
    return paged(call, rows, "refunds", lambda r: _inner(refunds.view(r)))


def refund_parts(t: Tenant, call: Call) -> Record:
    refund = t.refunds.get(call.params["key"], Resource.REFUND)
    return {"success": True, "parts": [refunds.part_view(p) for p in t.refund_parts.where("refundId", refund["id"])]}


def _inner(view: Record) -> Record:
    return {k: v for k, v in view.items() if k != "success"}


PATHS: list[tuple[str, str, Handler]] = [
    ("POST", "/v1/contacts", lambda t, c: contacts.create(t, body_of(c))),
    ("GET", "/v1/contacts/{key}", lambda t, c: contacts.view(t, t.contacts.get(c.params["key"], Resource.CONTACT))),
    ("PUT", "/v1/contacts/{key}", lambda t, c: contacts.update(t, c.params["key"], body_of(c))),
    ("DELETE", "/v1/contacts/{key}", lambda t, c: contacts.delete(t, c.params["key"])),
    ("PUT", "/v1/invoices/{key}/write-off", lambda t, c: memos.write_off(t, c.params["key"], body_of(c))),
    ("POST", "/v1/credit-memos", lambda t, c: memos.from_charge(t, body_of(c))),
    ("DELETE", "/v1/credit-memos/{key}", lambda t, c: memos.delete(t, c.params["key"])),
    ("POST", "/v1/credit-memos/{key}/refund", lambda t, c: refunds.of_credit_memo(t, c.params["key"], body_of(c))),
    ("POST", "/v1/debit-memos", lambda t, c: debits.from_charge(t, body_of(c))),
    ("POST", "/v1/debit-memos/invoice/{key}", lambda t, c: debits.from_invoice(t, c.params["key"], body_of(c))),
    ("GET", "/v1/debit-memos", list_debit_memos),
    ("GET", "/v1/debit-memos/{key}", lambda t, c: debits.view(t.debit_memos.get(c.params["key"]))),
    ("DELETE", "/v1/debit-memos/{key}", lambda t, c: debits.delete(t, c.params["key"])),
    ("GET", "/v1/debit-memos/{key}/items", debit_memo_items),
    ("GET", "/v1/debit-memos/{key}/application-parts", debit_memo_parts),
    ("PUT", "/v1/debit-memos/{key}/post", lambda t, c: debits.post(t, c.params["key"])),
    ("PUT", "/v1/debit-memos/{key}/unpost", lambda t, c: debits.unpost(t, c.params["key"])),
    ("PUT", "/v1/debit-memos/{key}/cancel", lambda t, c: debits.cancel(t, c.params["key"])),
    ("POST", "/v1/payments/{key}/refunds", lambda t, c: refunds.of_payment(t, c.params["key"], body_of(c))),
    ("GET", "/v1/refunds", list_refunds),
    ("GET", "/v1/refunds/{key}", lambda t, c: refunds.view(t.refunds.get(c.params["key"], Resource.REFUND))),
    ("GET", "/v1/refunds/{key}/parts", refund_parts),
    ("PUT", "/v1/refunds/{key}/cancel", lambda t, c: refunds.cancel(t, c.params["key"])),
    ("DELETE", "/v1/refunds/{key}", lambda t, c: refunds.delete(t, c.params["key"])),
]
