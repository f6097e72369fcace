"""How many documents of 25 fields a second one core translates: `python benchmarks/mapping.py [documents]`."""

from __future__ import annotations

import sys
import time
from decimal import Decimal
from typing import Any

from tieline.mapping import compile_table, load_table, load_value_map

TABLE = """
mapping: salesforce.opportunity -> canonical.contract
version: 1
owner: benchmark
fields:
  id:              {from: Id, as: id}
  number:          {from: Id, required: true}
  name:            {from: Name, max_length: 200}
  customer:        {from: AccountId, as: id}
  entity.id:       {from: AccountId, as: id, ref: customer}
  legal_entity:    {from: Legal_Entity__c, required: true}
  currency:        {from: CurrencyIsoCode, required: true}
  won_on:          {from: CloseDate, as: date}
  starts_on:       {from: Contract_Start__c, as: date}
  term_months:     {from: Term_Months__c, as: integer}
  billing_period:  {from: Billing_Period__c, lookup: periods}
  terms.id:        {from: Payment_Terms__c, lookup: terms, column: netsuite}
  auto_renew:      {from: Auto_Renew__c, default: false, as: boolean}
  total:           {from: Amount, as: money, currency: CurrencyIsoCode}
  monthly:         {formula: "round(Amount / Term_Months__c, 2)", when: "Term_Months__c > 0"}
  source:          {const: tieline}
  memo:            {formula: "Name & ' for ' & Legal_Entity__c"}
  lines:
    each: Lines
    where: "Kind != 'Usage'"
    fields:
      id:          {from: Id, as: id}
      product:     {from: Product, required: true}
      quantity:    {from: Quantity, as: decimal}
      net:         {from: TotalPrice, as: money, currency: $.CurrencyIsoCode}
"""
MAPS = {
    "periods": load_value_map("value_map: periods\nentries: {Month: month, Quarter: quarter, Annual: annual}"),
    "terms": load_value_map("value_map: terms\nentries: {Net 30: {netsuite: '4'}, Net 60: {netsuite: '5'}}"),
}
FIELDS = 17 + 2 * 4  # two lines of four fields


def document(number: int) -> dict[str, Any]:
    """An opportunity with two lines."""
    line = {"Product": "SEAT", "Kind": "Recurring", "Quantity": "25", "TotalPrice": Decimal("1200.50")}
    return {
        "Id": f"006{number:012}",
        "Name": f"Deal {number}",
        "AccountId": "001A",
        "Legal_Entity__c": "DE01",
        "CurrencyIsoCode": "EUR",
        "CloseDate": "2026-01-31",
        "Contract_Start__c": "2026-02-01",
        "Term_Months__c": 12,
        "Billing_Period__c": "Month",
        "Payment_Terms__c": "Net 30",
        "Auto_Renew__c": True,
        "Amount": Decimal("2401.00"),
        "Lines": [{**line, "Id": f"a{number}"}, {**line, "Id": f"b{number}"}],
    }


def rate(count: int) -> float:
    """Documents a second: compile once, translate `count` of them."""
    mapping = compile_table(load_table(TABLE), value_maps=MAPS)
    documents = [document(n) for n in range(count)]
    refs = {("customer", "salesforce-001A"): "12"}
    started = time.perf_counter()
    for source in documents:
        mapping.run(source, connection="salesforce", refs=refs)
    return count / (time.perf_counter() - started)


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    print(f"{rate(number):,.0f} documents/s of {FIELDS} fields, one core, {number:,} documents")
