"""Accounts and their contacts: `/v1/accounts`."""

from __future__ import annotations

from decimal import Decimal

from tieline_sandbox.zuora import contacts
from tieline_sandbox.zuora.errors import Record, Resource, invalid, missing, rule
from tieline_sandbox.zuora.model import Tenant, custom_fields

_LIMITS = {"name": 255, "accountNumber": 70, "crmId": 100, "salesRep": 50, "purchaseOrderNumber": 100, "notes": 65535}
_PLAIN = ("crmId", "notes", "purchaseOrderNumber", "communicationProfileId", "customerServiceRepName", "batch")
_ZERO = Decimal("0.00")


def create(t: Tenant, body: Record) -> Record:
    """POST /v1/accounts. Raises Refusal."""
    _check(t, body, creating=True)
    bill_to = contacts.checked(body["billToContact"], "billToContact")
    sold_to = contacts.checked(body["soldToContact"], "soldToContact") if body.get("soldToContact") else None
    account = t.stamped(_record(t, body))
    account["billToId"] = contacts.add(t, account, bill_to)["id"]
    # One contact serves as both when no sold-to is given.
    account["soldToId"] = contacts.add(t, account, sold_to)["id"] if sold_to else account["billToId"]
    account["shipToId"] = account["soldToId"]
    t.accounts.add(account)
    return {
        "success": True,
        "accountId": account["id"],
        "accountNumber": account["accountNumber"],
        "billToContactId": account["billToId"],
        "soldToContactId": account["soldToId"],
        "shipToContactId": account["shipToId"],
        **({"paymentMethodId": account["defaultPaymentMethodId"]} if account["defaultPaymentMethodId"] else {}),
    }


def update(t: Tenant, key: str, body: Record) -> Record:
    """PUT /v1/accounts/{key}. The currency and the number cannot change."""
    account = t.accounts.get(key)
    _check(t, body, creating=False)
    for name in ("billTo", "soldTo", "shipTo"):
        if changed := body.get(f"{name}Contact"):
            contact = t.contacts.rows[account[f"{name}Id"]]
            contact.update(contacts.checked({**contacts.shown(contact), **changed}, f"{name}Contact"))
            t.touch(t.contacts, contact)
    for field in (*_PLAIN, "name", "autoPay", "billCycleDay", "paymentTerm", "parentId"):
        if field in body:
            t.accounts.relink(account, field, body[field])
    if "salesRep" in body:
        account["salesRepName"] = body["salesRep"]
    if "VATId" in (body.get("taxInfo") or {}):
        account["vATId"] = body["taxInfo"]["VATId"]
    account.update(custom_fields(body))
    _give_payment_method(t, account)
    t.touch(t.accounts, account)
    return {"success": True}


def delete(t: Tenant, key: str) -> Record:
    """An account with subscriptions or documents stays."""
    account = t.accounts.get(key)
    if t.subscriptions.where("accountId", account["id"]) or t.invoices.where("accountId", account["id"]):
        raise rule(Resource.ACCOUNT, "The account has subscriptions or billing documents and cannot be deleted.")
    t.accounts.remove(account)
    return {"success": True, "id": t.new_id()}


def view(t: Tenant, key: str) -> Record:
    """GET /v1/accounts/{key}."""
    a = t.accounts.get(key)
    metrics = _metrics(a)
    return {
        "success": True,
        "basicInfo": {
            "id": a["id"],
            **{k: a[k] for k in ("name", "accountNumber", "notes", "status", "crmId", "batch", "parentId")},
            "salesRep": a["salesRepName"],
            "defaultPaymentMethodId": a["defaultPaymentMethodId"],
            "purchaseOrderNumber": a["purchaseOrderNumber"],
            "partnerAccount": False,
            **custom_fields(a),
        },
        "billingAndPayment": {
            **{k: a[k] for k in ("autoPay", "billCycleDay", "currency", "paymentTerm", "paymentGateway")},
            "invoiceDeliveryPrefsEmail": a["invoiceDeliveryPrefsEmail"],
            "invoiceDeliveryPrefsPrint": a["invoiceDeliveryPrefsPrint"],
            "additionalEmailAddresses": [],
        },
        "metrics": metrics,
        "metricsData": [metrics],
        "billToContact": contacts.view_of(t, a["billToId"]),
        "soldToContact": contacts.view_of(t, a["soldToId"]),
        "shipToContact": contacts.view_of(t, a["shipToId"]),
        "taxInfo": {"VATId": a["vATId"], "companyCode": a["taxCompanyCode"]},
    }


def summary(t: Tenant, key: str) -> Record:
    """GET /v1/accounts/{key}/summary: the six latest documents, money as text."""
    a = t.accounts.get(key)
    subscriptions = t.subscriptions.where("accountId", a["id"])
    invoices = t.invoices.where("accountId", a["id"])[-6:]
    return {
        "success": True,
        "basicInfo": {
            **{
                k: a[k]
                for k in ("id", "name", "accountNumber", "status", "currency", "autoPay", "billCycleDay", "batch")
            },
            "balance": str(a["balance"]),
            **custom_fields(a),
        },
        "billToContact": contacts.view_of(t, a["billToId"]),
        "soldToContact": contacts.view_of(t, a["soldToId"]),
        "invoices": [
            {k: i[k] for k in ("id", "invoiceNumber", "invoiceDate", "dueDate", "amount", "balance", "status")}
            for i in reversed(invoices)
        ],
        "payments": [_payment_summary(t, p) for p in reversed(t.payments.where("accountId", a["id"])[-6:])],
        "subscriptions": [
            {
                "id": s["id"],
                "subscriptionNumber": s["name"],
                **{k: s[k] for k in ("status", "termType", "termStartDate", "termEndDate", "autoRenew")},
                "subscriptionStartDate": s["subscriptionStartDate"],
            }
            for s in subscriptions
        ],
        "usage": [],
    }


def _payment_summary(t: Tenant, p: Record) -> Record:
    parts = t.payment_parts.where("paymentId", p["id"])
    return {
        "id": p["id"],
        "paymentNumber": p["paymentNumber"],
        "effectiveDate": p["effectiveDate"],
        "paymentType": p["type"],
        "status": p["status"],
        "paidInvoices": [
            {
                "invoiceId": part["invoiceId"],
                "invoiceNumber": t.invoices.rows[part["invoiceId"]]["invoiceNumber"],
                "appliedPaymentAmount": str(part["amount"]),
            }
            for part in parts
        ],
    }


def move_balance(t: Tenant, account_id: str, invoices: Decimal = _ZERO, credit: Decimal = _ZERO) -> None:
    """Keep the account's totals: `invoices` open on invoices, `credit` unapplied on payments and memos."""
    account = t.accounts.rows[account_id]
    account["totalInvoiceBalance"] += invoices
    account["unappliedBalance"] += credit
    account["balance"] += invoices


def _record(t: Tenant, body: Record) -> Record:
    tax = body.get("taxInfo") or {}
    account: Record = {
        "accountNumber": body.get("accountNumber") or _free_number(t),
        "name": body["name"],
        "currency": body["currency"],
        "status": "Active",
        "autoPay": bool(body.get("autoPay", False)),
        "billCycleDay": body.get("billCycleDay") or 1,
        "paymentTerm": body.get("paymentTerm") or "Due Upon Receipt",
        "parentId": body.get("parentId") or (t.accounts.find(body.get("parentAccountNumber")) or {}).get("id"),
        **{field: body.get(field) for field in _PLAIN},
        "salesRepName": body.get("salesRep"),
        "paymentGateway": body.get("paymentGateway"),
        "vATId": tax.get("VATId"),
        "taxCompanyCode": tax.get("companyCode"),
        "invoiceDeliveryPrefsEmail": bool(body.get("invoiceDeliveryPrefsEmail", True)),
        "invoiceDeliveryPrefsPrint": bool(body.get("invoiceDeliveryPrefsPrint", False)),
        "partnerAccount": False,
        "balance": _ZERO,
        "totalInvoiceBalance": _ZERO,
        "unappliedBalance": _ZERO,
        "lastInvoiceDate": None,
        "defaultPaymentMethodId": body.get("paymentMethodId") or body.get("hpmCreditCardPaymentMethodId"),
        **custom_fields(body),
    }
    account["batch"] = account["batch"] or "Batch1"
    _give_payment_method(t, account)
    return account


def _give_payment_method(t: Tenant, account: Record) -> None:
    # The hosted payment page, where a customer leaves a card, is not part of the sandbox: auto-pay implies a card.
    if account["autoPay"] and not account["defaultPaymentMethodId"]:
        account["defaultPaymentMethodId"] = t.new_id()


def _free_number(t: Tenant) -> str:
    while t.accounts.find(number := t.number("A")):
        pass
    return number


def _check(t: Tenant, body: Record, *, creating: bool) -> None:
    for field in ("name", "currency", "billToContact") if creating else ():
        if not body.get(field):
            raise missing(Resource.ACCOUNT, field)
    for field, limit in _LIMITS.items():
        contacts.check_text(Resource.ACCOUNT, body, field, limit)
    if creating and body["currency"] not in t.settings.currencies:
        raise invalid(Resource.ACCOUNT, f"The currency '{body['currency']}' is invalid or is not active in the tenant.")
    if creating and (number := body.get("accountNumber")) and t.accounts.find(number):
        raise rule(Resource.ACCOUNT, f"The account number {number} already exists.")
    if not creating and "name" in body and not body["name"]:
        raise missing(Resource.ACCOUNT, "name")
    term = body.get("paymentTerm")
    if term is not None and term not in t.settings.payment_terms:
        raise invalid(Resource.ACCOUNT, f"The payment term '{term}' does not exist or is inactive.")
    day = body.get("billCycleDay")
    if day is not None and (not isinstance(day, int) or not 0 <= day <= 31):
        raise invalid(Resource.ACCOUNT, "'billCycleDay' should be between 0 and 31")
    if parent := body.get("parentId"):
        t.accounts.get(parent, Resource.ACCOUNT)
    if parent := body.get("parentAccountNumber"):
        t.accounts.get(parent, Resource.ACCOUNT)
    vat = (body.get("taxInfo") or {}).get("VATId")
    if vat and len(vat) > 25:
        raise invalid(Resource.ACCOUNT, "'VATId' should be 25 characters or less")


def _metrics(a: Record) -> Record:
    return {
        "balance": a["balance"],
        "currency": a["currency"],
        "totalInvoiceBalance": a["totalInvoiceBalance"],
        "creditBalance": _ZERO,
        "unappliedPaymentAmount": a["unappliedBalance"],
    }
