"""SOQL over HTTP: what is found, in which order, how it is shown, how it is paged and how it is refused."""

from __future__ import annotations

from typing import Any

import pytest
from tests.sandbox.salesforce.client import Client

from tieline_sandbox.salesforce.ids import mint

DEALS: list[dict[str, Any]] = [
    {"Name": "Alpha", "StageName": "Closed Won", "CloseDate": "2026-01-10", "Amount": 100, "NextStep": None},
    {"Name": "beta", "StageName": "Proposal", "CloseDate": "2026-02-10", "Amount": 200, "NextStep": "call_1"},
    {"Name": "Gamma's", "StageName": "Closed Won", "CloseDate": "2026-03-10", "Amount": None, "NextStep": "callX1"},
    {"Name": "Delta\\", "StageName": "Closed Lost", "CloseDate": "2026-04-10", "Amount": 50, "NextStep": "50% off"},
]


def seeded(org: Client) -> list[str]:
    """Four deals of one account, their ids in order; the first two share a SystemModstamp."""
    account = org.sandbox.seed("Account", [{"Name": "Acme", "BillingCountryCode": "DE"}])[0]["Id"]
    stamps = ["2026-01-01T10:00:00Z", "2026-01-01T10:00:00Z", "2026-01-01T10:00:01Z", "2026-01-02T00:00:00Z"]
    rows = [d | {"AccountId": account, "SystemModstamp": s} for d, s in zip(DEALS, stamps, strict=True)]
    return [r["Id"] for r in org.sandbox.seed("Opportunity", rows)]


CASES: list[tuple[str, list[int]]] = [
    ("WHERE Name = 'ALPHA'", [0]),
    ("WHERE Name != 'alpha' AND Amount > 50", [1]),
    ("WHERE Amount = null", [2]),
    ("WHERE Amount != 100", [1, 2, 3]),
    ("WHERE Amount >= 50 AND Amount <= 1e2", [0, 3]),
    ("WHERE NOT IsWon = true", [1, 3]),
    ("WHERE IsClosed = TRUE AND (StageName = 'Closed Lost' OR Amount = null)", [2, 3]),
    (r"WHERE Name = 'Gamma\'s'", [2]),
    (r"WHERE Name = 'Delta\\'", [3]),
    ("WHERE Name LIKE '%a%'", [0, 1, 2, 3]),
    ("WHERE Name LIKE 'b_ta'", [1]),
    (r"WHERE NextStep LIKE 'call\_1'", [1]),
    (r"WHERE NextStep LIKE '50\% %'", [3]),
    ("WHERE StageName IN ('Proposal', 'Closed Lost')", [1, 3]),
    ("WHERE StageName NOT IN ('Proposal', 'Closed Lost')", [0, 2]),
    ("WHERE CloseDate >= 2026-03-10", [2, 3]),
    ("WHERE CloseDate < TODAY AND Amount = 100", [0]),
    ("WHERE SystemModstamp > 2026-01-01T10:00:00Z", [2, 3]),
    ("WHERE SystemModstamp >= 2026-01-01T11:00:00+01:00 AND SystemModstamp < 2026-01-02T00:00:00.000Z", [0, 1, 2]),
    ("WHERE Account.Name = 'acme' AND Account.BillingCountryCode = 'DE' AND IsWon = true", [0, 2]),
    ("WHERE Account.ParentId = null AND Name = 'beta'", [1]),
    ("WHERE AccountId IN (SELECT Id FROM Account WHERE Name = 'Acme') AND Amount = 50", [3]),
    ("ORDER BY Amount DESC NULLS LAST, Id", [1, 0, 3, 2]),
    ("WHERE Id > '' AND IsWon = true", [0, 2]),
    ("ORDER BY Amount", [2, 3, 0, 1]),
    ("ORDER BY Name DESC", [2, 3, 1, 0]),
    ("ORDER BY IsWon DESC, CloseDate DESC LIMIT 3", [2, 0, 3]),
    ("ORDER BY SystemModstamp ASC, Id ASC LIMIT 2 OFFSET 1", [1, 2]),
    ("ORDER BY SystemModstamp DESC LIMIT 1", [3]),
]


@pytest.mark.parametrize(("rest", "expected"), CASES)
async def test_conditions_and_orders(org: Client, rest: str, expected: list[int]) -> None:
    """Each clause finds the rows Salesforce would, in its order (by id when none is asked)."""
    ids = seeded(org)
    answer = await org.query(f"SELECT Id FROM Opportunity {rest}")
    assert [ids.index(r["Id"]) for r in answer["records"]] == expected
    assert (answer["totalSize"], answer["done"]) == (len(expected), True)


async def test_a_cursor_on_stamp_and_id_reads_each_record_once(org: Client) -> None:
    """Polling on (SystemModstamp, Id) neither skips nor repeats records that share a second."""
    ids = seeded(org)
    seen: list[str] = []
    stamp, last = "2025-01-01T00:00:00Z", ""
    for _ in range(10):
        after = f"(SystemModstamp = {stamp} AND Id > '{last}')" if last else f"SystemModstamp = {stamp}"
        soql = f"SELECT Id, SystemModstamp FROM Opportunity WHERE SystemModstamp > {stamp} OR {after}"
        rows = (await org.query(f"{soql} ORDER BY SystemModstamp, Id LIMIT 1"))["records"]
        if not rows:
            break
        last, stamp = rows[0]["Id"], rows[0]["SystemModstamp"].replace("+0000", "Z")
        seen.append(last)
    assert seen == ids


async def test_parents_and_children_are_nested(org: Client) -> None:
    """Parents are objects with attributes, or null; children are answers of their own, or null."""
    ids = seeded(org)
    org.sandbox.seed("Product2", [{"Name": "Seat", "ProductCode": "SEAT"}])
    lines = [{"OpportunityId": ids[0], "_ProductCode": "SEAT", "Quantity": q, "UnitPrice": 1} for q in (1, 2)]
    org.sandbox.seed("OpportunityLineItem", lines)
    select = (
        "SELECT Id, Account.Name, Pricebook2.Name, (SELECT Quantity, Product2.ProductCode FROM OpportunityLineItems"
    )
    first, second = (await org.query(f"{select} ORDER BY Quantity DESC) FROM Opportunity LIMIT 2"))["records"]
    assert first["attributes"]["url"] == f"/services/data/v60.0/sobjects/Opportunity/{ids[0]}"
    assert first["Account"]["Name"] == "Acme"
    assert first["Account"]["attributes"]["type"] == "Account"
    assert first["Pricebook2"] is None
    assert [(c["Quantity"], c["Product2"]["ProductCode"]) for c in first["OpportunityLineItems"]["records"]] == [
        (2, "SEAT"),
        (1, "SEAT"),
    ]
    assert first["OpportunityLineItems"]["totalSize"] == 2
    assert second["OpportunityLineItems"] is None


async def test_count_and_fields(org: Client) -> None:
    """COUNT() answers a size without records; FIELDS(ALL) needs a limit."""
    seeded(org)
    counted = await org.query("select count() from opportunity where IsWon = true")
    assert counted == {"totalSize": 2, "done": True, "records": []}
    every = await org.query("SELECT FIELDS(ALL) FROM Opportunity LIMIT 200")
    assert {"Id", "StageName", "Legal_Entity__c"} <= set(every["records"][0])
    reply = await org.call("GET", "query", params={"q": "SELECT FIELDS(ALL) FROM Opportunity"})
    assert reply.body[0]["errorCode"] == "MALFORMED_QUERY"


async def test_long_answers_come_in_pages(org: Client) -> None:
    """Batches of at least 200 with a nextRecordsUrl until done; a locator made up is refused."""
    org.sandbox.seed("Account", [{"Name": f"A{i}"} for i in range(450)])
    page = await org.query("SELECT Id FROM Account ORDER BY Id", **{"Sforce-Query-Options": "batchSize=50"})
    sizes, ids = [], []
    while True:
        sizes.append(len(page["records"]))
        ids += [r["Id"] for r in page["records"]]
        assert page["totalSize"] == 450
        if page["done"]:
            break
        url = page["nextRecordsUrl"]
        page = (await org.call("GET", url, headers={"Sforce-Query-Options": "batchSize=200"})).body
    assert sizes == [200, 200, 50]
    assert len(set(ids)) == 450
    assert "nextRecordsUrl" not in page
    reply = await org.call("GET", "query/01gAa0000000009-200")
    assert reply.body[0]["errorCode"] == "INVALID_QUERY_LOCATOR"


async def test_deleted_records_are_seen_by_query_all_only(org: Client) -> None:
    """The recycle bin is part of queryAll, with IsDeleted, and of /deleted."""
    ids = seeded(org)
    await org.call("DELETE", f"sobjects/Opportunity/{ids[1]}")
    soql = "SELECT Id, IsDeleted FROM Opportunity"
    assert (await org.query(soql))["totalSize"] == 3
    everything = (await org.call("GET", "queryAll", params={"q": f"{soql} WHERE IsDeleted = true"})).body
    assert [r["Id"] for r in everything["records"]] == [ids[1]]
    span = {"start": "2026-01-01T00:00:00+00:00", "end": "2099-01-01T00:00:00+00:00"}
    gone = (await org.call("GET", "sobjects/Opportunity/deleted/", params=span)).body
    assert [r["id"] for r in gone["deletedRecords"]] == [ids[1]]
    assert len((await org.call("GET", "sobjects/Opportunity/updated", params=span)).body["ids"]) == 3


@pytest.mark.parametrize(
    ("soql", "code", "message"),
    [
        ("SELECT Id FRM Account", "MALFORMED_QUERY", "ERROR at Row:1:Column:11\nunexpected token: 'FRM'"),
        ("SELECT Id FROM Account WHERE", "MALFORMED_QUERY", "unexpected token: '<EOF>'"),
        ("SELECT Id FROM Account LIMIT x", "MALFORMED_QUERY", "unexpected token: 'x'"),
        ("SELECT Id FROM Account GROUP BY Id HAVING COUNT(Id) > 1", "MALFORMED_QUERY", "unexpected token: 'HAVING'"),
        ("SELECT Id FROM Account WHERE Name = 'a", "MALFORMED_QUERY", "unexpected token"),
        (
            "SELECT Id FROM Account WHERE Name = 'a' AND Phone = 'b' OR Fax = 'c'",
            "MALFORMED_QUERY",
            "unexpected token: 'OR'",
        ),
        ("SELECT Nme FROM Account", "INVALID_FIELD", "No such column 'Nme' on entity 'Account'"),
        ("SELECT Id FROM Account WHERE Nme = 'a'", "INVALID_FIELD", "No such column 'Nme' on entity 'Account'"),
        ("SELECT Boss.Name FROM Account", "INVALID_FIELD", "Didn't understand relationship 'Boss' in field path"),
        ("SELECT Id FROM Acount", "INVALID_TYPE", "sObject type 'Acount' is not supported"),
        ("SELECT Id, (SELECT Id FROM Lines) FROM Account", "INVALID_TYPE", "Didn't understand relationship 'Lines'"),
        ("SELECT Id FROM Account WHERE Name = 5", "INVALID_FIELD", "should be enclosed in quotes"),
        (
            "SELECT Id FROM Opportunity WHERE CloseDate = '2026-01-01'",
            "INVALID_FIELD",
            "of type date and should not be enclosed in quotes",
        ),
        ("SELECT Id FROM Account WHERE Id = 'abc'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: abc"),
        ("SELECT Id FROM Account WHERE Description = 'x'", "INVALID_FIELD", "can not be filtered in a query call"),
        ("SELECT Id FROM Account OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset"),
    ],
)
async def test_a_faulty_query_is_refused_in_salesforce_words(org: Client, soql: str, code: str, message: str) -> None:
    """400 with the code, the place and the wording."""
    reply = await org.call("GET", "query", params={"q": soql})
    assert reply.status == 400
    assert reply.body[0]["errorCode"] == code
    assert message in reply.body[0]["message"]


async def test_a_query_too_long_for_a_url_is_refused_in_html(org: Client) -> None:
    """414 above 16,384 bytes of URI, 431 with the headers; 200 ids in an IN list still fit."""
    ids = ",".join(f"'{mint('001', i)}'" for i in range(1, 201))
    assert (await org.query(f"SELECT Id FROM Account WHERE Id IN ({ids})"))["totalSize"] == 0
    long = await org.call("GET", "query", params={"q": "SELECT Id FROM Account WHERE Name = '" + "x" * 16400 + "'"})
    assert (long.status, b"URI Too Long" in long.body) == (414, True)
    wide = await org.call(
        "GET", "limits", headers={"X-Wide-1": "x" * 8000, "X-Wide-2": "x" * 8100, "X-Wide-3": "x" * 400}
    )
    assert wide.status == 431
