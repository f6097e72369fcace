"""The named functions of the shipped tables. Pure; each says what it takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

PREFIX, ROUNDING = "C-", "-R"


def usage_tiers(tiers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Our tiers ({up_to, unit_price}, `up_to` None for the overage) as Zuora's, priced per unit.

    Zuora counts the first unit of a tier, we the last one of the tier before: a tier begins one unit step after it,
    the step being the smallest place in which the tiers are written (1 for whole units, 0.5 → 0.1).
    Raises ValueError when the tiers do not rise or something follows the overage.
    """
    step = _step(tiers)
    made: list[dict[str, Any]] = []
    reached: Decimal | None = Decimal(0)
    for number, tier in enumerate(tiers, start=1):
        if reached is None:
            raise ValueError(f"tier {number} follows the overage, which has no end")
        up_to = None if tier.get("up_to") is None else Decimal(tier["up_to"])
        if up_to is not None and up_to <= reached:
            raise ValueError(f"tier {number} ends at {up_to}, not above {reached} where the one before ends")
        starts = reached + step if made else reached
        ends = {} if up_to is None else {"endingUnit": up_to}
        price = Decimal(tier["unit_price"])
        made.append({"tier": number, "startingUnit": starts, **ends, "price": price, "priceFormat": "PerUnit"})
        reached = up_to
    return made


def contract_line(charge_number: str | None) -> str:
    """The contract line a charge bills: "C-77" and its rounding charge "C-77-R" → "77"; "" for a foreign charge."""
    if not charge_number or not charge_number.startswith(PREFIX):
        return ""
    return charge_number.removeprefix(PREFIX).removesuffix(ROUNDING)


def native_id(canonical_id: str) -> str:
    """The id in the system of record: "salesforce-001Aa" → "001Aa"."""
    return canonical_id.rpartition("-")[2]


def subscription_status(status: str) -> str:
    """Zuora's status in our words. Raises ValueError for one that no document names."""
    known = _STATUSES.get(status)
    if known is None:
        raise ValueError(f"is no subscription status of Zuora that we know: {', '.join(_STATUSES)}")
    return known


_STATUSES = {
    "Draft": "pending",
    "Pending Activation": "pending",
    "Pending Acceptance": "pending",
    "PendingActivation": "pending",
    "PendingAcceptance": "pending",
    "Active": "active",
    "Suspended": "suspended",
    "Cancelled": "cancelled",
    "Expired": "expired",
    "OutOfDate": "expired",
}


def _step(tiers: Sequence[dict[str, Any]]) -> Decimal:
    places = [
        -exponent
        for tier in tiers
        if tier.get("up_to") is not None
        if isinstance(exponent := Decimal(tier["up_to"]).normalize().as_tuple().exponent, int)
    ]
    return Decimal(1).scaleb(-max([0, *places]))
