"""Writing the status of deals: one answer a record, in order, and never a false claim about what happened."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.connectors.salesforce.org import Served, deal_of, seed_deals, settings_for, status_call, status_calls

from tieline.connectors.salesforce.connector import DEAL_STATUS, SalesforceConnector
from tieline.engine.ports import Absent, Applied, Operation, Safety
from tieline.errors import (
    AuthorizationFailed,
    ConfigurationError,
    OutcomeUnknown,
    RateLimited,
    RejectedByVendor,
    TransientError,
    VendorUnavailable,
)
from tieline_sandbox.kernel.faults import Fault
from tieline_sandbox.salesforce import Sandbox

COLLECTIONS = "/composite/sobjects"


async def test_the_status_is_written_and_the_rest_of_the_deal_left_alone(
    salesforce: SalesforceConnector, org: Sandbox
) -> None:
    """A field that is not sent keeps what the CRM has, and amounts arrive exactly."""
    deal = seed_deals(org, 1, Project__c="P-1")[0]

    outcomes = await salesforce.send(DEAL_STATUS, [status_call(deal, Invoiced__c=Decimal("1234567890123.45"))])

    assert isinstance(outcomes[0], Applied)
    assert outcomes[0].external_id == deal
    stands = deal_of(org, deal)
    assert (stands["Tieline_Status__c"], stands["Project__c"]) == ("Active", "P-1")
    assert stands["Invoiced__c"] == Decimal("1234567890123.45")


async def test_a_known_external_id_decides_which_record_is_updated(
    salesforce: SalesforceConnector, org: Sandbox
) -> None:
    first, second = seed_deals(org, 2)

    await salesforce.send(DEAL_STATUS, [status_call(first, external_id=second)])

    assert deal_of(org, first)["Tieline_Status__c"] is None
    assert deal_of(org, second)["Tieline_Status__c"] == "Active"


async def test_two_hundred_deals_go_out_in_one_call(salesforce: SalesforceConnector, org: Sandbox) -> None:
    """Lanes gather effects so that a deal costs a fraction of a call."""
    deals = seed_deals(org, 200)

    outcomes = await salesforce.send(DEAL_STATUS, status_calls(deals))

    assert all(isinstance(outcome, Applied) for outcome in outcomes)
    assert org.usage.used == 1


async def test_a_refused_record_among_good_ones_is_refused_alone(salesforce: SalesforceConnector, org: Sandbox) -> None:
    """HTTP 200 holds failures: each record has its own outcome, in the order sent."""
    deals = seed_deals(org, 3)
    calls = status_calls(deals)
    calls[1] = status_call(deals[1], Subscription__c="S" * 81)

    outcomes = await salesforce.send(DEAL_STATUS, calls)

    assert isinstance(outcomes[0], Applied)
    assert isinstance(outcomes[2], Applied)
    refused = outcomes[1]
    assert isinstance(refused, RejectedByVendor)
    assert refused.vendor_code == "STRING_TOO_LONG"
    assert deals[1] in str(refused)
    assert "Subscription__c" in str(refused)
    assert "too long for its field" in str(refused)


async def test_one_unreadable_value_does_not_refuse_the_deals_beside_it(
    salesforce: SalesforceConnector, org: Sandbox
) -> None:
    """Salesforce refuses a whole call for one value of the wrong type; the others must still be written."""
    deals = seed_deals(org, 9)
    calls = status_calls(deals)
    calls[4] = status_call(deals[4], Invoiced__c={"amount": 1})

    outcomes = await salesforce.send(DEAL_STATUS, calls)

    assert [i for i, outcome in enumerate(outcomes) if not isinstance(outcome, Applied)] == [4]
    assert isinstance(outcomes[4], RejectedByVendor)
    assert [deal_of(org, deal)["Tieline_Status__c"] for deal in deals].count("Active") == 8


async def test_the_same_deal_twice_is_written_in_order(salesforce: SalesforceConnector, org: Sandbox) -> None:
    """Salesforce refuses an id that stands twice in one call, so the later word goes in a later call."""
    deal, other = seed_deals(org, 2)
    calls = [
        status_call(deal, Tieline_Status__c="Pending"),
        status_call(other),
        status_call(deal[:15], Tieline_Status__c="Active"),
    ]

    outcomes = await salesforce.send(DEAL_STATUS, calls)

    assert all(isinstance(outcome, Applied) for outcome in outcomes)
    assert deal_of(org, deal)["Tieline_Status__c"] == "Active"
    assert org.usage.used == 2


async def test_a_later_word_never_overtakes_one_whose_fate_is_open(
    salesforce: SalesforceConnector, org: Sandbox
) -> None:
    """If the first call is in doubt it may be sent again: the second must not have gone out before it."""
    deal, other = seed_deals(org, 2)
    org.faults.add(Fault(kind="drop_request", path=COLLECTIONS))
    calls = [status_call(deal, Tieline_Status__c="Pending"), status_call(other), status_call(deal)]

    outcomes = await salesforce.send(DEAL_STATUS, calls)

    assert [type(outcome) for outcome in outcomes] == [OutcomeUnknown, OutcomeUnknown, TransientError]
    assert deal_of(org, deal)["Tieline_Status__c"] is None


async def test_what_is_no_id_never_leaves_the_house(salesforce: SalesforceConnector, org: Sandbox) -> None:
    deal = seed_deals(org, 1)[0]

    outcomes = await salesforce.send(DEAL_STATUS, [status_call("x' OR Name != '"), status_call(deal)])

    assert isinstance(outcomes[0], RejectedByVendor)
    assert isinstance(outcomes[1], Applied)


async def test_a_locked_record_is_tried_again_later(salesforce: SalesforceConnector, org: Sandbox) -> None:
    """A lock is nobody's mistake: nothing was done and no person is needed."""
    deals = seed_deals(org, 2)
    org.faults.add(Fault(kind="lock_row", path=deals[0]))

    outcomes = await salesforce.send(DEAL_STATUS, status_calls(deals))

    assert type(outcomes[0]) is TransientError
    assert outcomes[0].retry_after_s > 0
    assert isinstance(outcomes[1], Applied)


async def test_a_validation_rule_speaks_to_people_in_its_own_words(
    salesforce: SalesforceConnector, org: Sandbox
) -> None:
    deal = seed_deals(org, 1)[0]
    org.faults.add(Fault(kind="validation_rule", code="Paid deals are closed for changes"))

    outcomes = await salesforce.send(DEAL_STATUS, [status_call(deal)])

    assert isinstance(outcomes[0], RejectedByVendor)
    assert "Paid deals are closed for changes" in str(outcomes[0])
    assert "FIELD_CUSTOM_VALIDATION_EXCEPTION" in str(outcomes[0])


async def test_an_answer_that_never_came_is_found_by_asking(salesforce: SalesforceConnector, org: Sandbox) -> None:
    """The vendor did it and the answer was lost: in doubt, then applied, and written once."""
    deal = seed_deals(org, 1)[0]
    calls = [status_call(deal, Invoiced__c=Decimal("10.5"))]
    org.faults.add(Fault(kind="drop_response", path=COLLECTIONS))

    with pytest.raises(OutcomeUnknown):
        await salesforce.send(DEAL_STATUS, calls)

    found = await salesforce.probe(DEAL_STATUS, calls)
    assert isinstance(found[0], Applied)
    assert found[0].external_id == deal


async def test_a_request_that_never_arrived_is_known_as_absent(salesforce: SalesforceConnector, org: Sandbox) -> None:
    deal = seed_deals(org, 1)[0]
    calls = [status_call(deal)]
    org.faults.add(Fault(kind="drop_request", path=COLLECTIONS))

    with pytest.raises(OutcomeUnknown):
        await salesforce.send(DEAL_STATUS, calls)

    assert await salesforce.probe(DEAL_STATUS, calls) == [Absent(external_id=deal)]


@pytest.mark.parametrize(("status", "error"), [(500, OutcomeUnknown), (502, OutcomeUnknown), (503, VendorUnavailable)])
async def test_a_failing_server_leaves_a_write_in_doubt_unless_it_says_nothing_was_done(
    salesforce: SalesforceConnector, org: Sandbox, status: int, error: type[Exception]
) -> None:
    deal = seed_deals(org, 1)[0]
    org.faults.add(Fault(kind="status", status=status, path=COLLECTIONS))

    with pytest.raises(error):
        await salesforce.send(DEAL_STATUS, [status_call(deal)])


async def test_a_cut_answer_leaves_a_write_in_doubt(salesforce: SalesforceConnector, org: Sandbox) -> None:
    deal = seed_deals(org, 1)[0]
    org.faults.add(Fault(kind="cut_response", path=COLLECTIONS))

    with pytest.raises(OutcomeUnknown):
        await salesforce.send(DEAL_STATUS, [status_call(deal)])


async def test_a_probe_that_cannot_read_says_so(salesforce: SalesforceConnector, org: Sandbox) -> None:
    """Silence is never taken for "not there"."""
    calls = status_calls(seed_deals(org, 1))
    org.faults.add(Fault(kind="status", status=500, path="/query"))

    with pytest.raises(TransientError):
        await salesforce.probe(DEAL_STATUS, calls)


async def test_a_deal_that_is_gone_is_absent(salesforce: SalesforceConnector) -> None:
    assert await salesforce.probe(DEAL_STATUS, [status_call("006Aa000001XyZ1AAK")]) == [Absent()]


async def test_a_probe_sees_past_the_shape_the_vendor_gives_to_values(
    salesforce: SalesforceConnector, org: Sandbox
) -> None:
    """Texts are kept without outer blanks, amounts with two decimals: neither makes a written status absent."""
    deal = seed_deals(org, 1, Tieline_Status__c="Active", Tieline_Detail__c="Two lines\nof text", Paid__c="5.00")[0]
    call = status_call(deal, Tieline_Detail__c=" Two lines\r\nof text ", Paid__c=Decimal(5), Project__c="")

    assert isinstance((await salesforce.probe(DEAL_STATUS, [call]))[0], Applied)


@pytest.mark.parametrize("status", [403, 429])
async def test_a_throttle_in_any_disguise_waits(salesforce: SalesforceConnector, org: Sandbox, status: int) -> None:
    """Salesforce throttles with 403; nothing was done, and the wait has a length."""
    deal = seed_deals(org, 1)[0]
    org.faults.add(Fault(kind="status", status=status, path=COLLECTIONS))

    with pytest.raises(RateLimited) as limited:
        await salesforce.send(DEAL_STATUS, [status_call(deal)])

    assert limited.value.retry_after_s > 0


async def test_the_daily_limit_waits_longer_than_a_crowded_moment(
    salesforce: SalesforceConnector, org: Sandbox
) -> None:
    org.configure({"daily_api_requests": 0})

    with pytest.raises(RateLimited) as limited:
        await salesforce.send(DEAL_STATUS, status_calls(seed_deals(org, 1)))

    assert limited.value.retry_after_s >= 60


async def test_an_outage_says_that_nothing_was_read(salesforce: SalesforceConnector, org: Sandbox) -> None:
    org.faults.add(Fault(kind="outage"))

    with pytest.raises(VendorUnavailable):
        await salesforce.fetch("opportunity", seed_deals(org, 1))


async def test_an_expired_session_is_renewed_once_and_the_write_stands(
    salesforce: SalesforceConnector, org: Sandbox
) -> None:
    deals = seed_deals(org, 2)
    await salesforce.send(DEAL_STATUS, [status_call(deals[0])])
    org.act("expire_tokens", {})

    outcomes = await salesforce.send(DEAL_STATUS, [status_call(deals[1])])

    assert isinstance(outcomes[0], Applied)


async def test_a_session_that_stays_refused_needs_a_person(salesforce: SalesforceConnector, org: Sandbox) -> None:
    """One renewal is tried; more would lock the user out."""
    deal = seed_deals(org, 1)[0]
    org.faults.add(Fault(kind="expire_tokens", times=2))

    with pytest.raises(AuthorizationFailed):
        await salesforce.send(DEAL_STATUS, [status_call(deal)])


async def test_wrong_credentials_are_a_persons_business_and_never_told(served: Served) -> None:
    connector = SalesforceConnector("salesforce", settings_for(served.url, client_secret="very-wrong-secret"))

    with pytest.raises(AuthorizationFailed) as failed:
        await connector.check()

    assert "very-wrong-secret" not in str(failed.value)
    await connector.close()


async def test_what_salesforce_cannot_do_is_a_configuration_error(salesforce: SalesforceConnector) -> None:
    with pytest.raises(ConfigurationError):
        await salesforce.send(Operation(kind="invoice", safety=Safety.UPSERT), [])
    with pytest.raises(ConfigurationError):
        await salesforce.fetch("invoice", ["006Aa000001XyZ1AAK"])
    with pytest.raises(ConfigurationError):
        await salesforce.changes("invoices", "")
    with pytest.raises(ConfigurationError):
        await salesforce.catalogue("invoice")
