"""From an order's charge override to a charge of a subscription: price, quantity, period and dates, all checked."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Any

from tieline_sandbox.zuora.dates import BILLING_PERIODS, PERIOD_MONTHS, add_term, day, decimal, spelled
from tieline_sandbox.zuora.errors import Record, Resource, invalid, missing, one_of, rule
from tieline_sandbox.zuora.model import Tenant, custom_fields

_PREFIX = {"OneTime": "oneTime", "Recurring": "recurring", "Usage": "usage"}
_TRIGGERS = ("ContractEffective", "ServiceActivation", "CustomerAcceptance", "SpecificDate")
_ENDS = ("Subscription_End", "Fixed_Period", "Specific_End_Date", "One_Time")
# A price field of the request → the charge's own field.
_GIVEN = (
    ("listPrice", "price"),
    ("quantity", "quantity"),
    ("includedUnits", "includedUnits"),
    ("overagePrice", "overagePrice"),
)
_LIST_PRICE_MONTHS = {"Per_Month": 1, "Per_Year": 12}


def build(t: Tenant, catalog: Record, override: Record, dates: dict[str, date | None], term_end: date | None) -> Record:
    """A charge record without ids. `dates` are the subscription's trigger dates by name; ends are exclusive.

    Raises Refusal in the vendor's words.
    """
    charge: Record = {
        "chargeNumber": _number(t, override),
        "name": override.get("name") or catalog["name"],
        "productRatePlanChargeId": catalog["id"],
        "productRatePlanChargeNumber": catalog["productRatePlanChargeNumber"],
        "chargeType": catalog["chargeType"],
        "chargeModel": catalog["chargeModel"],
        "description": override.get("description") or catalog.get("description"),
        "uOM": catalog["uOM"],
        "price": catalog["price"],
        "quantity": catalog["defaultQuantity"] or (Decimal(1) if catalog["chargeType"] != "Usage" else None),
        "tiers": catalog["productRatePlanChargeTiers"],
        "includedUnits": catalog["includedUnits"],
        "overagePrice": catalog["overagePrice"],
        "listPriceBase": catalog["listPriceBase"],
        "segment": 1,
        "version": 1,
        "isLastSegment": True,
        "chargedThroughDate": None,
        "processedThroughDate": None,
        **custom_fields(override),
        **custom_fields(override.get("customFields") or {}),
    }
    _set_billing(charge, catalog, override.get("billing") or {})
    _set_price(t, charge, override.get("pricing") or {})
    _set_dates(charge, override, dates, term_end)
    return charge


def _number(t: Tenant, override: Record) -> str:
    number = override.get("chargeNumber")
    if number is None:
        return t.number("C-")
    if len(number) > 50:
        raise invalid(Resource.CHARGE, "'chargeNumber' should be 50 characters or less")
    if t.charges.find(number):
        raise rule(Resource.CHARGE, f"The charge number {number} already exists.")
    return str(number)


def _set_billing(charge: Record, catalog: Record, billing: Record) -> None:
    charge["billingPeriod"] = charge["billingTiming"] = charge["specificBillingPeriod"] = None
    if charge["chargeType"] == "OneTime":
        return
    period = spelled(billing.get("billingPeriod") or catalog["billingPeriod"] or "Month")
    if period not in BILLING_PERIODS:
        raise one_of(Resource.CHARGE, "billingPeriod", BILLING_PERIODS)
    timing = billing.get("billingTiming") or catalog["billingTiming"]
    if timing not in ("IN_ADVANCE", "IN_ARREARS"):
        raise one_of(Resource.CHARGE, "billingTiming", ("IN_ADVANCE", "IN_ARREARS"))
    specific = billing.get("specificBillingPeriod")
    if period.startswith("Specific") and not (isinstance(specific, int) and specific > 0):
        raise missing(Resource.CHARGE, "specificBillingPeriod")
    # Usage is always billed in arrears, whatever the catalogue says.
    timing = "IN_ARREARS" if charge["chargeType"] == "Usage" else timing
    charge |= {"billingPeriod": period, "billingTiming": timing, "specificBillingPeriod": specific}


def _set_price(t: Tenant, charge: Record, pricing: Record) -> None:
    expected = _PREFIX[charge["chargeType"]] + charge["chargeModel"]
    for name in pricing:
        if name != expected:
            raise invalid(
                Resource.CHARGE, f"'{name}' is not applicable: the charge model of this charge needs '{expected}'."
            )
    given = pricing.get(expected) or {}
    for field, into in _GIVEN:
        if given.get(field) is not None:
            charge[into] = _number_of(given[field], field)
    if given.get("tiers") is not None:
        charge["tiers"] = _tiers(given["tiers"])
    if (base := given.get("listPriceBase")) is not None:
        charge["listPriceBase"] = base
    _set_uom(t, charge, given)
    _require_price(charge)


def _set_uom(t: Tenant, charge: Record, given: Record) -> None:
    uom = given.get("uom")
    if uom is None:
        return
    if uom not in t.settings.uoms and not any(c["uOM"] == uom for c in t.charges_catalog.rows.values()):
        raise invalid(Resource.CHARGE, f"The unit of measure '{uom}' does not exist.")
    if charge["uOM"] and uom != charge["uOM"]:
        raise invalid(
            Resource.CHARGE, f"'uom' should be '{charge['uOM']}', the unit of measure of the product rate plan charge"
        )
    charge["uOM"] = uom


def _require_price(charge: Record) -> None:
    model = charge["chargeModel"]
    if model in ("FlatFee", "PerUnit") and charge["price"] is None:
        raise missing(Resource.CHARGE, "listPrice")
    if model in ("Tiered", "Volume", "TieredWithOverage") and not charge["tiers"]:
        raise missing(Resource.CHARGE, "tiers")
    if model in ("Overage", "TieredWithOverage") and charge["overagePrice"] is None:
        raise missing(Resource.CHARGE, "overagePrice")


def _number_of(value: Any, field: str) -> Decimal:
    try:
        number = decimal(value)
    except ValueError as error:
        raise invalid(Resource.CHARGE, f"'{field}' should be a number") from error
    if number < 0:
        raise invalid(Resource.CHARGE, f"'{field}' should be greater than or equal to 0")
    return number


def _tiers(listed: list[Record]) -> list[Record]:
    tiers: list[Record] = []
    for n, tier in enumerate(listed, start=1):
        for field in ("price", "startingUnit", "priceFormat"):
            if tier.get(field) is None:
                raise missing(Resource.CHARGE, f"tiers[{n - 1}].{field}")
        if tier["priceFormat"] not in ("FlatFee", "PerUnit"):
            raise one_of(Resource.CHARGE, "priceFormat", ("FlatFee", "PerUnit"))
        ending = tier.get("endingUnit")
        tiers.append(
            {
                "tier": n,
                "startingUnit": _number_of(tier["startingUnit"], "startingUnit"),
                "endingUnit": None if ending is None else _number_of(ending, "endingUnit"),
                "price": _number_of(tier["price"], "price"),
                "priceFormat": tier["priceFormat"],
            }
        )
    for before, after in pairwise(tiers):
        if before["endingUnit"] is None or after["startingUnit"] < before["endingUnit"]:
            raise invalid(
                Resource.CHARGE, f"The tiers overlap: tier {after['tier']} starts before tier {before['tier']} ends."
            )
    return tiers


def _set_dates(charge: Record, override: Record, dates: dict[str, date | None], term_end: date | None) -> None:
    trigger = override.get("startDate") or {}
    event = trigger.get("triggerEvent") or "ContractEffective"
    if event not in _TRIGGERS:
        raise one_of(Resource.CHARGE, "triggerEvent", _TRIGGERS)
    start = _day(trigger, "specificTriggerDate") if event == "SpecificDate" else dates.get(event)
    end = _end(override.get("endDate") or {}, start, term_end, charge)
    contract = dates.get("ContractEffective")
    if start and contract and start < contract:
        raise rule(
            Resource.CHARGE,
            f"The charge start date {start} should not be earlier than the contract effective date {contract}.",
        )
    if start and term_end and start >= term_end:
        raise rule(
            Resource.CHARGE,
            f"The charge start date {start} should be earlier than the subscription end date {term_end}.",
        )
    if start and end and end <= start and charge["chargeType"] != "OneTime":
        raise rule(Resource.CHARGE, f"The charge end date {end} should be later than the charge start date {start}.")
    if end and term_end and end > term_end:
        raise rule(
            Resource.CHARGE, f"The charge end date {end} should not be later than the subscription end date {term_end}."
        )
    charge |= {
        "triggerEvent": event,
        "triggerDate": start.isoformat() if start and event == "SpecificDate" else None,
        "effectiveStartDate": start.isoformat() if start else None,
        "effectiveEndDate": end.isoformat() if end else None,
    }


def _end(end_date: Record, start: date | None, term_end: date | None, charge: Record) -> date | None:
    if charge["chargeType"] == "OneTime":
        charge["endDateCondition"] = "One_Time"
        return start
    condition = end_date.get("endDateCondition") or "Subscription_End"
    if condition not in _ENDS:
        raise one_of(Resource.CHARGE, "endDateCondition", _ENDS)
    charge["endDateCondition"] = condition
    if condition == "Specific_End_Date":
        return _day(end_date, "specificEndDate")
    if condition == "Fixed_Period" and start:
        count, unit = end_date.get("upToPeriods"), end_date.get("upToPeriodsType") or "Billing_Periods"
        if not isinstance(count, int) or count < 1:
            raise missing(Resource.CHARGE, "upToPeriods")
        if unit == "Billing_Periods":
            return add_term(start, count * PERIOD_MONTHS.get(charge["billingPeriod"], 1), "Month")
        return add_term(start, count, unit.removesuffix("s"))
    return term_end


def _day(body: Record, field: str) -> date:
    if not body.get(field):
        raise missing(Resource.CHARGE, field)
    try:
        return day(body[field])
    except ValueError as error:
        raise invalid(Resource.CHARGE, f"'{field}' should be a date in the format yyyy-MM-dd") from error


def period_price(charge: Record) -> Decimal:
    """The price of one billing period, from the price's own base."""
    base = _LIST_PRICE_MONTHS.get(charge["listPriceBase"] or "")
    months = PERIOD_MONTHS.get(charge["billingPeriod"] or "")
    price = Decimal(charge["price"])
    return price * months / base if base and months else price


def tiered(quantity: Decimal, tiers: list[Record]) -> tuple[Decimal, Decimal]:
    """Price of `quantity` over cumulative tiers, and the units above the last closed tier."""
    total, reached = Decimal(0), Decimal(0)
    for tier in tiers:
        top = tier["endingUnit"]
        units = (quantity if top is None else min(quantity, top)) - reached
        if units <= 0:
            break
        total += tier["price"] if tier["priceFormat"] == "FlatFee" else tier["price"] * units
        reached += units
    return total, max(quantity - reached, Decimal(0))


def usage_price(charge: Record, quantity: Decimal) -> Decimal:
    """The price of all of a period's usage, unrounded."""
    model = charge["chargeModel"]
    if model == "PerUnit":
        return Decimal(charge["price"]) * quantity
    if model == "FlatFee":
        return Decimal(charge["price"]) if quantity else Decimal(0)
    if model == "Overage":
        return Decimal(charge["overagePrice"]) * max(quantity - (charge["includedUnits"] or 0), Decimal(0))
    if model == "Volume":
        tier = next(
            (x for x in charge["tiers"] if x["endingUnit"] is None or quantity <= x["endingUnit"]), charge["tiers"][-1]
        )
        return Decimal(tier["price"] if tier["priceFormat"] == "FlatFee" else tier["price"] * quantity)
    total, above = tiered(quantity, charge["tiers"])
    return total + (Decimal(charge["overagePrice"]) * above if model == "TieredWithOverage" else Decimal(0))


def fixed_price(charge: Record) -> Decimal:
    """The price of a one-time charge, or of one whole period of a recurring one, unrounded."""
    price = charge["price"] if charge["chargeType"] == "OneTime" else None
    quantity = charge["quantity"] or Decimal(1)
    if charge["chargeModel"] in ("Tiered", "Volume"):
        return usage_price(charge, quantity)
    unit = Decimal(price) if price is not None else period_price(charge)
    return unit * quantity if charge["chargeModel"] == "PerUnit" else unit


def changed(charge: Record, pricing: Record) -> Record:
    """The fields an UpdateProduct action changes. Raises Refusal."""
    expected = _PREFIX[charge["chargeType"]] + charge["chargeModel"]
    given = pricing.get(expected)
    if given is None:
        raise missing(Resource.CHARGE, f"pricing.{expected}")
    fields = (("listPrice", "price"), ("quantity", "quantity"))
    return {into: _number_of(given[name], name) for name, into in fields if given.get(name) is not None}
