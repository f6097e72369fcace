"""Whatever is written, refused, changed and deleted, the books add up."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tieline_sandbox.kernel.world import World
from tieline_sandbox.netsuite import Sandbox
from tieline_sandbox.netsuite.errors import NetSuiteError
from tieline_sandbox.netsuite.model import Account, WriteOptions

KINDS = ("invoice", "creditMemo", "customerPayment", "customerDeposit", "depositApplication", "customerRefund")
CREDITS = ("creditMemo", "customerPayment", "customerDeposit")
REPLACE = WriteOptions(replace=frozenset({"item"}))


def _amount(chance: random.Random) -> Decimal:
    return Decimal(chance.randrange(1, 5000)).scaleb(-2)


def _body(account: Account, chance: random.Random, kind: str) -> dict[str, Any]:
    customer = {"id": chance.choice("123")}
    invoices = list(account.store.kinds["invoice"])
    apply = [
        {"doc": {"id": chance.choice(invoices)}, "apply": chance.random() < 0.9, "amount": _amount(chance)}
        for _ in range(chance.randrange(3) if invoices else 0)
    ]
    if kind == "customerDeposit":
        return {"customer": customer, "payment": _amount(chance)}
    if kind == "depositApplication":
        return {"deposit": {"id": _one_of(account, chance, "customerDeposit")}, "apply": {"items": apply}}
    if kind == "customerRefund":
        doc = {"id": _one_of(account, chance, chance.choice(CREDITS))}
        lines = [{"doc": doc, "amount": _amount(chance) / 4}]
        return {"customer": customer, "account": {"refName": "Checking"}, "apply": {"items": lines}}
    lines = [{"item": {"refName": "SEAT"}, "amount": _amount(chance)} for _ in range(chance.randrange(4))]
    if kind == "customerPayment":
        return {"customer": customer, "payment": _amount(chance), "apply": {"items": apply}}
    tax = {"taxTotal": _amount(chance) / 5} if chance.random() < 0.5 else {}
    body: dict[str, Any] = {"entity": customer, "item": {"items": lines}} | tax
    return body | ({"apply": {"items": apply}} if kind == "creditMemo" else {})


def _one_of(account: Account, chance: random.Random, kind: str) -> str:
    return chance.choice([*account.store.kinds[kind], "0"])


def _deed(account: Account, chance: random.Random) -> None:
    kind = chance.choice(KINDS)
    standing = list(account.store.kinds[kind].values())
    roll = chance.random()
    if roll < 0.55 or not standing:
        account.upsert(kind, f"{kind}-{chance.randrange(60)}", _body(account, chance, kind), REPLACE)
    elif roll < 0.8:
        body = _body(account, chance, kind)
        chosen = chance.choice(list(body))
        account.update(chance.choice(standing), {chosen: body[chosen]})
    else:
        account.delete(chance.choice(standing))


def _check(account: Account) -> None:
    store = account.store
    applied: defaultdict[str, Decimal] = defaultdict(Decimal)
    drawn: defaultdict[str, Decimal] = defaultdict(Decimal)
    for kind in ("creditMemo", "customerPayment", "depositApplication"):
        for entry in store.kinds[kind].values():
            for line in entry.doc.get("apply", {"items": []})["items"]:
                applied[line["doc"]["id"]] += line["amount"]
                drawn[entry.doc["deposit"]["id"] if kind == "depositApplication" else entry.id] += line["amount"]
    for entry in store.kinds["customerRefund"].values():
        for line in entry.doc["apply"]["items"]:
            drawn[line["doc"]["id"]] += line["amount"]
    for kind in CREDITS:
        for entry in store.kinds[kind].values():
            doc = entry.doc
            held = doc["payment"] if kind == "customerDeposit" else doc["total"]
            assert (doc["applied"], doc["unapplied"]) == (drawn[entry.id], held - drawn[entry.id])
            assert doc["unapplied"] >= 0
    for entry in store.kinds["invoice"].values():
        doc = entry.doc
        assert doc["total"] == sum(line["amount"] for line in doc["item"]["items"]) + doc["taxTotal"]
        assert (doc["amountPaid"], doc["amountRemaining"]) == (applied[entry.id], doc["total"] - applied[entry.id])
        assert doc["amountRemaining"] >= 0
    assert set(applied) <= set(store.kinds["invoice"])
    counted = Counter(
        reference
        for family in store.families.values()
        for one in family.entries.values()
        for reference in one.references
    )
    assert {key: count for key, count in store.uses.items() if count} == counted
    entries = store.families["transaction"].entries
    assert store.families["transaction"].numbers == sorted(int(one) for one in entries)
    assert set(store.families["transaction"].latest_last) == set(entries)


@pytest.mark.parametrize("seed", range(3))
def test_the_books_add_up_after_any_history(seed: int) -> None:
    """Random upserts, patches and deletes, many of them refused: totals, remainders and indexes agree after each."""
    sandbox, chance = Sandbox(World(datetime(2026, 3, 10, tzinfo=UTC))), random.Random(seed)
    sandbox.seed("subsidiary", [{"name": "US01", "currency": "USD"}])
    sandbox.seed("serviceSaleItem", [{"itemId": "SEAT"}])
    sandbox.seed("customer", [{"companyName": name, "subsidiary": "US01"} for name in "ABC"])
    refused = 0
    for _ in range(400):
        try:
            _deed(sandbox.account, chance)
        except NetSuiteError:
            refused += 1
        _check(sandbox.account)
    assert 40 < refused < 360
