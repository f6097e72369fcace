"""The small process that the chaos tests kill: every kind of durable operation once, and the world around it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

from tests.support.engine import NOW, customer, project

from tieline.domain import ChargeKind, Money, Order, OrderLine
from tieline.engine.cases import Problem
from tieline.engine.process import process
from tieline.engine.records import EffectKey
from tieline.engine.run import Run
from tieline.events import OrderPosted, VendorNotified

AMOUNTS = (Decimal("1000.01"), Decimal("0.99"))


def order(number: str) -> Order:
    day = NOW.date()
    return Order(
        id=f"o-{number}",
        number=f"O-{number}",
        customer="c-1",
        contract=f"k-{number}",
        subscription=f"S-{number}",
        legal_entity="DE01",
        currency="EUR",
        ordered_on=day,
        starts_on=day,
        ends_on=day,
        payment_terms="Net 30",
        lines=[
            OrderLine(
                id=f"l-{n}",
                product="GTX Pro",
                kind=ChargeKind.ONE_TIME,
                quantity=Decimal(1),
                net=Money(amount, "EUR"),
                recognise_from=day,
                recognise_to=day,
            )
            for n, amount in enumerate(AMOUNTS)
        ],
    )


def number_of(data: VendorNotified) -> str:
    return data.native_id


@process("small", on=VendorNotified, key=number_of, accepts=lambda d: d.kind == "deal")
async def small(run: Run, data: VendorNotified) -> None:
    """Look, order, wait, open project and customer side by side, ask a person, tell."""
    number: str = await run.step(number_of, data)
    standing = await run.ensure("erp", order(number))
    await run.wait(VendorNotified, f"crm/reply/{number}", timedelta(days=1))
    await asyncio.gather(
        run.ensure("erp", project(number), after=[EffectKey("erp", "order", f"o-{number}")]),
        run.ensure("erp", customer(number)),
    )
    await run.case(Problem(case_class="ask", cause="ask", message="go on?", actions=["approve"]))
    await run.publish(
        OrderPosted(contract=f"k-{number}", connection="erp", document=f"o-{number}", external_id=standing.external_id)
    )


@process("undone", on=VendorNotified, key=number_of, accepts=lambda d: d.kind == "mistake")
async def undone(run: Run, data: VendorNotified) -> None:
    """Open two projects, then be cancelled: both are withdrawn, the last one first."""
    for part in ("a", "b"):
        opened = project(f"{data.native_id}{part}")
        await run.ensure("erp", opened)
        run.compensate_with(lambda opened=opened: run.perform("erp", "withdraw", opened))  # type: ignore[misc]
    if data.stamp == "fails":
        raise ZeroDivisionError("division by zero in line 7")
    await run.case(Problem(case_class="ask", cause="ask", message="go on?", actions=["approve", "cancel"]))
