"""SuiteQL over HTTP: what it answers, how it pages, and how it refuses."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.sandbox.netsuite.client import Client

from tieline_sandbox.netsuite import Sandbox


def invoice(number: int, customer: str = "acme", **changed: Any) -> dict[str, Any]:
    lines = [{"item": "SEAT", "quantity": 2, "amount": Decimal("10.10"), "custcol_crm_line": f"L{number}"}]
    body = {"entity": customer, "tranDate": f"2026-03-0{number}", "externalId": f"i-{number}"}
    return body | {"item": lines, "otherRefNum": f"INV-{number}"} | changed


@pytest.fixture
def books(sandbox: Sandbox) -> Sandbox:
    """Three invoices, one of them Bauer's; the first is partly paid."""
    sandbox.seed("invoice", [invoice(1, custbody_crm_opportunity="006A"), invoice(2), invoice(3, "bauer")])
    paid = {"doc": {"externalId": "i-1"}, "apply": True, "amount": 5}
    sandbox.seed("customerPayment", [{"customer": "acme", "payment": 5, "tranDate": "2026-03-04", "apply": [paid]}])
    return sandbox


async def rows(client: Client, text: str, *params: Any) -> list[dict[str, str]]:
    answer = await client.query(text, params=list(params))
    assert answer.status == 200, answer.body
    return [{name: value for name, value in row.items() if name != "links"} for row in answer.body["items"]]


async def test_values_are_texts_and_nulls_are_left_out(client: Client, books: Sandbox) -> None:
    """Lower-case names, numbers as texts without trailing zeros, dates as M/D/YYYY, T and F, no key for NULL."""
    found = await rows(
        client,
        "SELECT ID, tranId, externalid AS Ext, type, foreigntotal, trandate, custbody_crm_opportunity, memo, voided "
        "FROM transaction WHERE externalid = 'i-1'",
    )
    assert found == [
        {
            "id": "1",
            "tranid": "INV1001",
            "ext": "i-1",
            "type": "CustInvc",
            "foreigntotal": "10.1",
            "trandate": "3/1/2026",
            "custbody_crm_opportunity": "006A",
            "voided": "F",
        }
    ]


async def test_a_time_shows_its_hours_only_through_to_char(client: Client, books: Sandbox) -> None:
    """And on the company's clock, not in UTC."""
    text = "SELECT lastmodifieddate a, TO_CHAR(lastmodifieddate, 'YYYY-MM-DD HH24:MI') b FROM transaction WHERE id = 2"
    assert await rows(client, text) == [{"a": "3/10/2026", "b": "2026-03-10 12:00"}]
    await client.control("configure", {"time_zone": "America/Los_Angeles"})
    assert await rows(client, text) == [{"a": "3/10/2026", "b": "2026-03-10 05:00"}]


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ("externalid IN ('i-1', 'i-3', 'none')", ["1", "3"]),
        ("id > 1 AND type = 'CustInvc'", ["2", "3"]),
        ("entity = 1 AND type != 'CustInvc'", ["4"]),
        ("type = 'CustInvc' AND status = 'A'", ["1", "2", "3"]),
        ("BUILTIN.DF(status) LIKE 'Payment%'", ["4"]),
        ("foreignamountunpaid < 10", ["1"]),
        ("foreignamountunpaid BETWEEN 6 AND 11", ["2", "3"]),
        ("trandate = '3/2/2026' OR trandate = TO_DATE('2026-03-03', 'YYYY-MM-DD')", ["2", "3"]),
        ("NOT (otherrefnum IS NULL) AND UPPER(otherrefnum) LIKE 'INV-_'", ["1", "2", "3"]),
        ("custbody_crm_opportunity IS NOT NULL", ["1"]),
        ("memo = 'x' OR NOT memo = 'x'", []),
        (
            "lastmodifieddate >= TO_TIMESTAMP('2026-03-10 00:00:00', 'YYYY-MM-DD HH24:MI:SS') AND id <> 4",
            ["1", "2", "3"],
        ),
        ("lastmodifieddate > TO_DATE('2026-03-11', 'YYYY-MM-DD')", []),
        ("entity IN (SELECT id FROM customer WHERE companyname = 'Bauer')", ["3"]),
        ("(1 = 1) AND id NOT IN (1, 2, 3)", ["4"]),
        ("CASE WHEN foreigntotal > 6 THEN 'big' ELSE 'small' END = 'small'", ["4"]),
        ("foreigntotal - foreignamountpaid = 5.1", ["1"]),
        ("SUBSTR(externalid, 1, 2) || 'x' = 'i-x'", ["1", "2", "3"]),
    ],
)
async def test_conditions_choose_the_rows(client: Client, books: Sandbox, where: str, ids: list[str]) -> None:
    """Each of these is what an integration writes; NULL is neither equal nor unequal."""
    found = await rows(client, f"SELECT id FROM transaction WHERE {where} ORDER BY id")
    assert [row["id"] for row in found] == ids


async def test_joins_groups_and_order(client: Client, books: Sandbox) -> None:
    """Comma joins, JOIN and LEFT JOIN; COUNT and SUM by group; DESC order; query parameters."""
    found = await rows(
        client,
        "SELECT c.companyname, COUNT(*) AS n, SUM(t.foreigntotal) AS total FROM transaction t "
        "JOIN customer c ON c.id = t.entity WHERE t.type = ? GROUP BY c.companyname ORDER BY total DESC",
        "CustInvc",
    )
    assert found == [
        {"companyname": "Acme", "n": "2", "total": "20.2"},
        {"companyname": "Bauer", "n": "1", "total": "10.1"},
    ]
    found = await rows(
        client,
        "SELECT t.externalid, l.nextdoc FROM transaction t LEFT JOIN nexttransactionlink l ON l.previousdoc = t.id "
        "WHERE t.type = 'CustInvc' AND t.entity = 1 ORDER BY 1 DESC",
    )
    assert found == [{"externalid": "i-2"}, {"externalid": "i-1", "nextdoc": "4"}]
    counted = await rows(client, "SELECT entity, COUNT(*) n FROM transaction GROUP BY entity HAVING COUNT(*) > 1")
    assert counted == [{"entity": "1", "n": "3"}]
    assert await rows(client, "SELECT COUNT(DISTINCT entity) FROM transaction") == [{"expr1": "2"}]
    assert await rows(client, "SELECT MAX(id) - MIN(id) AS span FROM transaction") == [{"span": "3"}]
    newest = "SELECT TO_CHAR(MAX(trandate), 'YYYY-MM-DD') d, NVL(SUM(total), entity) s FROM transaction GROUP BY entity"
    assert await rows(client, f"{newest} ORDER BY 1") == [
        {"d": "2026-03-03", "s": "10.1"},
        {"d": "2026-03-04", "s": "25.2"},
    ]
    assert await rows(client, "SELECT DISTINCT entity FROM transaction ORDER BY entity DESC") == [
        {"entity": "2"},
        {"entity": "1"},
    ]


async def test_lines_of_sales_are_negative(client: Client, books: Sandbox) -> None:
    """A line is a posting: the income of an invoice is a credit, the main line carries the receivable."""
    found = await rows(
        client,
        "SELECT tl.id, tl.mainline, tl.item, BUILTIN.DF(tl.item) name, tl.quantity, tl.foreignamount, "
        "tl.custcol_crm_line "
        "FROM transactionline tl, transaction t WHERE tl.transaction = t.id AND t.externalid = 'i-2' ORDER BY tl.id",
    )
    assert found == [
        {"id": "0", "mainline": "T", "foreignamount": "10.1"},
        {
            "id": "1",
            "mainline": "F",
            "item": "1",
            "name": "SEAT",
            "quantity": "-2",
            "foreignamount": "-10.1",
            "custcol_crm_line": "L2",
        },
    ]


async def test_what_setup_needs_can_be_read(client: Client, books: Sandbox) -> None:
    """Subsidiaries, currencies, terms, items, periods and schedules."""
    assert await rows(client, "SELECT name, BUILTIN.DF(currency) c FROM subsidiary ORDER BY id") == [
        {"name": "US01", "c": "US Dollar"},
        {"name": "DE01", "c": "Euro"},
    ]
    assert await rows(client, "SELECT symbol FROM currency WHERE isinactive = 'F' ORDER BY symbol") == [
        {"symbol": name} for name in ("EUR", "GBP", "JPY", "USD")
    ]
    assert await rows(client, "SELECT daysuntilnetdue d FROM term WHERE name = 'Net 45'") == [{"d": "45"}]
    assert await rows(client, "SELECT itemid, itemtype FROM item WHERE isinactive = 'F' ORDER BY itemid") == [
        {"itemid": "FEE", "itemtype": "OthCharge"},
        {"itemid": "SEAT", "itemtype": "Service"},
    ]
    period = "SELECT periodname, closed FROM accountingperiod WHERE startdate <= SYSDATE AND enddate >= TRUNC(SYSDATE)"
    assert await rows(client, period) == [{"periodname": "Mar 2026", "closed": "F"}]
    assert len(await rows(client, "SELECT name FROM billingschedule")) == 3


async def test_pages_follow_the_limit(client: Client, sandbox: Sandbox) -> None:
    """At most 1,000 rows a page, offsets in multiples of the limit, and the total beside them."""
    sandbox.seed("customer", [{"companyName": f"C{number}", "subsidiary": "US01"} for number in range(1100)])
    first = (await client.query("SELECT id FROM customer ORDER BY id")).body
    assert (first["count"], first["totalResults"], first["hasMore"]) == (1000, 1102, True)
    second = (await client.query("SELECT id FROM customer ORDER BY id", offset=1000)).body
    assert (second["count"], second["hasMore"], second["items"][0]["id"]) == (102, False, "1001")
    assert (await client.query("SELECT id FROM customer", limit=1001)).code == "INVALID_PARAMETER"
    assert len(await rows(client, "SELECT TOP 3 id FROM customer ORDER BY id DESC")) == 3
    assert len(await rows(client, "SELECT id FROM customer WHERE ROWNUM <= 5")) == 5
    assert len(await rows(client, "SELECT id FROM customer FETCH FIRST 4 ROWS ONLY")) == 4


async def test_key_set_pages_meet_every_change_once(client: Client, books: Sandbox) -> None:
    """Paging on (lastmodifieddate, id): a settled invoice comes up again, an untouched one does not."""
    since = "TO_TIMESTAMP('{}', 'YYYY-MM-DD HH24:MI:SS')"
    await books.world.advance(books.world.now() + timedelta(minutes=30))
    mark = f"{books.world.now():%Y-%m-%d %H:%M:%S}"
    paid = {"doc": {"externalId": "i-2"}, "apply": True}
    await client.record("POST", "customerPayment", {"customer": {"externalId": "acme"}, "apply": {"items": [paid]}})
    text = f"SELECT id FROM transaction WHERE lastmodifieddate >= {since.format(mark)} ORDER BY lastmodifieddate, id"
    assert [row["id"] for row in await rows(client, text)] == ["2", "5"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SELECT id FROM widgets", "Invalid search type: widgets."),
        (
            "SELECT nope FROM customer",
            "Search error occurred: Unknown identifier 'nope'. Available identifiers are: {customer=customer}.",
        ),
        ("SELECT id FROM customer WHERE", "Invalid or unsupported search."),
        ("UPDATE customer SET id = 1", "Invalid or unsupported search."),
        ("SELECT SOUNDEX(id) FROM customer", "Unknown function 'SOUNDEX'."),
        ("SELECT id FROM transaction WHERE trandate > '2026-01-31'", "Invalid date value '2026-01-31'."),
        ("SELECT id FROM customer WHERE id = ?", "A value is missing"),
        ("SELECT 'open FROM customer", "Invalid or unsupported search."),
    ],
)
async def test_a_faulty_query_is_explained(client: Client, text: str, words: str) -> None:
    """400 INVALID_PARAMETER at q, in NetSuite's words."""
    refused = await client.query(text)
    assert (refused.status, refused.code) == (400, "INVALID_PARAMETER")
    assert refused.detail.startswith("Invalid search query. Detailed unprocessed description follows. ")
    assert words in refused.detail
    assert refused.body["o:errorDetails"][0]["o:errorQueryParam"] == "q"


async def test_the_transient_preference_is_required(client: Client) -> None:
    refused = await client.call("POST", "/services/rest/query/v1/suiteql", {"q": "SELECT id FROM customer"})
    assert (refused.status, refused.body["o:errorDetails"][0]["o:errorHeader"]) == (400, "Prefer")
    headers = {"Prefer": "transient"}
    assert (await client.call("POST", "/services/rest/query/v1/suiteql", {}, headers)).code == "INVALID_PARAMETER"
