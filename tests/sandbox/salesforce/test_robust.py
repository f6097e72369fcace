"""Whatever is asked, the answer is Salesforce's: no query and no body may break a handler."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sandbox.salesforce.client import Client

from tieline_sandbox.kernel.world import World
from tieline_sandbox.salesforce import Sandbox
from tieline_sandbox.salesforce.errors import ApiError
from tieline_sandbox.salesforce.query import Queries

FIELDS = ["Id", "Name", "Amount", "IsWon", "CloseDate", "SystemModstamp", "AccountId", "Account.Name", "Description"]
FIELDS += ["Account.BillingAddress", "Account.Owner.Name", "Probability", "Nonsense", "Account"]
OPERATORS = ["=", "!=", "<", "<=", ">", ">=", "LIKE"]
VALUES = ["'x'", "''", "5", "-1.5", "true", "null", "TODAY", "LAST_N_DAYS:3", "2026-01-01", "2026-01-01T00:00:00Z"]
VALUES += ["'001Aa0000000001IAA'", r"'%\_'"]

_conditions = st.builds(" ".join, st.tuples(*map(st.sampled_from, (FIELDS, OPERATORS, VALUES))))
_lists = st.builds(
    "{} {} ({})".format, st.sampled_from(FIELDS), st.sampled_from(["IN", "NOT IN"]), st.sampled_from(VALUES)
)
_leaves = st.one_of(_conditions, _lists)
_where = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.builds("({} AND {})".format, inner, inner),
        st.builds("({} OR {})".format, inner, inner),
        st.builds("NOT ({})".format, inner),
    ),
    max_leaves=4,
)
_orders = st.builds("{} {}".format, st.sampled_from(FIELDS), st.sampled_from(["", "DESC", "NULLS LAST"]))


def filled() -> Queries:
    sandbox = Sandbox(World())
    account = sandbox.seed("Account", [{"Name": "x", "BillingCity": "Rome"}])[0]["Id"]
    deal = {"Name": "x", "StageName": "Closed Won", "CloseDate": "2026-01-01", "AccountId": account}
    other = {"Name": "%_", "StageName": "Proposal", "CloseDate": "2026-02-01", "Amount": 5}
    sandbox.seed("Opportunity", [deal, other])
    return Queries(sandbox.org)


QUERIES = filled()


def answered(soql: str) -> list[Any] | None:
    """The records, or None for a refusal in Salesforce's words; any other exception fails the test."""
    try:
        records: list[Any] = QUERIES.run(soql, "60.0")["records"]
    except ApiError:
        return None
    return records


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(FIELDS), _where, _orders)
def test_every_query_is_answered_or_refused(field: str, where: str, order: str) -> None:
    """An index only narrows what the predicate decides: twice negated, where none is used, finds the same rows."""
    select = f"SELECT Id, {field} FROM Opportunity WHERE"
    found = answered(f"{select} {where} ORDER BY {order}, Id")
    assert found == answered(f"{select} NOT (NOT ({where})) ORDER BY {order}, Id")


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(["SELECT", "Id", ",", "(", ")", "FROM", "Account", "WHERE", "=", "'a", "1", "IN", "."]))
)
def test_nonsense_is_malformed(tokens: list[str]) -> None:
    """The parser fails in one way only."""
    answered(" ".join(tokens))


BODIES: list[Any] = [b"", b"[]", b"1", b'"x"', b"{", {"records": 5}, {"records": [1]}, {"records": [{}]}]
BODIES += [{"compositeRequest": [1]}, {"compositeRequest": [{"method": "GET", "url": "x", "referenceId": "r"}]}]
BODIES += [{"ids": "x", "fields": [1]}, {"records": [{"attributes": "Account"}]}, {"Name": {}}, {"Name": []}, {"": 1}]


@pytest.mark.parametrize("body", BODIES, ids=repr)
async def test_no_body_breaks_a_handler(org: Client, body: Any) -> None:
    """Wrong bodies are refused with 400 or answered row by row; never 500."""
    paths = [
        "sobjects/Account",
        "composite/sobjects",
        "composite",
        "composite/tree/Account",
        "composite/sobjects/Account",
    ]
    for path in paths:
        reply = await org.call("POST", path, body)
        assert reply.status in (200, 400), (path, reply)
    for path in ("composite/sobjects", "composite/sobjects/Account/Tieline_Id__c", "sobjects/Account/Tieline_Id__c/1"):
        reply = await org.call("PATCH", path, body)
        assert reply.status in (200, 400), (path, reply)
