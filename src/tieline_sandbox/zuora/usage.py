"""Usage records. Nothing is deduplicated: the same record sent twice is billed twice."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from tieline_sandbox.zuora.dates import decimal, stamp, v1_stamp
from tieline_sandbox.zuora.model import Tenant
from tieline_sandbox.zuora.store import Record

FILE_LIMIT_BYTES = 4 * 1024 * 1024


class UsageRefused(Exception):
    """A usage record with something unknown in it; `code` is one of the CRUD error codes."""

    def __init__(self, message: str, code: str = "INVALID_VALUE") -> None:
        super().__init__(message)
        self.code = code


def create(t: Tenant, body: Record, source: str = "API", file_name: str | None = None) -> Record:
    """Store one record of `POST /v1/object/usage`. Raises UsageRefused."""
    for field in ("Quantity", "StartDateTime", "UOM"):
        if body.get(field) in (None, ""):
            raise UsageRefused(f"Missing required value: {field}", "MISSING_REQUIRED_VALUE")
    account = t.accounts.find(body.get("AccountId") or body.get("AccountNumber"))
    subscription = _known(
        t.subscriptions.find, body.get("SubscriptionId") or body.get("SubscriptionNumber"), "Subscription"
    )
    if account is None and subscription is not None and not (body.get("AccountId") or body.get("AccountNumber")):
        account = t.accounts.rows[subscription["accountId"]]
    if account is None:
        raise UsageRefused(f"Invalid value for field AccountId: {body.get('AccountId') or body.get('AccountNumber')}")
    charge = _known(t.charges.find, body.get("ChargeId") or body.get("ChargeNumber"), "Charge")
    uom = body["UOM"]
    _check_uom(t, uom, charge)
    charge = charge or _only_charge(t, account, subscription, uom)
    if subscription and (
        subscription["accountId"] != account["id"] or (charge and charge["subscriptionId"] != subscription["id"])
    ):
        raise UsageRefused("The subscription, the charge and the account of the usage do not belong together.")
    started = _moment(body["StartDateTime"])
    record = t.stamped(
        {
            "accountId": account["id"],
            "accountNumber": account["accountNumber"],
            "subscriptionId": charge["subscriptionId"] if charge else None,
            "ratePlanChargeId": charge["id"] if charge else None,
            "chargeNumber": charge["chargeNumber"] if charge else None,
            "startDateTime": started,
            "endDateTime": _moment(body["EndDateTime"]) if body.get("EndDateTime") else started,
            "quantity": _quantity(body["Quantity"]),
            "uOM": uom,
            "description": body.get("Description"),
            "rbeStatus": "Pending",
            "sourceType": source,
            "fileName": file_name,
            "submissionDateTime": t.now(),
            **{k: v for k, v in body.items() if k.endswith("__c")},
        }
    )
    t.usages.add(record)
    if charge and charge["chargedThroughDate"] and started[:10] < charge["chargedThroughDate"]:
        # Late usage of a period that was billed already waits for the next bill run.
        t.wait_for_charge(t.today(), charge["id"])
    return record


def _known(find, key: str | None, what: str) -> Record | None:  # type: ignore[no-untyped-def]
    if not key:
        return None
    record: Record | None = find(key)
    if record is None:
        raise UsageRefused(f"Invalid value for field {what}Id: {key}")
    return record


def _check_uom(t: Tenant, uom: str, charge: Record | None) -> None:
    if charge is not None and charge["chargeType"] != "Usage":
        raise UsageRefused(f"The charge {charge['chargeNumber']} is not a usage charge.")
    if charge is not None and charge["uOM"] != uom:
        raise UsageRefused(f"The UOM {uom} does not match the unit of measure of the charge {charge['chargeNumber']}.")
    if uom not in t.settings.uoms and not any(c["uOM"] == uom for c in t.charges_catalog.rows.values()):
        raise UsageRefused(f"Invalid value for field UOM: {uom}")


def _only_charge(t: Tenant, account: Record, subscription: Record | None, uom: str) -> Record | None:
    """Usage without a charge goes to the account's usage charge of that unit, when there is exactly one."""
    subscriptions = [subscription] if subscription else t.subscriptions.where("accountId", account["id"])
    charges = [c for s in subscriptions for c in t.charges.where("subscriptionId", s["id"])]
    fitting = [c for c in charges if c["chargeType"] == "Usage" and c["uOM"] == uom]
    return fitting[0] if len(fitting) == 1 else None


def _quantity(value: object) -> Decimal:
    try:
        return Decimal(value) if isinstance(value, str) else decimal(value)
    except (ValueError, InvalidOperation) as error:
        raise UsageRefused(f"Invalid value for field Quantity: {value}") from error


def _moment(text: str) -> str:
    for form in ("%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y"):
        try:
            moment = datetime.strptime(text, form)  # noqa: DTZ007 - a time without zone is the tenant's, which is UTC
        except ValueError:
            continue
        return stamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    try:
        return stamp(datetime.fromisoformat(text))
    except ValueError as error:
        raise UsageRefused(f"Invalid value for field StartDateTime: {text}") from error


def update(t: Tenant, record: Record, body: Record) -> None:
    """Only pending usage can change. Raises UsageRefused."""
    if record["rbeStatus"] != "Pending":
        raise UsageRefused("Only the usage records with the Pending status can be updated.", "TRANSACTION_FAILED")
    if "Quantity" in body:
        record["quantity"] = _quantity(body["Quantity"])
    if "Description" in body:
        record["description"] = body["Description"]
    t.touch(t.usages, record)


def view(t: Tenant, u: Record) -> Record:
    """One of GET /v1/usage/accounts/{key}."""
    account = t.accounts.rows[u["accountId"]]
    subscription = t.subscriptions.rows.get(u["subscriptionId"] or "")
    return {
        "id": u["id"],
        "accountId": account["id"],
        "accountName": account["name"],
        "accountNumber": account["accountNumber"],
        "subscriptionNumber": subscription["name"] if subscription else None,
        "chargeNumber": u["chargeNumber"],
        "startDateTime": v1_stamp(u["startDateTime"]),
        "submissionDateTime": v1_stamp(u["submissionDateTime"]),
        "quantity": str(u["quantity"]),
        "unitOfMeasure": u["uOM"],
        "sourceName": u["sourceType"],
        "fileName": u["fileName"],
        "status": u["rbeStatus"],
    }


def crud_view(u: Record) -> Record:
    """GET /v1/object/usage/{id}."""
    view = {
        "Id": u["id"],
        "AccountId": u["accountId"],
        "AccountNumber": u["accountNumber"],
        "SubscriptionId": u["subscriptionId"],
        "ChargeId": u["ratePlanChargeId"],
        "ChargeNumber": u["chargeNumber"],
        "StartDateTime": u["startDateTime"],
        "EndDateTime": u["endDateTime"],
        "UOM": u["uOM"],
        "Quantity": u["quantity"],
        "SourceType": u["sourceType"],
        "RbeStatus": u["rbeStatus"],
        "Description": u["description"],
        "CreatedDate": u["createdDate"],
        "UpdatedDate": u["updatedDate"],
        "SubmissionDateTime": u["submissionDateTime"],
    }
    return {k: v for k, v in view.items() if v is not None}
