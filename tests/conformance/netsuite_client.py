"""The `netsuite` client against the NetSuite sandbox: signed requests, records, sublists, SuiteQL and refusals.

Every request carries an OAuth 1.0 signature that the client makes itself; the sandbox checks each of them.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from netsuite.client import NetSuite
from netsuite.config import Config, TokenAuth
from netsuite.exceptions import NetsuiteAPIRequestError
from tests.conformance.checks import Sandbox, Suite

ACCOUNT = "TIELINE_SB1"
KEYS = {"consumer_key": "ck", "consumer_secret": "cs", "token_id": "tk", "token_secret": "ts"}
EID = "eid:salesforce-001"
ITEMS, SUBSIDIARY, EURO = [{"itemId": "SEAT"}, {"itemId": "SETUP"}], "DE01", "EUR"
suite = Suite("netsuite", "netsuite")


class Books:
    """A client of the account, the control API, and the ids that records refer to."""

    def __init__(self, url: str) -> None:
        self.sandbox = Sandbox(url)
        stored = self.sandbox.reset(
            subsidiary=[{"name": SUBSIDIARY, "country": "DE", "currency": EURO}],
            serviceSaleItem=ITEMS,
            customer=[{"companyName": f"Bulk {number:03}", "subsidiary": SUBSIDIARY} for number in range(25)],
        )
        self.subsidiary = {"id": stored["subsidiary"][0]["id"]}
        self.items = [{"id": item["id"]} for item in stored["serviceSaleItem"]]
        self.rest = client_of(url)

    async def currency(self) -> dict[str, str]:
        found = await self.rest.suiteql(f"SELECT id FROM currency WHERE symbol = '{EURO}'")
        return {"id": str(found["items"][0]["id"])}

    async def upsert(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """PUT by external id, then what stands there, sublists included."""
        assert await self.rest.put(f"/record/v1/{path}", json=body) is None
        return await self.read(path)

    async def read(self, path: str) -> dict[str, Any]:
        record: dict[str, Any] = await self.rest.get(f"/record/v1/{path}", params={"expandSubResources": "true"})
        return record

    def lines(self, *amounts: float) -> dict[str, Any]:
        lines = [
            {"item": item, "quantity": 1, "rate": amount, "amount": amount}
            for item, amount in zip(self.items, amounts, strict=False)
        ]
        return {"items": lines}

    async def document(self, amount: float) -> dict[str, Any]:
        """What a transaction of the first customer needs besides its own fields."""
        return {
            "entity": {"externalId": EID.removeprefix("eid:")},
            "subsidiary": self.subsidiary,
            "currency": await self.currency(),
            "tranDate": "2026-03-10",
            "item": self.lines(amount),
        }


def client_of(url: str, **changed: str) -> Any:
    rest = NetSuite(Config(account=ACCOUNT, auth=TokenAuth(**{**KEYS, **changed}))).rest_api
    rest._make_url = lambda path: f"{url}/services/rest{path}"  # it has no setting for the host
    return rest


async def refused(call: Any) -> Any:
    """The client's own exception that awaiting `call` raised, with the vendor's body. AssertionError if none was."""
    try:
        answer = await call
    except NetsuiteAPIRequestError as error:
        error.detail = json.loads(error.response_text)["o:errorDetails"][0]
        return error
    raise AssertionError(f"NetsuiteAPIRequestError was expected, the client returned {answer!r}")


@suite.check
async def signs_requests_that_are_accepted(books: Books) -> None:
    """HMAC-SHA256 over the method, the address and the query."""
    answer = await books.rest.get("/record/v1/customer", params={"limit": 3, "offset": 6})
    assert answer["count"] == 3, answer


@suite.check
async def raises_on_a_wrong_signature(books: Books) -> None:
    error = await refused(client_of(books.sandbox.url, token_secret="wrong").get("/record/v1/customer"))
    assert (error.status_code, error.detail["o:errorCode"]) == (401, "INVALID_LOGIN"), error


@suite.check
async def raises_on_a_token_of_nobody(books: Books) -> None:
    error = await refused(client_of(books.sandbox.url, token_id="nobody").get("/record/v1/customer"))
    assert error.status_code == 401, error


@suite.check
async def creates_a_customer(books: Books) -> None:
    """204 without a body: the id stands at the end of the Location header."""
    body = {"companyName": "Posted GmbH", "subsidiary": books.subsidiary, "currency": await books.currency()}
    answer = await books.rest.request("POST", "/record/v1/customer", json=body)
    assert (answer.status_code, answer.content) == (204, b""), answer.text
    made = await books.read(f"customer/{answer.headers['Location'].rsplit('/', 1)[1]}")
    assert (made["companyName"], made["subsidiary"]["id"]) == ("Posted GmbH", books.subsidiary["id"]), made


@suite.check
async def upserts_and_reads_a_customer_with_an_address(books: Books) -> None:
    address = {"addr1": "Hafenstr. 12", "city": "Köln", "zip": "50668", "country": {"id": "DE"}}
    body = {
        "companyName": "Rheinwerk Pumpen GmbH",
        "subsidiary": books.subsidiary,
        "currency": await books.currency(),
        "email": "ap@rheinwerk.example",
        "addressBook": {"items": [{"defaultBilling": True, "addressBookAddress": address}]},
        "custentity_tieline_source": "salesforce",
    }
    made = await books.upsert(f"customer/{EID}", body)
    again = await books.upsert(f"customer/{EID}", {"companyName": "Rheinwerk Pumpen AG"})
    assert made["id"] == again["id"]
    assert (again["companyName"], again["externalId"]) == ("Rheinwerk Pumpen AG", "salesforce-001"), again
    assert again["addressBook"]["items"][0]["addressBookAddress"]["city"] == "Köln", again


@suite.check
async def updates_a_customer(books: Books) -> None:
    assert await books.rest.patch(f"/record/v1/customer/{EID}", json={"phone": "+49 221 1234"}) is None
    assert (await books.read(f"customer/{EID}"))["phone"] == "+49 221 1234"


@suite.check
async def raises_on_a_record_that_is_not_there(books: Books) -> None:
    error = await refused(books.rest.get("/record/v1/customer/eid:nobody"))
    assert (error.status_code, error.detail["o:errorCode"]) == (404, "NONEXISTENT_ID"), error


@suite.check
async def raises_on_a_customer_without_a_name(books: Books) -> None:
    error = await refused(books.rest.post("/record/v1/customer", json={"subsidiary": books.subsidiary}))
    assert error.status_code == 400, error
    assert error.detail["detail"], error


@suite.check
async def raises_on_an_unknown_field(books: Books) -> None:
    """The client always asks for strict names (X-NetSuite-PropertyNameValidation: error)."""
    error = await refused(books.rest.patch(f"/record/v1/customer/{EID}", json={"nonsense": 1}))
    assert error.status_code == 400, error
    assert "nonsense" in error.detail["detail"], error


@suite.check
async def upserts_a_sales_order_with_lines(books: Books) -> None:
    body = await books.document(1200.5)
    body["item"] = books.lines(1000.25, 200.25)
    body |= {
        "otherRefNum": "O-006",
        "startDate": "2026-03-01",
        "endDate": "2027-02-28",
        "custbody_crm_opportunity": "006",
    }
    made = await books.upsert("salesOrder/eid:salesforce-006", body)
    assert [line["amount"] for line in made["item"]["items"]] == [1000.25, 200.25], made
    assert (made["total"], made["otherRefNum"]) == (1200.5, "O-006"), made


@suite.check
async def replaces_the_lines_of_a_sales_order(books: Books) -> None:
    """`replace=item`: the lines that are not sent are gone."""
    path = "/record/v1/salesOrder/eid:salesforce-006"
    await books.rest.patch(path, params={"replace": "item"}, json={"item": books.lines(900)})
    made = await books.read("salesOrder/eid:salesforce-006")
    assert ([line["amount"] for line in made["item"]["items"]], made["total"]) == ([900], 900), made


@suite.check
async def bills_a_sales_order(books: Books) -> None:
    """`!transform/invoice` makes the invoice and marks the order as billed."""
    path = "/record/v1/salesOrder/eid:salesforce-006/!transform/invoice"
    await books.rest.post(path, json={"externalId": "billed-1", "tranDate": "2026-03-10"})
    assert (await books.read("invoice/eid:billed-1"))["total"] == 900
    assert (await books.read("salesOrder/eid:salesforce-006"))["orderStatus"]["refName"] == "Billed"


@suite.check
async def posts_an_invoice_a_credit_and_a_payment(books: Books) -> None:
    """100.00, less a credit of 30.00, less a payment of 50.00: 20.00 stay open."""
    invoice = await books.upsert("invoice/eid:zuora-INV1", await books.document(100))
    apply = {"doc": {"id": invoice["id"]}, "apply": True}
    credit = await books.document(30) | {"apply": {"items": [apply | {"amount": 30}]}}
    await books.upsert("creditMemo/eid:zuora-CM1", credit)
    payment = {
        "customer": {"externalId": EID.removeprefix("eid:")},
        "subsidiary": books.subsidiary,
        "currency": await books.currency(),
        "tranDate": "2026-03-10",
        "payment": 50,
        "apply": {"items": [apply | {"amount": 50}]},
    }
    await books.upsert("customerPayment/eid:zuora-P1", payment)
    assert (await books.read("invoice/eid:zuora-INV1"))["amountRemaining"] == 20


@suite.check
async def raises_on_a_line_without_an_item(books: Books) -> None:
    body = await books.document(1) | {"item": {"items": [{"amount": 1}]}}
    error = await refused(books.rest.put("/record/v1/invoice/eid:zuora-INV2", json=body))
    assert (error.status_code, error.detail["o:errorCode"]) == (400, "USER_ERROR"), error


@suite.check
async def raises_on_a_date_in_a_closed_period(books: Books) -> None:
    books.sandbox.order("act/close_period", {"through": "2026-02"})
    body = await books.document(1) | {"tranDate": "2026-02-10"}
    error = await refused(books.rest.put("/record/v1/invoice/eid:zuora-INV3", json=body))
    books.sandbox.order("act/open_period", {"from": "2026-01"})
    assert error.status_code == 400, error
    assert "period" in error.detail["detail"].lower(), error


@suite.check
async def reads_suiteql_page_by_page(books: Books) -> None:
    """25 customers in pages of ten, each once, in order."""
    names: list[str] = []
    for offset in range(0, 40, 10):
        text = "SELECT id, companyname FROM customer WHERE companyname LIKE 'Bulk %' ORDER BY companyname"
        page = await books.rest.suiteql(text, limit=10, offset=offset)
        names += [row["companyname"] for row in page["items"]]
        assert (page["totalResults"], page["offset"]) == (25, offset), page
        if not page["hasMore"]:
            break
    assert names == [f"Bulk {number:03}" for number in range(25)], names


@suite.check
async def joins_and_adds_up_in_suiteql(books: Books) -> None:
    text = (
        "SELECT c.companyname AS name, COUNT(*) AS documents FROM transaction t JOIN customer c ON c.id = t.entity "
        "WHERE t.type = 'CustInvc' GROUP BY c.companyname"
    )
    (row,) = (await books.rest.suiteql(text))["items"]
    assert (row["name"], int(row["documents"])) == ("Rheinwerk Pumpen AG", 2), row


@suite.check
async def raises_on_suiteql_that_makes_no_sense(books: Books) -> None:
    error = await refused(books.rest.suiteql("SELECT FROM nowhere"))
    assert (error.status_code, error.detail["o:errorCode"]) == (400, "INVALID_PARAMETER"), error


@suite.check
async def lists_a_collection_page_by_page(books: Books) -> None:
    """Ids and links alone; the last page says so."""
    seen: set[str] = set()
    total, more = None, True
    while more:
        page = await books.rest.get("/record/v1/customer", params={"limit": 10, "offset": len(seen)})
        seen |= {row["id"] for row in page["items"]}
        total, more = page["totalResults"], page["hasMore"]
    assert len(seen) == total


@suite.check
async def works_asynchronously(books: Books) -> None:
    """202 and the address of a job, which is asked until it is done."""
    body = {"companyName": "Later GmbH", "subsidiary": books.subsidiary, "currency": await books.currency()}
    asked = {"Prefer": "respond-async", "X-NetSuite-Idempotency-Key": "7f4a6f0e-6a4e-4a63-9d5e-0d1e4a3f6c11"}
    answer = await books.rest.request("POST", "/record/v1/customer", json=body, headers=asked)
    assert answer.status_code == 202, answer.text
    path = answer.headers["Location"].partition("/services/rest")[2]
    for _ in range(50):
        job = await books.rest.get(path)
        if job["completed"]:
            break
    assert (job["completed"], job["progress"]) == (True, "succeeded"), job


@suite.check
async def deletes_a_customer(books: Books) -> None:
    found = await books.rest.suiteql("SELECT id FROM customer WHERE companyname = 'Bulk 024'")
    path = f"/record/v1/customer/{found['items'][0]['id']}"
    assert await books.rest.delete(path) is None
    assert (await refused(books.rest.get(path))).status_code == 404


@suite.check
async def raises_on_too_many_requests(books: Books) -> None:
    books.sandbox.order("faults", {"kind": "status", "status": 429, "times": 1})
    error = await refused(books.rest.get("/record/v1/customer"))
    assert error.status_code == 429, error


if __name__ == "__main__":
    sys.exit(suite.main(Books))
