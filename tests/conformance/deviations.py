"""Where our traffic is knowingly unlike a published contract, each with its reason. Any other difference fails."""

from __future__ import annotations

import re
from typing import NamedTuple, Protocol


class Found(Protocol):
    """What a deviation is compared with: contracts.Finding."""

    @property
    def operation(self) -> str: ...

    @property
    def where(self) -> str: ...

    @property
    def text(self) -> str: ...


class Deviation(NamedTuple):
    """`operation`, `where` and `text` are regular expressions searched in the finding; the reason is for people."""

    vendor: str
    operation: str
    where: str
    text: str
    reason: str

    def explains(self, vendor: str, finding: Found) -> bool:
        return (
            vendor == self.vendor
            and re.search(self.operation, finding.operation) is not None
            and re.search(self.where, finding.where) is not None
            and re.search(self.text, finding.text) is not None
        )


NULL_IS_ABSENT = {
    "zuora": Deviation(
        "zuora",
        "",
        "",
        "null",
        "Null members are left out before the check: the SDK whose models the contract was rebuilt from takes null as "
        "absent everywhere, and sends it too (isBillable).",
    )
}

DEVIATIONS = [
    Deviation(
        "salesforce",
        "",
        "request|answer",
        r"\.(CurrencyIsoCode|(Billing|Shipping|Mailing|Other)(State|Country)Code) is not a field",
        "Fields of features that are on in our org (several currencies; State and Country picklists) and off in the "
        "org whose schema was published.",
    ),
    Deviation(
        "salesforce",
        "",
        "answer",
        r"(Account\.AccountNumber|OpportunityLineItem\.Discount) is not a field",
        "Standard fields of the Object Reference that the published org hides by field security.",
    ),
    Deviation(
        "salesforce",
        r"^PATCH .*/\{externalId\}",
        "status",
        "^201 ",
        "An upsert that creates answers 201: the contract says so in its description, not among its answers.",
    ),
    Deviation(
        "salesforce",
        r"/\{externalId\}",
        "answer 300",
        'is not of type "object"',
        "300 lists the addresses of the candidates (REST guide, Insert or Update (Upsert)); the contract has one "
        "shape, that of errors, for every status it does not name.",
    ),
    Deviation(
        "salesforce",
        r"^GET /services/data/v[\d.]+/sobjects/?$",
        "path",
        "",
        "Describe Global: the client calls it, the trimmed contract leaves it out.",
    ),
    Deviation(
        "salesforce",
        "",
        "request|answer",
        r"(Order\.QuoteId|Quote\.(IsDeleted|CreatedById|LastModifiedById|BillingAddress)) is not a field",
        "Quotes are off in the org whose schema was published; the contract lists a part of their fields from memory.",
    ),
    Deviation(
        "salesforce",
        "",
        "request|answer",
        "Usage__c is not an object",
        "A custom object of our own, made for the check.",
    ),
    Deviation(
        "salesforce",
        "",
        "answer 400",
        "/duplicateResut is not named",
        "A duplicate rule's result stands in the refusal, under Salesforce's own misspelling (seen in many logs).",
    ),
    Deviation(
        "salesforce",
        "/jobs/ingest/",
        "answer 200",
        "/(apiActiveProcessingTime|apexProcessingTime) is not named",
        "Bulk API 2.0 guide, Get Job Info: the contract leaves two of the times out.",
    ),
    Deviation(
        "salesforce",
        "/jobs/",
        "request|answer 200",
        "is text/csv, described is no body|cannot be read",
        "Uploads and results of bulk jobs are CSV; the contract describes JSON bodies only.",
    ),
    Deviation(
        "salesforce",
        "/jobs/ingest/[^/]+/unprocessedRecords",
        "path",
        "",
        "The client's own spelling; Salesforce takes it and documents `unprocessedrecords`.",
    ),
    Deviation(
        "zuora",
        "^POST /oauth/token",
        "request",
        "is application/x-www-form-urlencoded",
        "The SDK itself sends a form (RFC 6749); the contract, rebuilt from its models, lost the media type.",
    ),
    Deviation(
        "zuora",
        "",
        "answer",
        r"/reasons/\*/code: \d+ is not of type \"string\"",
        "Codes of reasons are numbers in the vendor's own examples, and text in the SDK's model, which takes both.",
    ),
    Deviation(
        "zuora",
        "",
        "answer 401",
        "^/(success|processId|requestId|reasons) is not named",
        "Without a token v1 answers in its common form (success, reasons 90000011); the contract has "
        "only the gateway's `message`.",
    ),
    Deviation(
        "zuora",
        "^POST /v1/(async/)?orders$",
        "request",
        '/chargeOverrides/\\*: "productRatePlanChargeId" is a required property',
        "We name the catalogue's charge by productRatePlanChargeNumber, which the contract knows too and which is the "
        "same in every tenant. That the number may stand alone is our agreed shape, not seen in the vendor's words.",
    ),
    Deviation(
        "zuora",
        "^GET /v1/orders",
        "answer 200",
        "/chargeOverrides/\\*/productRatePlanChargeId is not named",
        "An order shows the actions as they were sent, and the SDK must send this id.",
    ),
    Deviation(
        "zuora",
        "^GET /v1/async-jobs/",
        "answer",
        "/result: .* valid under more than one of the schemas listed in the 'oneOf'",
        "`jobType` tells the two kinds of result apart; the contract lost its values, so that any result fits both.",
    ),
    Deviation(
        "zuora",
        "^POST /v1/credit-memos/[^/]+/refund",
        "answer 200",
        "^/(processId|requestId|reasons) is not named",
        "A refusal of v1 has the common form; this one answer's model names only `success`.",
    ),
    Deviation(
        "zuora",
        "(debit-memos|/v1/ramps/)",
        "path",
        "",
        "The SDK names these paths; the part of the contract that is kept leaves them out.",
    ),
    Deviation(
        "zuora",
        "^(POST|PATCH) ",
        "status",
        "^(409|422) ",
        "Idempotent requests (developer guide): 409 while the first call runs, 422 for another body under its key.",
    ),
    Deviation(
        "zuora",
        "",
        "status",
        "^(429|5..) ",
        "Limits and outages may strike any call (rate limits guide); the contract names them for a few.",
    ),
    Deviation(
        "netsuite",
        "",
        "answer",
        r"is application/vnd\.oracle\.resource\+json, described is application/json",
        "Oracle answers with its own media type (REST API browser, Response content type); the contract writes "
        "plain JSON.",
    ),
    Deviation(
        "netsuite",
        "",
        "request|answer",
        r"/apply/items/\*/doc: .* is not of type \"string\"",
        "The transaction that is paid or credited is a reference like any other; the contract took the text type of "
        "scripts over.",
    ),
    Deviation(
        "netsuite",
        "^POST /query/v1/suiteql",
        "status",
        "^4.. ",
        "The contract names no refusals for SuiteQL; ours have the shape of all others (the sandbox's tests check it).",
    ),
    Deviation(
        "netsuite",
        "^GET /record/v1/",
        "answer",
        r"/(status: \{.*\}|isPerson: (true|false)|item/items/\*/line: \d+) is not of type",
        "Oracle's own examples show an object, a boolean and a number where the contract, rebuilt from script records, "
        "has text (help: Using External IDs; Use Cases for Updating an Invoice).",
    ),
    Deviation(
        "netsuite",
        "/record/v1/(customer|invoice|customerPayment|creditMemo)",
        "request|answer",
        r"^/(addressBook|altName|item|apply|apply/items/\*/type) is not named",
        "Sublists and fields of the REST API browser; the contract's source, a list of script fields, lacks them.",
    ),
]
