"""Reading: many ids in few calls, answers in the order asked, nothing lost between pages."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.connectors.salesforce.org import Served, seed_deals, seed_whole_deal, settings_for

from tieline.connectors.salesforce import CONNECTOR
from tieline.connectors.salesforce.client import SalesforceClient, is_id
from tieline.connectors.salesforce.connector import SalesforceConnector
from tieline.errors import ConfigurationError, VendorUnavailable
from tieline_sandbox.kernel.faults import Fault
from tieline_sandbox.salesforce import Sandbox


async def test_a_deal_comes_with_its_lines_and_their_products(salesforce: SalesforceConnector, org: Sandbox) -> None:
    deal, account = seed_whole_deal(org)

    found = (await salesforce.fetch("opportunity", [deal]))[0]

    assert found is not None
    assert found["AccountId"] == account
    lines = found["OpportunityLineItems"]["records"]
    assert [line["SortOrder"] for line in lines] == [1, 2]
    assert lines[0]["TotalPrice"] == Decimal("180.09")
    assert lines[0]["Product2"]["ProductCode"] == "PLATFORM"


async def test_amounts_are_exact_to_the_last_digit(salesforce: SalesforceConnector, org: Sandbox) -> None:
    """A binary float would round this amount."""
    deal = seed_deals(org, 1, Amount="9007199254740993.01")[0]

    found = (await salesforce.fetch("opportunity", [deal]))[0]

    assert found is not None
    assert found["Amount"] == Decimal("9007199254740993.01")


async def test_answers_keep_the_order_asked_and_say_none_for_what_is_not_there(
    salesforce: SalesforceConnector, org: Sandbox
) -> None:
    first, second = seed_deals(org, 2)
    asked = [second, "006Aa000001XyZ1AAK", first[:15], "not an id", second]

    found = await salesforce.fetch("opportunity", asked)

    assert [record and record["Id"] for record in found] == [second, None, first, None, second]


async def test_hundreds_of_deals_are_read_in_few_calls_within_the_length_of_an_address(
    salesforce: SalesforceConnector, org: Sandbox
) -> None:
    deals = seed_deals(org, 450)

    found = await salesforce.fetch("opportunity", deals)

    assert [record and record["Id"] for record in found] == deals
    assert org.usage.used == 3


async def test_an_account_names_its_parent_and_a_contact_its_account(
    salesforce: SalesforceConnector, org: Sandbox
) -> None:
    _, account = seed_whole_deal(org)
    contact = org.seed("Contact", [{"LastName": "Okafor", "AccountId": account}])[0]["Id"]

    found = (await salesforce.fetch("account", [account]))[0]
    person = (await salesforce.fetch("contact", [contact]))[0]

    assert found is not None
    assert person is not None
    assert found["ParentId"] != account
    assert found["Tax_Number__c"] == "DE136695976"
    assert person["AccountId"] == account


async def test_an_org_with_one_currency_and_no_country_codes_is_never_asked_for_them(
    served: Served, org: Sandbox
) -> None:
    """Asking for a field the org does not have fails the whole query."""
    _, account = seed_whole_deal(org)
    settings = settings_for(served.url, multi_currency=False, currency="EUR", country_codes=False)
    connector = SalesforceConnector("salesforce", settings)

    found = (await connector.fetch("account", [account]))[0]

    assert found is not None
    assert found["CurrencyIsoCode"] == "EUR"
    assert "BillingCountryCode" not in found
    await connector.close()


async def test_every_page_of_a_long_answer_is_read(served: Served, org: Sandbox) -> None:
    """The vendor decides how long a page is; the rest stands behind nextRecordsUrl."""
    seed_deals(org, 2500)
    client = SalesforceClient(settings_for(served.url))

    assert len(await client.query("SELECT Id FROM Opportunity")) == 2500
    await client.close()


async def test_products_are_listed(salesforce: SalesforceConnector, org: Sandbox) -> None:
    seed_whole_deal(org)

    assert [product["ProductCode"] for product in await salesforce.catalogue("product")] == ["PLATFORM"]


async def test_a_page_that_is_not_salesforces_is_an_outage_for_a_read(
    salesforce: SalesforceConnector, org: Sandbox
) -> None:
    org.faults.add(Fault(kind="cut_response", path="/query"))

    with pytest.raises(VendorUnavailable):
        await salesforce.fetch("opportunity", seed_deals(org, 1))


async def test_check_tells_who_we_are_and_what_the_day_has_cost(salesforce: SalesforceConnector) -> None:
    told = await salesforce.check()

    assert "Tieline Sandbox" in told
    assert "00D" in told
    assert "1 of 100,000 API calls used in 24 hours" in told


async def test_check_refuses_another_org_than_the_one_configured(served: Served) -> None:
    connector = SalesforceConnector("salesforce", settings_for(served.url, organization_id="00DAa0000000ABC"))

    with pytest.raises(ConfigurationError, match="00DAa0000000ABC"):
        await connector.check()
    await connector.close()


async def test_check_refuses_an_address_that_is_not_the_orgs_own(served: Served) -> None:
    """A session token goes to the configured host and to no other, whatever the token answer says."""
    settings = settings_for(
        served.url.replace("127.0.0.1", "localhost"), token_url=f"{served.url}/services/oauth2/token"
    )
    connector = SalesforceConnector("salesforce", settings)

    with pytest.raises(ConfigurationError, match="lives at"):
        await connector.check()
    await connector.close()


async def test_nothing_is_looked_for_where_customers_come_from(salesforce: SalesforceConnector) -> None:
    assert await salesforce.find("customer", {"name": "Acme"}) == []


def test_only_ids_reach_a_query() -> None:
    assert is_id("006Aa000001XyZ1AAK")
    assert is_id("006Aa000001XyZ1")
    assert not is_id("006Aa000001XyZ1'A")
    assert not is_id("006Aa000001XyZ1\n")


def test_the_manifest_names_the_table_of_each_operation() -> None:
    assert [operation.mapping for operation in CONNECTOR.manifest.operations] == [
        "deal_status -> salesforce.opportunity"
    ]
