"""Lines of credit and debit memos that are made of catalogue charges, beside any invoice."""

from __future__ import annotations

from decimal import Decimal

from tieline_sandbox.zuora import targets
from tieline_sandbox.zuora.errors import Record, Resource, missing
from tieline_sandbox.zuora.model import Tenant

Line = tuple[Record, Decimal, Record]
"""What the line is of, in the words of an invoice item; its amount; what the request says of it."""


def of_charges(t: Tenant, body: Record, resource: Resource) -> list[Line]:
    """One line for each of `charges`. Raises Refusal."""
    if not body.get("charges"):
        raise missing(resource, "charges")
    return [_line(t, asked, resource) for asked in body["charges"]]


def _line(t: Tenant, asked: Record, resource: Resource) -> Line:
    charge = t.charges_catalog.get(asked.get("productRatePlanChargeId") or asked.get("chargeId"), resource)
    product = t.products.rows[t.rate_plans_catalog.rows[charge["productRatePlanId"]]["productId"]]
    source = {
        "id": None,
        "description": charge.get("description"),
        "sKU": product["sKU"],
        "chargeName": charge["name"],
        "chargeNumber": None,
        "ratePlanChargeId": None,
        "productRatePlanChargeId": charge["id"],
        "quantity": Decimal(1),
        "uOM": charge["uOM"],
        "unitPrice": None,
        "serviceStartDate": t.today().isoformat(),
        "serviceEndDate": t.today().isoformat(),
        "subscriptionId": None,
        "subscriptionNumber": None,
    }
    return source, targets.amount_of(asked, resource), asked
