"""Collections and composite requests: partial success, all or none, references, and their limits."""

from __future__ import annotations

from typing import Any

from tests.sandbox.salesforce.client import Client

from tieline_sandbox.salesforce.ids import mint


def account(**fields: Any) -> dict[str, Any]:
    return {"attributes": {"type": "Account"}, **fields}


def names(org: Client) -> list[str]:
    return [r["Name"] for r in org.sandbox.documents("Account")["Account"]]


async def test_a_collection_may_succeed_in_part(org: Client) -> None:
    """200 with one result a record, in order; the good ones stand."""
    reply = await org.call("POST", "composite/sobjects", {"records": [account(Name="A"), account(), account(Name="C")]})
    assert reply.status == 200
    assert [r["success"] for r in reply.body] == [True, False, True]
    assert reply.body[1]["errors"] == [
        {
            "statusCode": "REQUIRED_FIELD_MISSING",
            "message": "Required fields are missing: [Name]",
            "fields": ["Name"],
        }
    ]
    assert names(org) == ["A", "C"]


async def test_all_or_none_keeps_nothing_when_one_fails(org: Client) -> None:
    """The others are ALL_OR_NONE_OPERATION_ROLLED_BACK and nothing is stored."""
    body = {"allOrNone": True, "records": [account(Name="A"), account()]}
    reply = await org.call("POST", "composite/sobjects", body)
    assert [r["errors"][0]["statusCode"] for r in reply.body] == [
        "ALL_OR_NONE_OPERATION_ROLLED_BACK",
        "REQUIRED_FIELD_MISSING",
    ]
    assert names(org) == []


async def test_collections_update_and_delete_by_id(org: Client) -> None:
    """Unknown, malformed and missing ids are told apart, record by record."""
    first, second = [await org.create("Account", Name=n) for n in "AB"]
    unknown = mint("001", 999)
    records = [account(id=first, Name="A2"), account(Id=unknown, Name="x"), account(Id="nope"), account(Name="y")]
    reply = await org.call("PATCH", "composite/sobjects", {"records": records})
    assert reply.body[0] == {"id": first, "success": True, "errors": []}
    assert [r["errors"][0]["statusCode"] for r in reply.body[1:]] == [
        "INVALID_CROSS_REFERENCE_KEY",
        "MALFORMED_ID",
        "MISSING_ARGUMENT",
    ]
    query = {"ids": f"{first},{second},{unknown}", "allOrNone": "false"}
    gone = await org.call("DELETE", "composite/sobjects", params=query)
    assert [r["success"] for r in gone.body] == [True, True, False]
    assert names(org) == []


async def test_collections_upsert_by_external_id(org: Client) -> None:
    """created tells insert from update; missing, repeated and ambiguous values fail singly."""
    await org.create("Account", Name="Old", Tieline_Id__c="a")
    for _ in range(2):
        await org.create("Account", Name="Twin", Tieline_Id__c="t")
    values = ["a", "b", None, "t", "c", "C"]
    records = [account(Name=f"N{v}", **({"Tieline_Id__c": v} if v else {})) for v in values]
    reply = await org.call("PATCH", "composite/sobjects/Account/Tieline_Id__c", {"records": records})
    assert [r.get("created") for r in reply.body[:2]] == [False, True]
    assert [r["errors"][0]["statusCode"] for r in reply.body[2:]] == [
        "MISSING_ARGUMENT",
        "DUPLICATE_EXTERNAL_ID",
        "DUPLICATE_VALUE",
        "DUPLICATE_VALUE",
    ]
    assert names(org) == ["Na", "Twin", "Twin", "Nb"]


async def test_collections_are_limited(org: Client) -> None:
    """More than 200 records, or more than ten changes of object, and the whole call is refused."""
    many = await org.call("POST", "composite/sobjects", {"records": [account(Name="A")] * 201})
    assert (many.status, many.body[0]["errorCode"]) == (400, "EXCEEDED_ID_LIMIT")
    contact = {"attributes": {"type": "Contact"}, "LastName": "X"}
    mixed = await org.call("POST", "composite/sobjects", {"records": [account(Name="A"), contact] * 6})
    assert (mixed.status, mixed.body[0]["errorCode"]) == (400, "INVALID_INPUT")
    badly = await org.call("POST", "composite/sobjects", {"records": [account(Name="A"), account(Name=5)]})
    assert (badly.status, badly.body[0]["errorCode"]) == (400, "JSON_PARSER_ERROR")
    assert names(org) == []


async def test_many_records_are_read_in_one_call(org: Client) -> None:
    """composite/sobjects/Account?ids&fields answers in the order asked, null for what is not there."""
    first, second = [await org.create("Account", Name=n) for n in "AB"]
    body = {"ids": [second, mint("001", 99), first], "fields": ["Name"]}
    reply = await org.call("POST", "composite/sobjects/Account", body)
    assert [r and r["Name"] for r in reply.body] == ["B", None, "A"]
    got = await org.call("GET", "composite/sobjects/Account", params={"ids": first, "fields": "Name"})
    assert got.body[0]["Name"] == "A"


def part(method: str, path: str, reference: str, body: Any = None) -> dict[str, Any]:
    return {"method": method, "url": f"/services/data/v60.0/{path}", "referenceId": reference, "body": body}


async def test_composite_subrequests_refer_to_earlier_ones(org: Client) -> None:
    """@{ref.id} in a body, @{ref.records[0].Id} in a URL; each part has its own status."""
    parts = [
        part("POST", "sobjects/Account", "acc", {"Name": "A"}),
        part("POST", "sobjects/Contact", "con", {"LastName": "L", "AccountId": "@{acc.id}"}),
        part("GET", "query/?q=SELECT+Id+FROM+Account", "found"),
        part("PATCH", "sobjects/Account/@{found.records[0].Id}", "named", {"Phone": "7"}),
    ]
    reply = await org.call("POST", "composite", {"compositeRequest": parts})
    results = reply.body["compositeResponse"]
    assert [(r["referenceId"], r["httpStatusCode"]) for r in results] == [
        ("acc", 201),
        ("con", 201),
        ("found", 200),
        ("named", 204),
    ]
    assert results[0]["httpHeaders"]["Location"].endswith(results[0]["body"]["id"])
    contact = org.sandbox.documents("Contact")["Contact"][0]
    assert contact["AccountId"] == results[0]["body"]["id"]


async def test_a_composite_call_without_all_or_none_goes_on(org: Client) -> None:
    """A failed part is its own failure; what refers to it is halted; the rest stands."""
    parts = [
        part("POST", "sobjects/Account", "bad", {}),
        part("POST", "sobjects/Contact", "child", {"LastName": "L", "AccountId": "@{bad.id}"}),
        part("POST", "sobjects/Account", "good", {"Name": "G"}),
    ]
    results = (await org.call("POST", "composite", {"compositeRequest": parts})).body["compositeResponse"]
    assert [r["httpStatusCode"] for r in results] == [400, 400, 201]
    assert results[1]["body"][0]["errorCode"] == "PROCESSING_HALTED"
    assert names(org) == ["G"]


async def test_a_composite_call_with_all_or_none_undoes_everything(org: Client) -> None:
    """The failing part keeps its words, all others are halted, also inside a collection."""
    rows = {"records": [account(Name="C"), account()]}
    for failing in (part("POST", "sobjects/Account", "x", {}), part("POST", "composite/sobjects", "x", rows)):
        parts = [part("POST", "sobjects/Account", "a", {"Name": "A"}), failing]
        body = {"allOrNone": True, "compositeRequest": parts}
        results = (await org.call("POST", "composite", body)).body["compositeResponse"]
        assert results[0]["body"][0]["errorCode"] == "PROCESSING_HALTED"
        assert results[0]["httpStatusCode"] == 400
        assert names(org) == []


async def test_composite_is_limited(org: Client) -> None:
    """25 parts, five of them queries or collections."""
    create = [part("POST", "sobjects/Account", f"r{i}", {"Name": "A"}) for i in range(26)]
    assert (await org.call("POST", "composite", {"compositeRequest": create})).status == 400
    queries = [part("GET", "query?q=SELECT+Id+FROM+Account", f"r{i}") for i in range(6)]
    assert (await org.call("POST", "composite", {"compositeRequest": queries})).status == 400
    assert names(org) == []


async def test_a_tree_is_all_or_nothing(org: Client) -> None:
    """Parents with nested children get ids by reference; one fault and nothing stands."""

    def tree(**contact: Any) -> dict[str, Any]:
        child = {"attributes": {"type": "Contact", "referenceId": "c"}, **contact}
        attributes = {"type": "Account", "referenceId": "a"}
        return {"records": [{"attributes": attributes, "Name": "A", "Contacts": {"records": [child]}}]}

    bad = await org.call("POST", "composite/tree/Account", tree())
    assert (bad.status, bad.body["hasErrors"]) == (400, True)
    assert names(org) == []
    good = await org.call("POST", "composite/tree/Account", tree(LastName="L"))
    assert good.status == 201
    assert [r["referenceId"] for r in good.body["results"]] == ["a", "c"]
