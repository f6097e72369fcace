"""Fetching, finding, reference lists, and streams that never skip a change."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from tests.connectors.netsuite.conftest import CREDIT_NOTE, CUSTOMER, INVOICE, ORDER, PAYMENT, START, Books, changed

from tieline.connectors.netsuite import NetSuiteConnector, NetSuiteSettings
from tieline.connectors.netsuite.references import AGAIN_AFTER_S, References, UnknownName
from tieline.connectors.sdk import wall_step_back, wall_to_utc
from tieline.engine.ports import Wire
from tieline.errors import ConfigurationError, InvalidMessage

COMPANY: Wire = {"companyName": "Rheinwerk Pumpen", "subsidiary": "Northwind GmbH", "currency": "EUR"}


def at(city: str, postal_code: str, country: str) -> Wire:
    return {
        "addressBook": {
            "items": [{"addressBookAddress": {"city": city, "zip": postal_code, "country": {"id": country}}}]
        }
    }


async def test_records_are_fetched_in_the_order_asked_with_none_for_absent_ones(books: Books) -> None:
    await books.post_customer()
    order_id, invoice_id = await books.post("order", ORDER), await books.post("invoice", INVOICE)
    first, absent, odd, other_type, last = await books.connector.fetch(
        "invoice", [invoice_id, "99999", "no-id", order_id, invoice_id]
    )
    assert absent is odd is other_type is None
    assert first == last
    assert first is not None
    assert first["total"] == Decimal("83.34")
    assert [line["amount"] for line in first["item"]["items"]] == [Decimal("83.33"), Decimal("0.01")]


async def test_many_headers_come_in_one_call(books: Books) -> None:
    await books.post_customer()
    ids = [await books.post("invoice", INVOICE | {"id": f"zuora-INV{n}"}) for n in range(5)]
    calls = books.connector.client.calls
    found = await books.connector.fetch("invoice.header", [*reversed(ids), "99999"])
    assert books.connector.client.calls == calls + 1
    assert [row["externalid"] if row else None for row in found] == [f"zuora-INV{n}" for n in (4, 3, 2, 1, 0)] + [None]
    assert found[0] is not None
    assert Decimal(found[0]["foreigntotal"]) == Decimal("83.34")
    assert found[0]["currencysymbol"] == "EUR"
    assert found[0]["trandate"] == "2026-11-23"


@pytest.mark.parametrize("kind", ["customer", "order", "credit_note", "payment"])
async def test_every_kind_can_be_fetched_whole_and_as_header(books: Books, kind: str) -> None:
    documents = {"customer": CUSTOMER, "order": ORDER, "credit_note": CREDIT_NOTE, "payment": PAYMENT}
    internal_id = await books.post_customer()
    if kind != "customer":
        await books.post("invoice", INVOICE)
        internal_id = await books.post(kind, documents[kind])
    for asked in (kind, f"{kind}.header"):
        (found,) = await books.connector.fetch(asked, [internal_id])
        assert found is not None
        assert found.get("externalId", found.get("externalid")) == documents[kind]["id"]


async def test_a_customer_is_found_by_external_id_tax_number_and_name_with_address(books: Books) -> None:
    def seed(**values: object) -> str:
        (record,) = books.sandbox.seed("customer", [COMPANY | values])
        return str(record["id"])

    by_id = seed(externalId=CUSTOMER["id"], companyName="Something else")
    by_tax = seed(vatRegNumber="de 123.456.789", companyName="RWP")
    by_name = seed(companyName="RHEINWERK-PUMPEN, GmbH", **at("Koln", "50668", "DE"))
    seed(companyName="Rheinwerk Pumpen GmbH", **at("Hamburg", "20095", "DE"))
    seed(companyName="Rheinwerk Pumpen GmbH", **at("Köln", "50668", "AT"))
    seed(companyName="Rheinwerk Pumpen Service GmbH", **at("Köln", "50668", "DE"))
    seed(companyName="Rheinwerk Pumpen GmbH", isInactive=True, **at("Köln", "50668", "DE"))
    candidates = await books.connector.find("customer", CUSTOMER)
    assert [(c.external_id, c.matched_by) for c in candidates] == [
        (by_id, "external_id"),
        (by_tax, "tax_number"),
        (by_name, "name_address"),
    ]
    assert candidates[0].canonical_id == CUSTOMER["id"]
    assert candidates[2].address == "50668 Koln, DE"
    assert candidates[1].tax_number == "de 123.456.789"


async def test_names_with_quotes_and_wildcards_are_searched_for_as_they_are(books: Books) -> None:
    books.sandbox.seed("customer", [COMPANY | {"companyName": "O'Neil's 100% Pumps"}])
    odd = CUSTOMER | {"name": "O'Neil's 100% Pumps", "tax_registrations": [{"country": "IE", "number": "'; DROP"}]}
    (found,) = await books.connector.find("customer", odd)
    assert found.name == "O'Neil's 100% Pumps"
    assert await books.connector.find("invoice", INVOICE) == []


async def test_periods_tell_whether_they_take_postings(books: Books) -> None:
    books.sandbox.act("close_period", {"through": "2026-10"})
    periods = {row["name"]: row for row in await books.connector.catalogue("accountingperiod")}
    october = {name: periods["Oct 2026"][name] for name in ("name", "start", "end", "closed", "isadjust")}
    assert october == {
        "name": "Oct 2026",
        "start": "2026-10-01",
        "end": "2026-10-31",
        "closed": True,
        "isadjust": "F",
    }
    assert not periods["Nov 2026"]["closed"]


@pytest.mark.parametrize("name", ["item", "subsidiary", "currency", "term", "billingschedule"])
async def test_reference_lists_are_read_whole(books: Books, name: str) -> None:
    rows = await books.connector.catalogue(name)
    assert {"id", "isinactive"} <= rows[0].keys()
    with pytest.raises(ConfigurationError, match="no list 'rate'"):
        await books.connector.catalogue("rate")


async def test_a_name_that_is_missing_has_its_list_read_again_but_not_for_every_document(books: Books) -> None:
    now = [0.0]
    references = References(books.connector.client, 900.0, clock=lambda: now[0])
    wanted = {"item": {"items": [{"item": {"refName": "brand  new"}}]}}
    with pytest.raises(UnknownName):
        await references.resolve(wanted)
    books.sandbox.seed("serviceSaleItem", [{"itemId": "Brand New"}])
    calls = books.connector.client.calls
    with pytest.raises(UnknownName):
        await references.resolve(wanted)
    assert books.connector.client.calls == calls
    now[0] += AGAIN_AFTER_S + 1
    resolved = await references.resolve(wanted)
    assert resolved["item"]["items"][0]["item"]["id"].isdigit()


async def test_two_subsidiaries_of_one_name_are_not_guessed_between(books: Books) -> None:
    rows: Wire = {"subsidiary": {"refName": "Northwind GmbH"}}
    assert await books.connector._references.resolve(rows) == {"subsidiary": {"id": "2"}}
    twin = books.sandbox.account.store.kinds["subsidiary"]["1"]
    twin.doc = twin.doc | {"name": "Northwind GmbH"}
    with pytest.raises(UnknownName, match="2 entries called 'Northwind GmbH'"):
        await References(books.connector.client, 900.0).resolve(rows)


async def sweep(connector: NetSuiteConnector, stream: str, cursor: str) -> tuple[list[tuple[str, str]], str, int]:
    """Everything behind a cursor, the cursor after it, and the number of pages."""
    found: list[tuple[str, str]] = []
    pages = 0
    while True:
        page = await connector.changes(stream, cursor)
        found, cursor, pages = found + page.changed, page.cursor, pages + 1
        if not page.more:
            return found, cursor, pages


async def test_a_stream_begins_with_everything_and_goes_on_with_what_changed(books: Books) -> None:
    await books.post_customer()
    first = await books.post("invoice", INVOICE)
    found, cursor, _ = await sweep(books.connector, "invoice", "")
    assert found == [(first, "2026-11-23T15:04:30Z")]
    await books.sandbox.world.advance(datetime(2026, 11, 23, 16, 0, tzinfo=UTC))
    second = await books.post("invoice", INVOICE | {"id": "zuora-INV2"})
    found, cursor, _ = await sweep(books.connector, "invoice", cursor)
    assert [one for one, _ in found] == [first, second]  # the overlap tells the last ones again
    found, cursor, _ = await sweep(books.connector, "invoice", cursor)
    assert [one for one, _ in found] == [second]


async def test_records_that_share_a_stamp_are_all_told_across_pages(books: Books, settings: NetSuiteSettings) -> None:
    records = [COMPANY | {"companyName": f"Company {n}"} for n in range(25)]
    seeded = {record["id"] for record in books.sandbox.seed("customer", records)}
    connector = NetSuiteConnector("netsuite", changed(settings, page_size=10))
    try:
        found, cursor, pages = await sweep(connector, "customer", "")
        assert ({one for one, _ in found}, pages) == (seeded, 3)
        again, _, _ = await sweep(connector, "customer", cursor)
        assert {one for one, _ in again} == seeded
    finally:
        await connector.close()


async def test_a_record_that_changes_while_the_window_is_read_is_told_in_the_next(
    books: Books, settings: NetSuiteSettings
) -> None:
    records = [COMPANY | {"companyName": f"Company {n}"} for n in range(15)]
    seeded = books.sandbox.seed("customer", records)
    connector = NetSuiteConnector("netsuite", changed(settings, page_size=10))
    try:
        page = await connector.changes("customer", "")
        await books.sandbox.world.advance(datetime(2026, 11, 23, 18, 0, tzinfo=UTC))
        early = seeded[0]["id"]
        await connector.client.update("customer", early, {"email": "moved@x.example"})
        found, cursor, _ = await sweep(connector, "customer", page.cursor)
        assert early not in {one for one, _ in found}
        found, _, _ = await sweep(connector, "customer", cursor)
        assert (early, "2026-11-23T18:00:00Z") in found
    finally:
        await connector.close()


async def test_an_empty_stream_stays_at_its_beginning(books: Books) -> None:
    page = await books.connector.changes("payment", "")
    assert (page.changed, page.more) == ([], False)
    assert (await books.connector.changes("payment", page.cursor)).changed == []
    with pytest.raises(ConfigurationError, match="not a cursor"):
        await books.connector.changes("payment", "yesterday")
    with pytest.raises(ConfigurationError, match="holds no 'lead'"):
        await books.connector.changes("lead", "")


def test_stamps_are_the_companys_wall_clock() -> None:
    zone = ZoneInfo("America/Los_Angeles")
    assert wall_to_utc("2026-11-23 07:04:00", zone) == f"{START:%Y-%m-%dT%H:%M}:00Z"
    assert wall_to_utc("2026-07-01 07:04:00", zone) == "2026-07-01T14:04:00Z"


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("2026-11-23 07:04:00", "2026-11-23 06:59:00"),
        ("2026-11-01 01:59:00", "2026-11-01 00:54:00"),
        ("2026-11-01 02:03:00", "2026-11-01 00:58:00"),
        ("2026-11-01 02:06:00", "2026-11-01 02:01:00"),
        ("2026-03-08 03:02:00", "2026-03-08 02:57:00"),
    ],
)
def test_where_the_clock_is_put_back_the_window_reaches_over_the_hour_told_twice(stamp: str, expected: str) -> None:
    assert wall_step_back(stamp, 300.0, ZoneInfo("America/Los_Angeles")) == expected


async def test_netsuite_sends_no_webhooks(books: Books) -> None:
    with pytest.raises(InvalidMessage, match="no webhooks"):
        await books.connector.notices({}, b"{}", {})


async def test_the_check_names_the_subsidiaries_and_a_default_that_is_missing(
    books: Books, settings: NetSuiteSettings
) -> None:
    assert "2 subsidiaries: Northwind Inc, Northwind GmbH" in await books.connector.check()
    connector = NetSuiteConnector("netsuite", changed(settings, subsidiary="Nordwind GmbH"))
    try:
        with pytest.raises(UnknownName, match="nearest: 'Northwind GmbH'"):
            await connector.check()
    finally:
        await connector.close()
