"""The product catalogue: products, rate plans, charges, and the paths that read and write them."""

from __future__ import annotations

from decimal import Decimal

from tieline_sandbox.zuora.dates import BILLING_PERIODS, decimal, spelled
from tieline_sandbox.zuora.errors import Record, Resource, invalid, missing, not_found, one_of
from tieline_sandbox.zuora.model import Tenant, custom_fields
from tieline_sandbox.zuora.store import Table

TYPES = ("OneTime", "Recurring", "Usage")
MODELS = ("FlatFee", "PerUnit", "Overage", "Tiered", "Volume", "TieredWithOverage")
_MODEL_NAMES = {
    "Flat Fee Pricing": "FlatFee",
    "Per Unit Pricing": "PerUnit",
    "Overage Pricing": "Overage",
    "Tiered Pricing": "Tiered",
    "Volume Pricing": "Volume",
    "Tiered with Overage Pricing": "TieredWithOverage",
}
_SINCE, _UNTIL = "2015-01-01", "2099-12-31"


def seed_product(t: Tenant, body: Record) -> Record:
    """A product with its rate plans and charges, from the short shape of the control API."""
    product = add_product(t, {"Name": body["name"], "SKU": body.get("sku"), **custom_fields(body)})
    for plan_body in body.get("ratePlans", []):
        plan = add_rate_plan(
            t,
            {
                "ProductId": product["id"],
                "Name": plan_body["name"],
                "ProductRatePlanNumber": plan_body.get("productRatePlanNumber"),
                "ExternalId": plan_body.get("externalId"),
            },
        )
        for charge in plan_body.get("charges", []):
            _seed_charge(t, plan, charge)
    return product


def _seed_charge(t: Tenant, plan: Record, charge: Record) -> None:
    add_charge(
        t,
        {
            "ProductRatePlanId": plan["id"],
            "Name": charge["name"],
            "ProductRatePlanChargeNumber": charge.get("productRatePlanChargeNumber"),
            "ChargeType": charge["type"],
            "ChargeModel": charge["model"],
            "BillingPeriod": charge.get("billingPeriod"),
            "UOM": charge.get("uom"),
            "Price": charge.get("price"),
            "IncludedUnits": charge.get("includedUnits"),
            "OveragePrice": charge.get("overagePrice"),
            "Tiers": charge.get("tiers"),
        },
    )


def add_product(t: Tenant, body: Record) -> Record:
    if not body.get("Name"):
        raise missing(Resource.UNKNOWN, "Name")
    return t.products.add(
        t.stamped(
            {
                "name": body["Name"],
                "sKU": body.get("SKU") or t.number("SKU-"),
                "productNumber": body.get("ProductNumber") or t.number("PC-"),
                "description": body.get("Description"),
                "effectiveStartDate": body.get("EffectiveStartDate") or _SINCE,
                "effectiveEndDate": body.get("EffectiveEndDate") or _UNTIL,
                "allowFeatureChanges": False,
                **custom_fields(body),
            }
        )
    )


def add_rate_plan(t: Tenant, body: Record) -> Record:
    product = t.products.find(body.get("ProductId"))
    if product is None:
        raise not_found(body.get("ProductId"))
    if not body.get("Name"):
        raise missing(Resource.UNKNOWN, "Name")
    return t.rate_plans_catalog.add(
        t.stamped(
            {
                "productId": product["id"],
                "name": body["Name"],
                "productRatePlanNumber": body.get("ProductRatePlanNumber") or t.number("PRP-"),
                "externallyManagedPlanIds": [body["ExternalId"]] if body.get("ExternalId") else [],
                "description": body.get("Description"),
                "effectiveStartDate": body.get("EffectiveStartDate") or product["effectiveStartDate"],
                "effectiveEndDate": body.get("EffectiveEndDate") or product["effectiveEndDate"],
                **custom_fields(body),
            }
        )
    )


def add_charge(t: Tenant, body: Record) -> Record:
    """Store a charge of the catalogue. Raises Refusal on an unknown type, model, period or rate plan."""
    plan = t.rate_plans_catalog.find(body.get("ProductRatePlanId"))
    if plan is None:
        raise not_found(body.get("ProductRatePlanId"))
    model = _MODEL_NAMES.get(body.get("ChargeModel", ""), body.get("ChargeModel"))
    charge_type = str(body.get("ChargeType", "")).replace("One-Time", "OneTime")
    period = spelled(body.get("BillingPeriod") or "Month") if charge_type != "OneTime" else None
    for field, value, allowed in (
        ("ChargeType", charge_type, TYPES),
        ("ChargeModel", model, MODELS),
        ("BillingPeriod", period or "Month", BILLING_PERIODS),
    ):
        if value not in allowed:
            raise one_of(Resource.UNKNOWN, field, allowed)
    tiers = _tiers(body)
    price = body.get("Price")
    return t.charges_catalog.add(
        t.stamped(
            {
                "productRatePlanId": plan["id"],
                "name": body["Name"],
                "productRatePlanChargeNumber": body.get("ProductRatePlanChargeNumber") or t.number("PRPC-"),
                "chargeType": charge_type,
                "chargeModel": model,
                "billingPeriod": period,
                "billingTiming": body.get("BillingTiming") or "IN_ADVANCE",
                "uOM": body.get("UOM"),
                "defaultQuantity": decimal(body["DefaultQuantity"])
                if body.get("DefaultQuantity") is not None
                else None,
                "includedUnits": decimal(body["IncludedUnits"]) if body.get("IncludedUnits") is not None else None,
                "triggerEvent": body.get("TriggerEvent") or "ContractEffective",
                "endDateCondition": "Subscription_End",
                "listPriceBase": "Per_Billing_Period",
                "price": decimal(price) if price is not None else None,
                "overagePrice": decimal(body["OveragePrice"]) if body.get("OveragePrice") is not None else None,
                "productRatePlanChargeTiers": tiers,
                **custom_fields(body),
            }
        )
    )


def _tiers(body: Record) -> list[Record]:
    data = body.get("ProductRatePlanChargeTierData") or {}
    listed = data.get("ProductRatePlanChargeTier") or body.get("Tiers") or []
    return [
        {
            "tier": n,
            "startingUnit": decimal(tier.get("StartingUnit", tier.get("startingUnit", 0))),
            "endingUnit": None if (end := tier.get("EndingUnit", tier.get("endingUnit"))) is None else decimal(end),
            "price": decimal(tier.get("Price", tier.get("price", 0))),
            "priceFormat": (tier.get("PriceFormat") or tier.get("priceFormat") or "PerUnit").replace(" ", ""),
            "currency": tier.get("Currency", "USD"),
        }
        for n, tier in enumerate(listed, start=1)
    ]


CREATE = {"product": add_product, "product-rate-plan": add_rate_plan, "product-rate-plan-charge": add_charge}


def table(t: Tenant, kind: str) -> Table:
    """The table behind `/v1/object/{kind}`. Raises KeyError."""
    return {
        "product": t.products,
        "product-rate-plan": t.rate_plans_catalog,
        "product-rate-plan-charge": t.charges_catalog,
    }[kind]


def update(t: Tenant, kind: str, key: str, body: Record) -> Record:
    """PUT /v1/object/…: plain fields only; a charge's type and model stay what they are."""
    rows = table(t, kind)
    record = rows.get(key)
    for name, value in body.items():
        field = "sKU" if name == "SKU" else "uOM" if name == "UOM" else name[:1].lower() + name[1:]
        if field in record and field not in ("id", "chargeType", "chargeModel", "productId", "productRatePlanId"):
            record[field] = value
    record.update(custom_fields(body))
    rows.touch(record, t.now(), record["updatedById"])
    return record


def pascal(record: Record) -> Record:
    """The record as `/v1/object` and ZOQL spell it: `sKU` is `SKU`, `accountNumber` is `AccountNumber`."""
    special = {"sKU": "SKU", "uOM": "UOM", "vATId": "VATId", "mRR": "MRR", "tCV": "TCV"}
    return {
        special.get(k) or (k if k.endswith("__c") else k[:1].upper() + k[1:]): v
        for k, v in record.items()
        if v is not None and not isinstance(v, list | dict)
    }


def product_view(product: Record, base_url: str) -> Record:
    """GET /v1/catalog/product/{key}: rate plans are a URL since version 2023."""
    return {
        **{k: product[k] for k in ("id", "name", "productNumber", "effectiveStartDate", "effectiveEndDate")},
        "sku": product["sKU"],
        "description": product["description"],
        "productRatePlans": f"{base_url}/v1/rateplan/{product['id']}/productRatePlan",
        **custom_fields(product),
    }


def rate_plan_view(plan: Record) -> Record:
    """GET /v1/product-rate-plans/{id}."""
    kept = ("id", "name", "productRatePlanNumber", "description", "effectiveStartDate", "effectiveEndDate")
    return {
        **{k: plan[k] for k in kept},
        "status": "Active",
        "externallyManagedPlanIds": plan["externallyManagedPlanIds"],
    }


def rate_plans_view(t: Tenant, product_key: str) -> Record:
    """GET /v1/rateplan/{product}/productRatePlan: the plans with their charges."""
    product = t.products.get(product_key)
    plans = [
        {
            **rate_plan_view(plan),
            "productRatePlanCharges": [
                _charge_view(c) for c in t.charges_catalog.where("productRatePlanId", plan["id"])
            ],
        }
        for plan in t.rate_plans_catalog.where("productId", product["id"])
    ]
    return {"success": True, "productRatePlans": plans}


def _charge_view(c: Record) -> Record:
    return {
        "id": c["id"],
        "name": c["name"],
        "productRatePlanChargeNumber": c["productRatePlanChargeNumber"],
        "type": c["chargeType"],
        "model": c["chargeModel"],
        "billingPeriod": c["billingPeriod"],
        "uom": c["uOM"],
        "pricing": [{"price": c["price"] or Decimal(0), "tiers": c["productRatePlanChargeTiers"] or None}],
    }


def find_rate_plan(t: Tenant, body: Record, resource: Resource) -> Record:
    """The plan an order names by id or number. Raises Refusal …40 or …22."""
    key = body.get("productRatePlanId") or body.get("productRatePlanNumber")
    if not key:
        raise missing(resource, "productRatePlanId")
    return t.rate_plans_catalog.get(key, resource)


def find_charge(t: Tenant, plan: Record, body: Record, resource: Resource) -> Record:
    """The plan's charge an override names. Raises Refusal when it is of another plan, or unknown."""
    key = body.get("productRatePlanChargeId") or body.get("productRatePlanChargeNumber")
    if not key:
        raise missing(resource, "productRatePlanChargeId")
    charge = t.charges_catalog.get(key, resource)
    if charge["productRatePlanId"] != plan["id"]:
        number = plan["productRatePlanNumber"]
        raise invalid(resource, f"The product rate plan charge '{key}' does not belong to rate plan '{number}'.")
    return charge
