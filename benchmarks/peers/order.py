"""The order of the steps of one deal, the same for every engine: `step(name, *arguments)` is how it runs one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

Step = Callable[..., Awaitable[Any]]


async def carry(step: Step, opportunity_id: str) -> str:
    """Read, make the customer in both systems, order, post, open the project, tell the CRM."""
    deal = await step("read", opportunity_id)
    account = await step("billing_account", deal)
    customer = await step("erp_customer", deal)
    subscription = await step("subscription", deal, account)
    order = await step("sales_order", deal, customer, subscription)
    project = await step("project", deal)
    told: str = await step("status", deal, account, subscription, order, project)
    return told


STEPS = ("read", "billing_account", "erp_customer", "subscription", "sales_order", "project", "status")
FIRST_RETRY_S, LONGEST_RETRY_S = 0.2, 2.0
