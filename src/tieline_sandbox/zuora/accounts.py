"""Accounts and their contacts: `/v1/accounts`."""

from __future__ import annotations

from decimal import Decimal

import pycountry

from tieline_sandbox.zuora.errors import Record, Resource, invalid, missing, rule
from tieline_sandbox.zuora.model import Tenant, custom_fields
from tieline_sandbox.zuora.store import Table

_LIMITS = {"name": 255, "accountNumber": 70, "crmId": 100, "salesRep": 50, "purchaseOrderNumber": 100, "notes": 65535}
_CONTACT_LIMITS = {
    "firstName": 100, "lastName": 100, "address1": 255, "address2": 255, "city": 100, "state": 100,
    "zipCode": 20, "country": 64, "workEmail": 80, "personalEmail": 80, "workPhone": 40, "nickname": 100, "county": 100,
    "mobilePhone": 40, "homePhone": 40, "fax": 40, "taxRegion": 100, "contactDescription": 100, "otherPhone": 40,
}  # fmt: skip
_PLAIN = ("crmId", "notes", "purchaseOrderNumber", "communicationProfileId", "customerServiceRepName", "batch")
_ZERO = Decimal("0.00")


def _country_names() -> dict[str, str]:
    names: dict[str, str] = {}
    for c in pycountry.countries:
        common = getattr(c, "common_name", c.name)
        for spelling in (c.name, common, c.alpha_2, c.alpha_3):
            names[spelling.casefold()] = common
    return names


_COUNTRIES = _country_names()


def create(t: Tenant, body: Record) -> Record:
    """POST /v1/accounts. Raises Refusal."""
    _check(t, body, creating=True)
    bill_to = _contact(body["billToContact"], "billToContact")
    sold_to = _contact(body["soldToContact"], "soldToContact") if body.get("soldToContact") else None
    account = t.stamped(_record(t, body))
    account["billToId"] = _add_contact(t, account, bill_to)["id"]
    # One contact serves as both when no sold-to is given.
    account["soldToId"] = _add_contact(t, account, sold_to)["id"] if sold_to else account["billToId"]
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
            contact.update(_contact({**_contact_view(contact), **changed}, f"{name}Contact"))
            t.touch(t.contacts, contact)
    for field in (*_PLAIN, "name", "autoPay", "billCycleDay", "paymentTerm", "parentId"):
        if field in body:
            _relink(t.accounts, account, field, body[field])
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
        "billToContact": contact_view(t, a["billToId"]),
        "soldToContact": contact_view(t, a["soldToId"]),
        "shipToContact": contact_view(t, a["shipToId"]),
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
        "billToContact": contact_view(t, a["billToId"]),
        "soldToContact": contact_view(t, a["soldToId"]),
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


def contact_view(t: Tenant, contact_id: str) -> Record:
    return _contact_view(t.contacts.rows[contact_id])


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
        _check_text(Resource.ACCOUNT, body, field, limit)
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


def _check_text(resource: Resource, body: Record, field: str, limit: int) -> None:
    value = body.get(field)
    if value is None:
        return
    if not isinstance(value, str):
        raise invalid(resource, f"'{field}' should be a string")
    if len(value) > limit:
        raise invalid(resource, f"'{field}' should be {limit} characters or less")


def _contact(body: Record, name: str) -> Record:
    for field in ("firstName", "lastName", "country"):
        if not body.get(field):
            raise missing(Resource.CONTACT, f"{name}.{field}")
    for field, limit in _CONTACT_LIMITS.items():
        _check_text(Resource.CONTACT, body, field, limit)
    country = _COUNTRIES.get(body["country"].casefold())
    if country is None:
        raise invalid(Resource.CONTACT, f"'country' value '{body['country']}' is not a valid country name or ISO code")
    if country in ("United States", "Canada") and not body.get("state"):
        raise missing(Resource.CONTACT, f"{name}.state")
    fields = {field: body.get(field) for field in _CONTACT_LIMITS if field != "zipCode"}
    return {
        **fields,
        "country": country,
        "postalCode": body.get("zipCode") or body.get("postalCode"),
        **custom_fields(body),
    }


def _add_contact(t: Tenant, account: Record, contact: Record) -> Record:
    return t.contacts.add(t.stamped({"accountId": account["id"], "accountNumber": account["accountNumber"], **contact}))


def _contact_view(contact: Record) -> Record:
    kept = {k: v for k, v in contact.items() if k not in ("createdById", "createdDate", "updatedById", "updatedDate")}
    return {**kept, "zipCode": contact["postalCode"]}


def _metrics(a: Record) -> Record:
    return {
        "balance": a["balance"],
        "currency": a["currency"],
        "totalInvoiceBalance": a["totalInvoiceBalance"],
        "creditBalance": _ZERO,
        "unappliedPaymentAmount": a["unappliedBalance"],
    }


def _relink(table: Table, record: Record, field: str, value: object) -> None:
    """Change a field that the table may be indexed by."""
    if field in table.links:
        table.links[field].get(record.get(field), {}).pop(record["id"], None)
        table.links[field].setdefault(value, {})[record["id"]] = None
    record[field] = value
