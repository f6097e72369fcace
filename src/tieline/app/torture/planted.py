"""Deals for a torture: plain ones that bill within a year, and some with a real problem whose case must exist."""

from __future__ import annotations

import random
from datetime import date

import msgspec

from tieline.app.demo.deals import UNKNOWN_PRODUCT, Deal, Sales, make_sales

UNKNOWN, NO_STATE, TERMS = "unknown-product", "incomplete-address", "unknown-payment-terms"
PROBLEMS = (UNKNOWN, NO_STATE, TERMS)
"""The classes of the cases that the planted problems must open, and no other may."""
ONE_IN = 12
"""One deal in so many is planted."""


def torture_sales(number: int, seed: int, opens_on: date) -> Sales:
    """So many deals, the same for the same seed. `trouble` is the class of the case a deal must open, or ""."""
    made = make_sales(max(60, 2 * number), seed, opens_on)
    plain = [d for d in made.deals if _plain(d, made)]
    deals = [_copy(plain[n % len(plain)], n) for n in range(number)]
    sales = Sales(accounts=[*made.accounts], deals=deals, opens_on=opens_on)
    places = random.Random(seed).sample(range(number), max(len(PROBLEMS), number // ONE_IN))  # noqa: S311 - repeatable
    for n, place in enumerate(sorted(places)):
        _plant(sales, deals[place], PROBLEMS[n % len(PROBLEMS)])
    return sales


def plain_deals(sales: Sales) -> list[Deal]:
    """Those without a planted problem."""
    return [d for d in sales.deals if not d.trouble]


def _plain(deal: Deal, sales: Sales) -> bool:
    metered = any(line["Charge_Type__c"] == "Usage" for line in deal.lines)
    return deal.record["Term_Months__c"] == 12 and not metered and not deal.trouble


def _copy(deal: Deal, number: int) -> Deal:
    """The deal under a name of its own; every tenth has terms that finance must agree to."""
    record = {**deal.record, **({"Payment_Terms__c": "Net 60"} if number % 10 == 9 else {})}
    name = f"{deal.name.rpartition(' #')[0]} #{number + 1}"
    return msgspec.structs.replace(deal, name=name, record=record, lines=[{**line} for line in deal.lines])


def _plant(sales: Sales, deal: Deal, problem: str) -> None:
    deal.trouble = problem
    if problem == UNKNOWN:
        deal.lines[0]["_ProductCode"] = UNKNOWN_PRODUCT
    elif problem == TERMS:
        deal.record["Payment_Terms__c"] = "Net 7"
    else:
        account = next(a for a in sales.accounts if a["BillingCountryCode"] == "US")
        wrong = {k: v for k, v in account.items() if k not in ("BillingState", "BillingStateCode")}
        sales.accounts.append({**wrong, "Name": f"Nowhere {len(sales.accounts)}", "_parent": None})
        deal.account, deal.currency = len(sales.accounts) - 1, account["CurrencyIsoCode"]
        deal.record |= {"CurrencyIsoCode": deal.currency, "Legal_Entity__c": account["_entity"]}
