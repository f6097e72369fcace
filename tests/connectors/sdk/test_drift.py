"""`tieline connectors drift`: where a system has moved away from the tables, with file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.connectors.salesforce.org import Served
from tests.connectors.salesforce.test_connector_contract import SalesforceAccount

from tieline.app.connectors import Drift, check_connections, find_drift
from tieline.app.demo.world import SECRETS
from tieline.app.project import Project, load_project
from tieline.app.settings import load_settings
from tieline.app.template import make_project
from tieline.connectors.sdk import Described, list_schema, object_schema
from tieline.connectors.sdk.contract.liar import Lie, Truth, through
from tieline.errors import ConfigurationError
from tieline.mapping import check, load_table
from tieline_sandbox.kernel.server import serving
from tieline_sandbox.kernel.world import World
from tieline_sandbox.salesforce import Sandbox

Fields = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A fresh project; its systems are nowhere."""
    folder = tmp_path_factory.mktemp("drift")
    make_project(folder, urls=dict.fromkeys(("salesforce", "zuora", "netsuite", "kantata"), "http://127.0.0.1:9"))
    return load_project(load_settings(folder, environ=SECRETS))


def project_at(project: Project, url: str) -> Project:
    """The project with its Salesforce at an address."""
    connections = project.settings.connections
    options = {**connections["salesforce"].options, "url": url, "organization_id": ""}
    there = msgspec.structs.replace(connections["salesforce"], options=options)
    settings = msgspec.structs.replace(project.settings, connections={**connections, "salesforce": there})
    return msgspec.structs.replace(project, settings=settings)


def another_org(change: Callable[[Fields], None]) -> Lie:
    """The sandbox's org as if somebody had changed its fields."""

    async def tell(_: Any, true: Truth) -> Any:
        told = msgspec.json.decode(true.body)
        if isinstance(told, dict) and isinstance(told.get("fields"), list):
            fields: Fields = {field["name"]: field for field in told["fields"]}
            change(fields)
            told["fields"] = list(fields.values())
        return true.response(body=msgspec.json.encode(told))

    return Lie(name="another org", tell=tell)


async def drift_of(project: Project, change: Callable[[Fields], None]) -> Drift:
    org = Sandbox(World())
    async with serving([org]) as urls:
        account = SalesforceAccount(Served(org, urls["salesforce"]))
        async with through(account, another_org(change), writes=False) as proxy:
            return await find_drift(project_at(project, proxy.url), "salesforce")


async def test_an_org_as_the_tables_expect_it_has_no_drift(project: Project) -> None:
    found = await drift_of(project, lambda fields: None)
    assert found.problems == ()
    assert {"salesforce.account", "salesforce.opportunity"} <= set(found.described)


async def test_a_field_that_the_org_does_not_have_is_named_with_its_place(project: Project) -> None:
    """A field whose rights were taken away looks the same: the first deal after it would have failed."""

    def without_tax_number(fields: Fields) -> None:
        fields.pop("Tax_Number__c", None)

    found = await drift_of(project, without_tax_number)
    assert found.problems
    assert all("Tax_Number__c" in problem.message for problem in found.problems)
    assert all(problem.file.endswith("account_customer.yaml") and problem.line > 1 for problem in found.problems)


async def test_a_field_of_another_type_is_told(project: Project) -> None:
    def to_checkbox(fields: Fields) -> None:
        if "Term_Months__c" in fields:
            fields["Term_Months__c"]["type"] = "boolean"

    (problem,) = (await drift_of(project, to_checkbox)).problems
    assert problem.file.endswith("opportunity_contract.yaml")


async def test_a_status_that_only_changes_deals_need_not_fill_what_a_new_deal_needs(project: Project) -> None:
    def demanding(fields: Fields) -> None:
        if "StageName" in fields:
            fields["Region__c"] = {**fields["StageName"], "name": "Region__c", "defaultedOnCreate": False}

    assert (await drift_of(project, demanding)).problems == ()


async def test_a_vendor_that_tells_no_fields_is_said_to_be_one(project: Project) -> None:
    with pytest.raises(ConfigurationError, match="does not tell which fields"):
        await find_drift(project, "kantata")
    with pytest.raises(ConfigurationError, match="there is no connection 'frobnicate'"):
        await find_drift(project, "frobnicate")


async def test_a_check_names_what_is_wrong_and_shows_the_calls_without_secrets(project: Project) -> None:
    org = Sandbox(World())
    async with serving([org]) as urls:
        good, bad = await check_connections(project_at(project, urls["salesforce"]), ["salesforce", "kantata"])
    assert (good.error, bool(good.says)) == ("", True)
    assert bad.error.startswith("VendorUnavailable: ")
    assert [call.status for call in good.calls] == [200]
    assert good.calls[0].request_headers["Authorization"] == "***"


def test_a_record_of_described_fields_refuses_others_and_wants_the_required(tmp_path: Path) -> None:
    """The same checker, other schemas: unknown fields, types that cannot agree, required fields nobody fills."""
    path = tmp_path / "table.yaml"
    path.write_text(
        "mapping: customer -> acme.customer\nversion: 1\nowner: finance\nfields:\n"
        "  title: {from: name}\n  count: {from: flag}\n  colour: {const: red}\n",
        encoding="utf-8",
    )
    live = object_schema(
        [
            Described(name="title", kind="text"),
            Described(name="region", kind="text", required=True, nullable=False),
            Described(name="count", kind="number", nullable=False),
            Described(name="lines", schema=list_schema(object_schema([]))),
        ]
    )
    source = object_schema(
        [Described(name="name", kind="text"), Described(name="flag", kind="boolean", nullable=False)]
    )
    said = " / ".join(str(problem) for problem in check(load_table(path), source, live))
    assert "unknown field 'colour'" in said
    assert "requires 'region'" in said
    assert "target 'count' takes number" in said
