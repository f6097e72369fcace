"""What people and meters do in Zuora, over its public API."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from tieline.app.demo.deals import Deal
from tieline.app.demo.stage import Stage
from tieline.app.demo.world import SECRETS, encode
from tieline.errors import TielineError


class BillingClerk:
    """Meters usage, cancels, credits; and makes the bank decline."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self._boxes, self._url = stage, stage.sandboxes, stage.sandboxes.urls["zuora"]
        self._headers: dict[str, str] = {}

    async def log_in(self) -> None:
        form = {
            "grant_type": "client_credentials",
            "client_id": "00000000-0000-0000-0000-00000tieline",
            "client_secret": SECRETS["TIELINE_ZUORA_SECRET"],
        }
        async with self._stage.http.post(f"{self._url}/oauth/token", data=form) as answer:
            self._headers = {"Authorization": f"Bearer {(await answer.json())['access_token']}"}

    async def decline_next(self, account_id: str, times: int) -> None:
        """The customer's bank declines the next attempts."""
        if account_id:
            await self._call("PUT", f"/v1/accounts/salesforce-{account_id}", {"PaymentFails__c": str(times)})

    async def meter(self, deal: Deal, quantity: Decimal, day: date) -> None:
        """The metering system reports usage."""
        record = {
            "SubscriptionNumber": f"S-{deal.opportunity_id}",
            "ChargeNumber": f"C-{deal.usage_line_id}",
            "Quantity": str(quantity),
            "UOM": "Each",
            "StartDateTime": f"{day.isoformat()}T12:00:00Z",
        }
        await self._call("POST", "/v1/object/usage", record)

    async def metered(self, deal: Deal) -> list[Decimal]:
        """Usage per billing period, as billing groups it: the judge rates it by the deal's own tiers."""
        usages = await self._boxes.documents("zuora", "usages")
        starts = date.fromisoformat(deal.record["Contract_Start__c"])
        months = {"Month": 1, "Quarter": 3, "Annual": 12}[deal.record["Billing_Period__c"]]
        periods: dict[int, Decimal] = {}
        for usage in usages:
            if usage["chargeNumber"] == f"C-{deal.usage_line_id}":
                day = datetime.fromisoformat(usage["startDateTime"]).date()
                passed = (day.year - starts.year) * 12 + day.month - starts.month - (day.day < starts.day)
                period = passed // months
                periods[period] = periods.get(period, Decimal(0)) + Decimal(str(usage["quantity"]))
        return list(periods.values())

    async def cancel(self, opportunity_id: str) -> None:
        """The customer leaves: billing cancels at the end of what was invoiced."""
        body = {"cancellationPolicy": "EndOfLastInvoicePeriod", "runBilling": False, "invoiceCollect": False}
        await self._call("PUT", f"/v1/subscriptions/S-{opportunity_id}/cancel", body)

    async def credit_open_invoice(self, opportunity_ids: set[str], amount: Decimal) -> bool:
        """Goodwill: a credit memo on an invoice of these deals that is still open. False when none is."""
        invoices = {i["id"]: i for i in await self._boxes.documents("zuora", "invoices")}
        for item in await self._boxes.documents("zuora", "invoice-items"):
            deal = str(item.get("subscriptionNumber")).removeprefix("S-")
            if deal in opportunity_ids and invoices[item["invoiceId"]]["balance"] >= amount <= item["chargeAmount"]:
                body = {
                    "items": [{"invoiceItemId": item["id"], "amount": amount, "skuName": item["sKU"]}],
                    "autoPost": True,
                    "autoApplyToInvoiceUponPosting": True,
                }
                await self._call("POST", f"/v1/credit-memos/invoice/{item['invoiceId']}", body)
                return True
        return False

    async def _call(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        data, headers = encode(body), {**self._headers, "Content-Type": "application/json"}
        async with self._stage.http.request(method, self._url + path, data=data, headers=headers) as answer:
            result: dict[str, Any] = await answer.json()
        if result.get("success", result.get("Success", True)) is False:
            raise TielineError(f"the demo's billing clerk was refused {method} {path}: {result}")
        return result
