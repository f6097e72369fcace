"""Zuora Billing: accounts, subscription orders and their cancellation; invoices, credit memos, payments read back."""

from __future__ import annotations

from pathlib import Path

from tieline.connectors.sdk import ConnectorType
from tieline.connectors.zuora import asked, functions, wire
from tieline.connectors.zuora.connector import MANIFEST, ZuoraConnector
from tieline.connectors.zuora.pages import record_page
from tieline.connectors.zuora.settings import ZuoraSettings

CONNECTOR = ConnectorType(
    vendor="zuora",
    settings=ZuoraSettings,
    open=ZuoraConnector,
    manifest=MANIFEST,
    mappings=Path(__file__).parent / "mappings",
    record_page=record_page,
    functions={
        "contract_line": functions.contract_line,
        "native_id": functions.native_id,
        "subscription_status": functions.subscription_status,
        "usage_tiers": functions.usage_tiers,
    },
    schemas={
        "zuora.account": wire.AccountBody,
        "zuora.order": wire.OrderBody,
        "zuora.invoice": wire.FetchedInvoice,
        "zuora.credit_memo": wire.FetchedMemo,
        "zuora.debit_memo": wire.FetchedDebitMemo,
        "zuora.payment": wire.FetchedPayment,
        "zuora.refund": wire.FetchedRefund,
        "zuora.subscription": wire.FetchedSubscription,
        "zuora.usage_import": wire.UsageImport,
        "subscription_order.amend": asked.Amendment,
        "subscription_order.cancel": asked.Cancellation,
        "subscription_order.renew": asked.Renewal,
        "usage_batch": asked.UsageBatch,
    },
)

__all__ = ["CONNECTOR", "ZuoraConnector", "ZuoraSettings"]
