"""simple-salesforce against the Salesforce sandbox: logins, records, SOQL, collections, composite, bulk, refusals."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from simple_salesforce import api, exceptions, login
from tests.conformance.checks import Sandbox, Suite, raised

CLIENT = {"consumer_key": "tieline", "consumer_secret": "sandbox-secret", "domain": "tieline-dev.my"}
EXTERNAL_ID = "Tieline_Id__c"
suite = Suite("salesforce", "simple-salesforce")


class Loopback:
    """The two methods simple-salesforce uses of a requests session, sent to our address: it insists on https hosts."""

    def __init__(self, url: str) -> None:
        self._url, self._session = url, api.requests.Session()
        self._session.trust_env = False
        self.proxies: dict[str, str] = {}

    def request(self, method: str, url: str, **how: Any) -> Any:
        parts = urlsplit(url)
        return self._session.request(method, self._url + parts.path + (f"?{parts.query}" if parts.query else ""), **how)

    def post(self, url: str, data: Any = None, **how: Any) -> Any:
        return self.request("POST", url, data=data, **how)


class Org:
    """A logged-in client, the sandbox's control API, and what was stored beforehand."""

    def __init__(self, url: str) -> None:
        self.sandbox = Sandbox(url)
        stored = self.sandbox.reset(
            Account=[{"Name": f"Bulk {number:04}", EXTERNAL_ID: f"bulk-{number}"} for number in range(450)],
            Product2=[{"Name": "Platform", "ProductCode": "PLATFORM", "IsActive": True}],
        )
        self.product = stored["Product2"][0]["Id"]
        self.session = Loopback(url)
        self.client = api.Salesforce(session=self.session, **CLIENT)

    def account(self, **fields: Any) -> str:
        return str(self.client.Account.create({"Name": "Nordwind GmbH", **fields})["id"])

    def collection(self, method: str, path: str, records: list[dict[str, Any]]) -> Any:
        typed = [{"attributes": {"type": "Account"}, **record} for record in records]
        body = json.dumps({"allOrNone": False, "records": typed})
        return self.client.restful(path, method=method, data=body)


@suite.check
def logs_in_with_client_credentials(org: Org) -> None:
    """The client sends key and secret as HTTP Basic and takes the instance from the answer."""
    assert org.client.auth_type == "client-credentials"
    assert org.client.sf_instance == urlsplit(org.sandbox.url).netloc


@suite.check
def refuses_a_wrong_secret(org: Org) -> None:
    wrong = {**CLIENT, "consumer_secret": "wrong"}
    error = raised(exceptions.SalesforceAuthenticationFailed, lambda: api.Salesforce(session=org.session, **wrong))
    assert error.code == "invalid_client", error


@suite.check
def logs_in_with_a_signed_assertion(org: Org) -> None:
    """JWT bearer: the client's own claims, its own expiry, our public key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    org.sandbox.order("configure", {"jwt_public_key": public.decode()})
    session_id, _ = login.SalesforceLogin(
        session=org.session,
        username="integration@tieline.example",
        consumer_key="tieline",
        privatekey=private.decode(),
        domain="login",
    )
    direct = api.Salesforce(session=org.session, session_id=session_id, instance=org.client.sf_instance)
    assert direct.limits()["DailyApiRequests"]["Max"] > 0


@suite.check
def creates_and_reads_an_account(org: Org) -> None:
    number = org.account(BillingCity="Berlin", CurrencyIsoCode="EUR", AnnualRevenue=12.5)
    record = org.client.Account.get(number)
    assert (record["Id"], record["BillingCity"], record["AnnualRevenue"]) == (number, "Berlin", 12.5), record
    assert record["attributes"]["type"] == "Account"


@suite.check
def updates_an_account(org: Org) -> None:
    number = org.account()
    assert org.client.Account.update(number, {"Website": "https://nordwind.example"}) == 204
    assert org.client.Account.get(number)["Website"] == "https://nordwind.example"


@suite.check
def deletes_an_account(org: Org) -> None:
    """Gone for `get` and for a query, still there for a query of everything."""
    number = org.account(Name="Short-lived")
    assert org.client.Account.delete(number) == 204
    raised(exceptions.SalesforceResourceNotFound, lambda: org.client.Account.get(number))
    text = "SELECT Id, IsDeleted FROM Account WHERE Name = 'Short-lived'"
    assert org.client.query(text)["totalSize"] == 0
    assert org.client.query(text, include_deleted=True)["records"][0]["IsDeleted"] is True


@suite.check
def raises_on_a_required_field_that_is_missing(org: Org) -> None:
    error = raised(exceptions.SalesforceMalformedRequest, lambda: org.client.Opportunity.create({"Name": "x"}))
    assert error.content[0]["errorCode"] == "REQUIRED_FIELD_MISSING", error
    assert "StageName" in error.content[0]["fields"], error


@suite.check
def raises_on_an_unknown_field(org: Org) -> None:
    error = raised(exceptions.SalesforceMalformedRequest, lambda: org.client.Account.create({"Nonsense": 1}))
    assert error.content[0]["errorCode"] == "INVALID_FIELD", error


@suite.check
def raises_on_an_unknown_id(org: Org) -> None:
    error = raised(exceptions.SalesforceResourceNotFound, lambda: org.client.Account.get("001000000000000AAA"))
    assert error.content[0]["errorCode"] == "NOT_FOUND", error


@suite.check
def upserts_by_external_id(org: Org) -> None:
    """First created, then updated; the id stays."""
    key = f"{EXTERNAL_ID}/salesforce-1"
    first = org.client.Account.upsert(key, {"Name": "A"}, raw_response=True)
    second = org.client.Account.upsert(key, {"Name": "B"}, raw_response=True)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    assert org.client.Account.get_by_custom_id(EXTERNAL_ID, "salesforce-1")["Name"] == "B"


@suite.check
def raises_when_an_external_id_fits_several_records(org: Org) -> None:
    """300, with the candidates; nothing is written."""
    org.sandbox.order("configure", {"unique_external_ids": False})
    org.sandbox.order("seed", {"Account": [{"Name": "Twin", EXTERNAL_ID: "twin"} for _ in range(2)]})
    key = f"{EXTERNAL_ID}/twin"
    error = raised(exceptions.SalesforceMoreThanOneRecord, lambda: org.client.Account.upsert(key, {"Name": "No"}))
    assert len(error.content) == 2, error
    assert org.client.query("SELECT Id FROM Account WHERE Name = 'No'")["totalSize"] == 0


@suite.check
def reads_a_query_page_by_page(org: Org) -> None:
    """450 records in pages of 200, each record once, in order."""
    text = f"SELECT Id, Name FROM Account WHERE {EXTERNAL_ID} LIKE 'bulk-%' ORDER BY Name"
    first = org.client.query(text, headers={"Sforce-Query-Options": "batchSize=200"})
    assert (first["totalSize"], first["done"], len(first["records"])) == (450, False, 200)
    all_of_them = org.client.query_all(text, headers={"Sforce-Query-Options": "batchSize=200"})
    names = [record["Name"] for record in all_of_them["records"]]
    assert names == [f"Bulk {number:04}" for number in range(450)]


@suite.check
def queries_across_relations(org: Org) -> None:
    """Parent fields with a dot, children in a sub-query."""
    account = org.account(Name="Relations AG")
    deal = {"Name": "Deal", "StageName": "Closed Won", "CloseDate": "2026-01-15", "AccountId": account}
    number = org.client.Opportunity.create(deal)["id"]
    line = {"OpportunityId": number, "Product2Id": org.product, "Quantity": 2, "UnitPrice": 10.5}
    org.sandbox.order("seed", {"OpportunityLineItem": [line]})
    text = (
        "SELECT Id, Account.Name, Amount, (SELECT Id, Quantity, Product2.ProductCode FROM OpportunityLineItems) "
        f"FROM Opportunity WHERE Id = '{number}' AND IsWon = true"
    )
    (found,) = org.client.query(text)["records"]
    (child,) = found["OpportunityLineItems"]["records"]
    assert found["Account"]["Name"] == "Relations AG"
    assert (child["Product2"]["ProductCode"], child["Quantity"], found["Amount"]) == ("PLATFORM", 2, 21), found


@suite.check
def raises_on_a_malformed_query(org: Org) -> None:
    error = raised(exceptions.SalesforceMalformedRequest, lambda: org.client.query("SELECT FROM Account"))
    assert error.content[0]["errorCode"] == "MALFORMED_QUERY", error


@suite.check
def creates_a_collection_row_by_row(org: Org) -> None:
    """A faulty row fails alone, in its place."""
    rows = org.collection("POST", "composite/sobjects", [{"Name": "One"}, {"Phone": "1"}, {"Name": "Three"}])
    assert [row["success"] for row in rows] == [True, False, True], rows
    assert rows[1]["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING", rows


@suite.check
def updates_and_upserts_collections(org: Org) -> None:
    numbers = [org.account(), org.account()]
    rows = org.collection("PATCH", "composite/sobjects", [{"id": n, "Phone": "030"} for n in numbers])
    assert [row["id"] for row in rows] == numbers, rows
    path = f"composite/sobjects/Account/{EXTERNAL_ID}"
    records = [{EXTERNAL_ID: "bulk-1", "Name": "Bulk 0001"}, {EXTERNAL_ID: "new-1", "Name": "New"}]
    rows = org.collection("PATCH", path, records)
    assert [row["created"] for row in rows] == [False, True], rows


@suite.check
def runs_a_composite_request(org: Org) -> None:
    """A later part refers to the id an earlier one made."""
    base = f"/services/data/v{org.client.sf_version}/sobjects"
    deal = {"Name": "D", "StageName": "Proposal", "CloseDate": "2026-02-01", "AccountId": "@{made.id}"}
    parts = [
        {"method": "POST", "url": f"{base}/Account", "referenceId": "made", "body": {"Name": "Composite AG"}},
        {"method": "POST", "url": f"{base}/Opportunity", "referenceId": "deal", "body": deal},
    ]
    body = json.dumps({"allOrNone": True, "compositeRequest": parts})
    answer = org.client.restful("composite", method="POST", data=body)["compositeResponse"]
    assert [part["httpStatusCode"] for part in answer] == [201, 201], answer
    made = org.client.Opportunity.get(answer[1]["body"]["id"])
    assert made["AccountId"] == answer[0]["body"]["id"]


@suite.check
def loads_and_changes_accounts_in_bulk(org: Org) -> None:
    """Bulk API 2.0 by the client's own states and waits: insert, update, upsert and delete."""
    bulk = org.client.bulk2.Account
    (made,) = bulk.insert(records=[{"Name": f"Load {n}", EXTERNAL_ID: f"load-{n}"} for n in range(300)])
    assert (made["numberRecordsProcessed"], made["numberRecordsFailed"]) == (300, 0), made
    found = org.client.query_all(f"SELECT Id FROM Account WHERE {EXTERNAL_ID} LIKE 'load-%'")["records"]
    (changed,) = bulk.update(records=[{"Id": record["Id"], "Phone": "030"} for record in found])
    assert (changed["numberRecordsProcessed"], changed["numberRecordsFailed"]) == (300, 0), changed
    rows = [{EXTERNAL_ID: "load-0", "Name": "Zero"}, {EXTERNAL_ID: "load-new", "Name": "New"}]
    (upserted,) = bulk.upsert(records=rows, external_id_field=EXTERNAL_ID)
    assert upserted["numberRecordsFailed"] == 0, upserted
    (gone,) = bulk.delete(records=[{"Id": record["Id"]} for record in found])
    assert gone["numberRecordsFailed"] == 0, gone
    assert org.client.query(f"SELECT Id FROM Account WHERE {EXTERNAL_ID} LIKE 'load-%'")["totalSize"] == 1


@suite.check
def reads_the_results_of_each_bulk_row(org: Org) -> None:
    """A row that is refused stands among the failed ones, with its error."""
    bulk = org.client.bulk2.Account
    (job,) = bulk.insert(records=[{"Name": "Good", "Phone": "1"}, {"Name": "", "Phone": "2"}])
    results = bulk.get_all_ingest_records(job["job_id"])
    assert [row["Name"] for row in results["successfulRecords"]] == ["Good"], results
    (failed,) = results["failedRecords"]
    assert failed["sf__Error"].startswith("REQUIRED_FIELD_MISSING"), failed
    assert results["unprocessedRecords"] == [], results


@suite.check
def queries_in_bulk_page_by_page(org: Org) -> None:
    """The client follows the locators until they say null."""
    text = f"SELECT Id, Name FROM Account WHERE {EXTERNAL_ID} LIKE 'bulk-%'"
    pages = list(org.client.bulk2.Account.query(text, max_records=200))
    assert [page.count("\n") for page in pages] == [201, 201, 51], [len(page) for page in pages]


@suite.check
def reads_quotes_contracts_and_orders(org: Org) -> None:
    account = org.account()
    given = {"AccountId": account, "StartDate": "2026-01-01", "ContractTerm": 12}
    contract = org.client.Contract.create(given)["id"]
    assert org.client.Contract.get(contract)["EndDate"] == "2026-12-31"
    order = org.client.Order.create({"AccountId": account, "EffectiveDate": "2026-02-01", "Status": "Draft"})["id"]
    assert org.client.Order.get(order)["OrderNumber"]
    deal = {"Name": "Deal", "StageName": "Proposal", "CloseDate": "2026-01-15", "AccountId": account}
    quote = org.client.Quote.create({"Name": "Q", "OpportunityId": org.client.Opportunity.create(deal)["id"]})["id"]
    assert org.client.Quote.get(quote)["AccountId"] == account


@suite.check
def raises_on_a_duplicate_and_insists(org: Org) -> None:
    rule = {"object": "Contact", "fields": ["Email"], "action": "alert"}
    org.sandbox.order("configure", {"duplicate_rules": [rule]})
    contact = {"LastName": "Twin", "Email": "twin@example.com"}
    org.client.Contact.create(contact)
    error = raised(exceptions.SalesforceMalformedRequest, lambda: org.client.Contact.create(contact))
    assert error.content[0]["errorCode"] == "DUPLICATES_DETECTED", error
    insisted = org.client.Contact.create(contact, headers={"Sforce-Duplicate-Rule-Header": "allowSave=true"})
    assert insisted["success"], insisted


@suite.check
def uses_a_custom_object_like_any_other(org: Org) -> None:
    usage = {"name": "Usage__c", "fields": [{"name": "Units__c", "type": "double", "scale": 3}]}
    org.sandbox.order("configure", {"custom_objects": [usage]})
    made = org.client.Usage__c.create({"Units__c": 1.5})
    assert org.client.Usage__c.get(made["id"])["Units__c"] == 1.5
    assert org.client.Usage__c.describe()["custom"] is True


@suite.check
def describes_an_object(org: Org) -> None:
    described = org.client.Opportunity.describe()
    assert {"StageName", "Amount", "Tieline_Status__c"} <= {field["name"] for field in described["fields"]}
    assert "Opportunity" in {sobject["name"] for sobject in org.client.describe()["sobjects"]}


@suite.check
def lists_what_changed_and_what_was_deleted(org: Org) -> None:
    kept, gone = org.account(), org.account()
    org.client.Account.delete(gone)
    now = datetime.fromisoformat(org.sandbox.ask("clock")["now"])
    window = (now - timedelta(hours=1), now + timedelta(minutes=2))
    assert kept in org.client.Account.updated(*window)["ids"]
    assert gone in [row["id"] for row in org.client.Account.deleted(*window)["deletedRecords"]]


@suite.check
def reads_the_allowance_from_each_answer(org: Org) -> None:
    org.client.limits()
    before = org.client.api_usage["api-usage"].used
    org.client.limits()
    assert org.client.api_usage["api-usage"].used == before + 1


@suite.check
def logs_in_again_when_the_session_expires(org: Org) -> None:
    """The client repeats the call by itself: only for 401 with INVALID_SESSION_ID."""
    org.sandbox.order("act/expire_tokens", {})
    assert org.client.query("SELECT Id FROM Account LIMIT 1")["totalSize"] == 1


@suite.check
def raises_on_a_session_it_cannot_renew(org: Org) -> None:
    stranger = api.Salesforce(session=org.session, session_id="00D!none", instance=org.client.sf_instance)
    error = raised(exceptions.SalesforceExpiredSession, lambda: stranger.query("SELECT Id FROM Account"))
    assert error.content[0]["errorCode"] == "INVALID_SESSION_ID", error


@suite.check
def raises_when_the_daily_allowance_is_spent(org: Org) -> None:
    org.sandbox.order("configure", {"daily_api_requests": 1})
    error = raised(exceptions.SalesforceRefusedRequest, org.client.limits)
    org.sandbox.order("configure", {"daily_api_requests": 100_000})
    assert error.content[0]["errorCode"] == "REQUEST_LIMIT_EXCEEDED", error


if __name__ == "__main__":
    sys.exit(suite.main(Org))
