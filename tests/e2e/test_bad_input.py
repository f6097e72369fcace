"""What is forged, broken or wrong: refused with a clear answer, or a case in business words; nothing is written."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from decimal import Decimal
from io import BytesIO
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from tests.e2e.test_one_deal import ACCOUNT, OPPORTUNITY, line
from tests.support.company import Company, company, eventually

from tieline.app.cases import decide
from tieline.app.demo.world import ORGANIZATION, SECRETS
from tieline.app.principal import local_principal
from tieline.engine.records import CaseRow, CaseState
from tieline.events import VendorNotified, decode_event, event_name

pytestmark = pytest.mark.asyncio(loop_scope="module")
TOKEN = SECRETS["TIELINE_SALESFORCE_WEBHOOK"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Company]:
    async with company(tmp_path_factory.mktemp("bad") / "project") as running:
        yield running


async def post(hub: Company, path: str, body: bytes, **headers: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as http,
        http.post(hub.hub_url + path, data=BytesIO(body), headers=headers) as answer,
    ):
        return answer.status, await answer.text()


async def log_length(hub: Company) -> int:
    return len(await hub.worker.store.events_after(0, 100_000))


# --- Zuora callouts -----------------------------------------------------------------------------------------------


def callout(number: str = "INV-NOT-THERE", **more: str) -> bytes:
    return json.dumps({"event": "InvoicePosted", "InvoiceNumber": number, **more}).encode()


def signed(
    body: bytes, secret: str = SECRETS["TIELINE_ZUORA_CALLOUT_SECRET"], at: float | None = None
) -> dict[str, str]:
    stamp = str(int(time.time() if at is None else at))
    signature = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    pair = b64encode(f"tieline:{SECRETS['TIELINE_ZUORA_CALLOUT_PASSWORD']}".encode()).decode()
    return {"X-Zuora-Timestamp": stamp, "X-Zuora-Signature": signature, "Authorization": f"Basic {pair}"}


FORGED = {
    "unsigned": (callout(), {}, "user and password are not ours"),
    "wrongly signed": (callout(), signed(callout(), secret="guessed"), "signature does not fit"),
    "signed for another body": (callout("INV-2"), signed(callout("INV-1")), "signature does not fit"),
    "stale": (callout(), signed(callout(), at=time.time() - 86_400), "seconds from now"),
    "from the future": (callout(), signed(callout(), at=time.time() + 86_400), "seconds from now"),
    "no JSON": (b"{oops", signed(b"{oops"), "not JSON"),
    "not UTF-8": (b"\xff\xfe\x00", signed(b"\xff\xfe\x00"), "not JSON"),
    "a list": (b"[]", signed(b"[]"), "not an object"),
    "nothing": (b"", signed(b""), "not JSON"),
    "an event nobody knows": (b'{"event": "Party"}', signed(b'{"event": "Party"}'), "'Party', which is none of"),
    "no object named": (b'{"event": "InvoicePosted"}', signed(b'{"event": "InvoicePosted"}'), "names no invoice"),
}


@pytest.mark.parametrize("name", FORGED)
async def test_a_callout_that_cannot_be_believed_is_refused(hub: Company, name: str) -> None:
    """400 with a sentence, nothing in the log, and no secret in the answer."""
    body, headers, sentence = FORGED[name]
    before = await log_length(hub)
    status, answer = await post(hub, "/intake/zuora", body, **headers)
    assert status == 400
    problem = json.loads(answer)
    assert (problem["title"], problem["status"]) == ("The message was refused", 400)
    assert sentence in problem["detail"]
    assert not any(secret in answer for secret in SECRETS.values() if len(secret) > 2)
    assert await log_length(hub) == before


async def test_an_unknown_connection_is_said_and_the_known_ones_are_not(hub: Company) -> None:
    before = await log_length(hub)
    status, answer = await post(hub, "/intake/sapphire", b"{}")
    assert status == 404
    assert "no connection is named 'sapphire'" in json.loads(answer)["detail"]
    assert "netsuite" not in answer
    assert await log_length(hub) == before


async def test_a_body_that_is_too_large_is_refused(hub: Company) -> None:
    before = await log_length(hub)
    body = callout(filler="x" * 3_000_000)
    status, answer = await post(hub, "/intake/zuora", body, **signed(body))
    assert status == 413
    assert "2000000" in answer.replace(",", "").replace("_", "") or "large" in answer.lower()
    assert await log_length(hub) == before


async def test_after_all_this_a_good_message_is_taken(hub: Company) -> None:
    body = callout("INV-GOOD")
    status, _ = await post(hub, "/intake/zuora", body, **signed(body))
    assert status == 200
    told = [e for e in await hub.worker.store.events_after(0, 100_000) if e.subject == "zuora/invoice/INV-GOOD"]
    assert len(told) == 1


async def test_told_twice_with_other_content_is_a_case_that_shows_both(hub: Company) -> None:
    """Neither version is dropped: accepted, the second is appended under an id of its own; dismissed, it is not."""
    store = hub.worker.store
    first, second, third = (callout("INV-C", Amount=amount) for amount in ("100.00", "200.00", "300.00"))
    for body in (first, second, second, third, first):
        status, _ = await post(hub, "/intake/zuora", body, **signed(body))
        assert status == 200
    found = await store.cases(case_class="event-conflict")
    assert [c.details["told"]["raw"]["Amount"] for c in found] == ["200.00", "300.00"]
    assert {c.details["known"]["raw"]["Amount"] for c in found} == {"100.00"}
    assert {(c.run_id, c.state, tuple(c.actions)) for c in found} == {("", CaseState.OPEN, ("accept", "dismiss"))}
    await decide(store, [found[0]], "accept", by=local_principal("ada"))
    await decide(store, [found[1]], "dismiss", by=local_principal("ada"))
    logged = [e for e in await store.events_after(0, 100_000) if e.subject == "zuora/invoice/INV-C"]
    assert [e.id for e in logged] == ["InvoicePosted:INV-C", "InvoicePosted:INV-C~2"]
    accepted = decode_event(logged[1])
    assert isinstance(accepted, VendorNotified)
    assert accepted.raw["Amount"] == "200.00"
    assert {c.state for c in await store.cases(case_class="event-conflict")} == {CaseState.CLOSED}


# --- Salesforce outbound messages ---------------------------------------------------------------------------------


def message(deal: str, number: int = 1, organization: str = ORGANIZATION, kind: str = "Opportunity") -> bytes:
    return (
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>'
        f'<notifications xmlns="http://soap.sforce.com/2005/09/outbound"><OrganizationId>{organization}'
        f"</OrganizationId><Notification><Id>04l{deal[-6:]}{number:09d}</Id>"
        f'<sObject xsi:type="sf:{kind}" xmlns:sf="urn:sobject.enterprise.soap.sforce.com">'
        f"<sf:Id>{deal}</sf:Id></sObject></Notification></notifications></soapenv:Body></soapenv:Envelope>"
    ).encode()


DEAL = str(OPPORTUNITY["Id"])
BOMB = b'<!DOCTYPE a [<!ENTITY b "bbbb">]><a>&b;</a>'
REFUSED = {
    "no token": ("", message(DEAL), "without the right token"),
    "a wrong token": ("?token=guessed", message(DEAL), "without the right token"),
    "broken XML": (f"?token={TOKEN}", message(DEAL)[:-20], "not well-formed XML"),
    "no XML": (f"?token={TOKEN}", b"hello", "not well-formed XML"),
    "an entity": (f"?token={TOKEN}", BOMB, "must not declare a document type"),
    "another org": (f"?token={TOKEN}", message(DEAL, organization="00D999999999999EAA"), "another Salesforce org"),
    "no envelope": (f"?token={TOKEN}", b"<a/>", "must be a SOAP envelope"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_an_outbound_message_that_cannot_be_believed_is_refused(hub: Company, name: str) -> None:
    query, body, sentence = REFUSED[name]
    before = await log_length(hub)
    status, answer = await post(hub, "/intake/salesforce" + query, body)
    assert (status, json.loads(answer)["title"]) == (400, "The message was refused")
    assert sentence in json.loads(answer)["detail"]
    assert TOKEN not in answer
    assert await log_length(hub) == before


# --- records that make no sense -----------------------------------------------------------------------------------


def deal_id(number: int) -> str:
    return f"00600000000{number:04d}AAA"


async def tell(hub: Company, number: int, kind: str = "Opportunity") -> None:
    """Salesforce announces a deal."""
    status, answer = await post(hub, f"/intake/salesforce?token={TOKEN}", message(deal_id(number), kind=kind))
    assert status == 200
    assert "<Ack>true</Ack>" in answer


async def seed_deal(hub: Company, number: int, deal: dict[str, Any], *lines: dict[str, Any]) -> None:
    await hub.sandboxes.seed("salesforce", "Account", [ACCOUNT])
    wanted = {**OPPORTUNITY, "Id": deal_id(number), "StageName": "Closed Won", **deal}
    await hub.sandboxes.seed("salesforce", "Opportunity", [wanted])
    made = [
        {**fields, "OpportunityId": deal_id(number), "Id": f"00k{number:04d}{index:08d}AAA"}
        for index, fields in enumerate(lines)
    ]
    await hub.sandboxes.seed("salesforce", "OpportunityLineItem", made)


async def case_about(hub: Company, number: int) -> CaseRow:
    """The open case of a deal, by its run."""
    key = f"salesforce/opportunity/{deal_id(number)}"
    found: list[CaseRow] = []

    async def there() -> bool:
        runs = await hub.worker.store.runs(process="read-opportunity", key=key)
        runs += await hub.worker.store.runs(process="quote-to-cash", key=f"salesforce-{deal_id(number)}")
        open_cases = await hub.worker.store.cases(states=[CaseState.OPEN])
        found[:] = [c for c in open_cases if c.run_id in {r.id for r in runs}]
        return bool(found)

    await eventually(there, 10)
    return found[0]


async def nothing_written(hub: Company) -> bool:
    kinds = [("netsuite", "customer"), ("netsuite", "salesOrder"), ("zuora", "accounts"), ("kantata", "workspaces")]
    return not any([await hub.sandboxes.documents(vendor, kind) for vendor, kind in kinds])


GOOD_LINE = line(1, "GTX Pro", "Recurring", "1000.00")
SENSELESS: dict[str, tuple[dict[str, Any], list[dict[str, Any]], str, str]] = {
    "a negative amount": (
        {},
        [line(1, "GTX Pro", "Recurring", "-5.00")],
        "negative-line",
        "Line 1 has a negative amount",
    ),
    "tiers nobody can read": (
        {},
        [
            {
                **line(1, "API Calls", "Usage", "0"),
                "Quantity": 0,
                "Usage_Tiers__c": "lots: cheap",
                "TotalPrice": Decimal(0),
            }
        ],
        "message-not-understood",
        "lots",
    ),
    "no currency": ({"CurrencyIsoCode": None}, [GOOD_LINE], "message-not-understood", "CurrencyIsoCode"),
    "no account": ({"AccountId": None}, [GOOD_LINE], "message-not-understood", "customer from AccountId: is required"),
    "no lines": ({}, [], "message-not-understood", "lines from OpportunityLineItems.records: is required"),
    "dates the wrong way round": (
        {},
        [line(1, "GTX Pro", "Recurring", "5.00", Service_End__c="2020-01-01")],
        "message-not-understood",
        "before it starts",
    ),
    "a term of no months": ({"Term_Months__c": 0}, [GOOD_LINE], "message-not-understood", "at least one month"),
}


@pytest.mark.parametrize("name", SENSELESS)
async def test_a_deal_that_makes_no_sense_is_a_case_in_business_words(hub: Company, name: str) -> None:
    """One case, a sentence for the person who must act, and nothing written downstream."""
    deal, lines, case_class, words = SENSELESS[name]
    number = 100 + list(SENSELESS).index(name)
    await seed_deal(hub, number, deal, *lines)
    await tell(hub, number)
    case = await case_about(hub, number)
    assert (case.case_class, words in case.message) == (case_class, True), case.message
    assert "Traceback" not in case.message
    assert case.owner
    assert await nothing_written(hub)


async def test_accounts_that_lead_in_a_circle_are_a_case(hub: Company) -> None:
    first, second = "001000000000011AAA", "001000000000012AAA"
    circle = [{**ACCOUNT, "Id": first, "ParentId": second}, {**ACCOUNT, "Id": second, "ParentId": first}]
    await hub.sandboxes.seed("salesforce", "Account", circle)
    await seed_deal(hub, 300, {"AccountId": first}, GOOD_LINE)
    await tell(hub, 300)
    case = await case_about(hub, 300)
    assert "lead in a circle" in case.message
    assert await nothing_written(hub)


async def test_a_record_nobody_reads_is_one_case(hub: Company) -> None:
    """Somebody set up an outbound message too many: one case, however often it comes."""
    for number in (400, 401):
        await tell(hub, number, kind="Widget")
    found = [c for c in await hub.worker.store.cases() if "widget" in c.message]
    assert [(c.case_class, c.actions) for c in found] == [("message-not-understood", ["dismiss"])]
    assert "salesforce tells about a widget" in found[0].message


async def test_a_deal_that_is_gone_is_nothing(hub: Company) -> None:
    """Deleted between the announcement and our look: no case, no document, the run is done."""
    before = len(await hub.worker.store.cases())
    await tell(hub, 500)

    async def done() -> bool:
        runs = await hub.worker.store.runs(key=f"salesforce/opportunity/{deal_id(500)}")
        return bool(runs) and all(r.state == "done" for r in runs)

    await eventually(done, 10)
    assert len(await hub.worker.store.cases()) == before
    assert await nothing_written(hub)
    assert "OpportunityWon" not in {
        event_name(e.type) for e in await hub.worker.store.events_after(0, 100_000) if deal_id(500) in e.subject
    }
