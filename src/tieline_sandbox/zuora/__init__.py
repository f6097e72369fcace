"""Zuora Billing, on loopback: accounts, catalogue, orders, subscriptions, bill runs, payments, memos and callouts."""

from tieline_sandbox.zuora.sandbox import Sandbox

__all__ = ["Sandbox"]
