"""Deals as a sales team makes them: generated from a seed, with the dirt of real life, as Salesforce records.

What the generator knows of a deal (value, tiers, what is wrong with it) is the judge's truth: it never passed Tieline.
"""

from __future__ import annotations

import random
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import msgspec

from tieline.app.demo.world import LIST_PRICES, RECURRING, SALESPEOPLE, SERVICES, Sandboxes
from tieline.domain.schedule import add_months

Record = dict[str, Any]

REGIONS = (
    (
        "US",
        "United States",
        "USD",
        "US01",
        (("Springfield", "IL", "62701"), ("Austin", "TX", "73301"), ("Boston", "MA", "02108")),
    ),
    ("DE", "Germany", "EUR", "DE01", (("Köln", "", "50668"), ("Hamburg", "", "20095"), ("München", "", "80331"))),
    ("GB", "United Kingdom", "GBP", "DE01", (("London", "", "EC1A 1BB"), ("Leeds", "", "LS1 1UR"))),
)
FIRST = ("North", "Blue", "Silver", "Prime", "Delta", "Iron", "Green", "Bright", "Grand", "Rapid", "Quiet", "Stone")
SECOND = ("river", "field", "gate", "works", "bridge", "light", "forge", "harbour", "mill", "peak", "crest", "wood")
KINDS = ("Logistics", "Medical", "Software", "Energy", "Foods", "Textiles", "Optics", "Media")
USAGE_TIERS = "10000:0; 50000:0.02; *:0.015"
UNKNOWN_PRODUCT = "GTXPro"


class Deal(msgspec.Struct, kw_only=True):
    """One deal as sales made it. `trouble` names what is wrong with it, "" for nothing."""

    name: str
    account: int
    currency: str
    value: Decimal
    record: Record
    lines: list[Record]
    trouble: str = ""
    services: bool = False
    opportunity_id: str = ""
    account_id: str = ""
    usage_line_id: str = ""
    usage: list[Decimal] = []

    def overage(self) -> Decimal:
        """What the metered usage costs by the tiers of the deal, period by period, rounded to cents as a bill is."""
        return sum((rate(quantity) for quantity in self.usage), Decimal(0))


class Sales(msgspec.Struct, kw_only=True):
    """Everything the demo sells."""

    accounts: list[Record]
    deals: list[Deal]
    opens_on: date


def rate(quantity: Decimal) -> Decimal:
    """The price of one period's usage by USAGE_TIERS."""
    first = max(Decimal(0), min(quantity, Decimal(50000)) - Decimal(10000)) * Decimal("0.02")
    rest = max(Decimal(0), quantity - Decimal(50000)) * Decimal("0.015")
    return (first + rest).quantize(Decimal("0.01"), ROUND_HALF_UP)


def make_sales(number: int, seed: int, opens_on: date) -> Sales:
    """`number` deals of a company that sells in three currencies, the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - a demonstration, not a secret
    accounts = _accounts(chance, max(8, number // 3))
    deals = [_deal(chance, accounts, opens_on, n) for n in range(number)]
    _add_dirt(chance, deals, accounts)
    return Sales(accounts=accounts, deals=deals, opens_on=opens_on)


def _accounts(chance: random.Random, number: int) -> list[Record]:
    accounts: list[Record] = []
    for n in range(number):
        code, country, currency, entity, cities = REGIONS[chance.choices((0, 1, 2), (6, 3, 1))[0]]
        city, state, postal_code = chance.choice(cities)
        name = f"{chance.choice(FIRST)}{chance.choice(SECOND)} {chance.choice(KINDS)} {n + 1}"
        slug = name.lower().replace(" ", "-")
        accounts.append(
            {
                "Name": name,
                "BillingStreet": f"{chance.randint(1, 99)} Market Street",
                "BillingCity": city,
                "BillingPostalCode": postal_code,
                "BillingCountry": country,
                "BillingCountryCode": code,
                "Phone": f"+1 555 {n:04d}",
                "Website": f"https://{slug}.example",
                "CurrencyIsoCode": currency,
                "Billing_Email__c": f"billing@{slug}.example",
                **({"BillingState": state, "BillingStateCode": state} if state else {}),
                "_entity": entity,
                "_parent": n - 1 if n % 9 == 8 and accounts[-1]["CurrencyIsoCode"] == currency else None,
            }
        )
    return accounts


def _deal(chance: random.Random, accounts: list[Record], opens_on: date, number: int) -> Deal:
    buyer = chance.randrange(len(accounts))
    account = accounts[buyer]
    years = chance.choices((1, 2, 3), (5, 3, 2))[0]
    period = chance.choices(("Annual", "Quarter", "Month"), (7, 2, 1))[0] if years == 1 else "Annual"
    starts = opens_on + timedelta(days=chance.randint(2, 20))
    lines = _subscription_lines(chance, years, starts)
    services = chance.random() < 0.4
    if services:
        lines.append(_services_line(chance, starts))
    usage = years == 1 and chance.random() < 0.25
    if usage:
        lines.append(_usage_line(starts))
    for position, each in enumerate(lines, start=1):
        each["SortOrder"] = position
    return Deal(
        name=f"{account['Name']} - {lines[0]['_ProductCode']} #{number + 1}",
        account=buyer,
        currency=account["CurrencyIsoCode"],
        value=sum((each["TotalPrice"] for each in lines), Decimal(0)),
        services=services,
        record={
            "OwnerId": SALESPEOPLE[number % len(SALESPEOPLE)]["Id"],
            "StageName": "Negotiation",
            "CloseDate": opens_on.isoformat(),
            "CurrencyIsoCode": account["CurrencyIsoCode"],
            "Legal_Entity__c": account["_entity"],
            "Contract_Start__c": starts.isoformat(),
            "Term_Months__c": years * 12,
            "Billing_Period__c": period,
            "Payment_Terms__c": chance.choice(("Net 15", "Net 30", "Net 30", "Net 45")),
            "Auto_Renew__c": False,
        },
        lines=lines,
    )


def _subscription_lines(chance: random.Random, years: int, starts: date) -> list[Record]:
    """One product, one line a contract year: a ramp grows by year."""
    product, seats = chance.choice(RECURRING[:6]), chance.randint(1, 40)
    discount = chance.choice((0, 0, 5, 10, 15, 25))
    lines = []
    for year in range(years):
        quantity = seats + year * chance.randint(0, 5)
        lines.append(
            _line(
                product,
                "Recurring",
                Decimal(quantity),
                discount,
                add_months(starts, 12 * year),
                add_months(starts, 12 * (year + 1)) - timedelta(days=1),
            )
        )
    return lines


def _services_line(chance: random.Random, starts: date) -> Record:
    ends = starts + timedelta(days=90)
    return _line(chance.choice(SERVICES), "One-Time", Decimal(chance.randint(1, 6)), 0, starts, ends)


def _usage_line(starts: date) -> Record:
    line = _line("API Calls", "Usage", Decimal(0), 0, starts, add_months(starts, 12) - timedelta(days=1))
    return {**line, "Unit_Of_Measure__c": "Each", "Usage_Tiers__c": USAGE_TIERS}


def _line(product: str, charge: str, quantity: Decimal, discount: int, starts: date, ends: date) -> Record:
    list_price = LIST_PRICES.get(product, LIST_PRICES["GTX Pro"])
    unit_price = (list_price * (100 - discount) / 100).quantize(Decimal("0.01"))
    return {
        "_ProductCode": product,
        "Description": f"{product}, {starts:%b %Y} to {ends:%b %Y}",
        "Quantity": quantity,
        "ListPrice": list_price,
        "UnitPrice": unit_price,
        "Discount": discount,
        "TotalPrice": (quantity * unit_price).quantize(Decimal("0.01")),
        "ServiceDate": starts.isoformat(),
        "Service_End__c": ends.isoformat(),
        "Charge_Type__c": charge,
    }


def _add_dirt(chance: random.Random, deals: list[Deal], accounts: list[Record]) -> None:
    """Some deals go wrong: a mistyped product, a customer that stands there twice, terms that need approval."""
    places = chance.sample(range(len(deals)), min(len(deals), 8 if len(deals) >= 20 else 0))
    for place in places[:3]:
        deals[place].trouble = "unknown product"
        deals[place].lines[0]["_ProductCode"] = UNKNOWN_PRODUCT
    for place in places[3:5]:
        deals[place].trouble = "approval: discount"
        for line in deals[place].lines:
            line["Discount"] = 40
    for place in places[5:6]:
        deals[place].trouble = "approval: terms"
        deals[place].record["Payment_Terms__c"] = "Net 60"
    for place in places[6:7]:
        _ambiguous(deals, deals[place].account, accounts)


def _ambiguous(deals: list[Deal], account: int, accounts: list[Record]) -> None:
    accounts[account]["_ambiguous"] = True
    for deal in deals:
        if deal.account == account and not deal.trouble:
            deal.trouble = "ambiguous customer"


async def load(sandboxes: Sandboxes, sales: Sales) -> None:
    """Put accounts, deals and lines into Salesforce, and the doubles that make customers ambiguous into NetSuite."""
    ids = await _load_accounts(sandboxes, sales.accounts)
    records = [{**d.record, "Name": d.name, "AccountId": ids[d.account]} for d in sales.deals]
    for deal, stored in zip(sales.deals, await sandboxes.seed("salesforce", "Opportunity", records), strict=True):
        deal.opportunity_id, deal.account_id = stored["Id"], stored["AccountId"]
    lines = [{**line, "OpportunityId": deal.opportunity_id} for deal in sales.deals for line in deal.lines]
    stored_lines = iter(await sandboxes.seed("salesforce", "OpportunityLineItem", lines))
    for deal in sales.deals:
        for line in deal.lines:
            line_id = next(stored_lines)["Id"]
            if line["Charge_Type__c"] == "Usage":
                deal.usage_line_id = line_id
    doubles = [a for a in sales.accounts if a.get("_ambiguous") for _ in range(2)]
    await sandboxes.seed("netsuite", "customer", [_netsuite_customer(a) for a in doubles])


async def _load_accounts(sandboxes: Sandboxes, accounts: list[Record]) -> list[str]:
    """Parents first, so that children can name them; returns the ids in the order given."""
    ids: dict[int, str] = {}
    for children in (False, True):
        places = [n for n, a in enumerate(accounts) if (a["_parent"] is not None) is children]
        records = [
            {name: value for name, value in accounts[n].items() if not name.startswith("_")}
            | ({"ParentId": ids[accounts[n]["_parent"]]} if children else {})
            for n in places
        ]
        stored = await sandboxes.seed("salesforce", "Account", records) if records else []
        ids |= {n: record["Id"] for n, record in zip(places, stored, strict=True)}
    return [ids[n] for n in range(len(accounts))]


def _netsuite_customer(account: Record) -> Record:
    return {
        "companyName": account["Name"],
        "subsidiary": "Example Inc" if account["_entity"] == "US01" else "Example GmbH",
        "currency": account["CurrencyIsoCode"],
        "addressBook": {
            "items": [
                {
                    "defaultBilling": True,
                    "addressBookAddress": {
                        "addr1": account["BillingStreet"],
                        "city": account["BillingCity"],
                        "zip": account["BillingPostalCode"],
                        "country": {"id": account["BillingCountryCode"]},
                    },
                }
            ]
        },
    }
