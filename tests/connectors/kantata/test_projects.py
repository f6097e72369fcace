"""Projects in Kantata OX: no key of ours is unique there, so each is looked up before it is sent again."""

from __future__ import annotations

import io

import pytest
import rich.console
from tests.connectors.kantata.account import DEAL, Served, project_call, projects, settings_for

from tieline.connectors.kantata.connector import KantataConnector
from tieline.engine.ports import Absent, Applied, Operation, Safety
from tieline.errors import (
    AuthorizationFailed,
    ConfigurationError,
    InvalidMessage,
    OutcomeUnknown,
    RateLimited,
    RejectedByVendor,
    VendorUnavailable,
)
from tieline_sandbox.kantata import Sandbox
from tieline_sandbox.kernel.faults import Fault


def operation(kantata: KantataConnector) -> Operation:
    return kantata.manifest.operations[0]


async def opened(kantata: KantataConnector, deal: str = DEAL) -> str:
    outcome = (await kantata.send(operation(kantata), [project_call(deal)]))[0]
    assert isinstance(outcome, Applied)
    return outcome.external_id


async def test_a_project_is_opened_with_its_reference_in_one_call(kantata: KantataConnector, account: Sandbox) -> None:
    """Between a project and a reference set later, a crash would leave a project nobody finds."""
    project = await opened(kantata)

    stands = projects(account)
    assert [(p["id"], p["title"], p["price_in_cents"]) for p in stands] == [
        (project, "Nordwind - implementation", 716_700)
    ]
    references = account.documents("external_references")["external_references"]
    assert [(r["subject_id"], r["service_model_ref"]) for r in references] == [(int(project), DEAL)]


async def test_a_known_project_is_changed_and_not_opened_again(kantata: KantataConnector, account: Sandbox) -> None:
    project = await opened(kantata)

    changed = project_call(external_id=project, title="Nordwind - roll-out", price=8000)
    outcome = (await kantata.send(operation(kantata), [changed]))[0]

    assert isinstance(outcome, Applied)
    assert outcome.external_id == project
    assert [(p["title"], p["price_in_cents"]) for p in projects(account)] == [("Nordwind - roll-out", 800_000)]


async def test_an_answer_that_never_came_is_found_by_reference(kantata: KantataConnector, account: Sandbox) -> None:
    account.faults.add(Fault(kind="drop_response", method="POST"))
    calls = [project_call()]

    with pytest.raises(OutcomeUnknown):
        await kantata.send(operation(kantata), calls)
    found = (await kantata.probe(operation(kantata), calls))[0]

    assert isinstance(found, Applied)
    assert [p["id"] for p in projects(account)] == [found.external_id]


async def test_a_request_that_never_arrived_is_known_as_absent(kantata: KantataConnector, account: Sandbox) -> None:
    account.faults.add(Fault(kind="drop_request", method="POST"))
    calls = [project_call()]

    with pytest.raises(OutcomeUnknown):
        await kantata.send(operation(kantata), calls)

    assert await kantata.probe(operation(kantata), calls) == [Absent()]


async def test_a_change_in_doubt_is_compared_with_what_stands(kantata: KantataConnector) -> None:
    """The project is there, the change is not: the answer names the project, so that it is changed and not doubled."""
    project = await opened(kantata)
    same = project_call(external_id=project, title=" Nordwind - implementation ")
    others = [
        project_call(external_id=project, title="Another"),
        project_call(external_id=project, price=7168),
        project_call("salesforce-006Bb000001XyZ1AAK", external_id=project),
    ]

    found = await kantata.probe(operation(kantata), [same, *others, project_call(external_id="1")])

    assert isinstance(found[0], Applied)
    assert list(found[1:4]) == [Absent(external_id=project)] * 3
    assert found[4] == Absent()


async def test_an_archived_project_still_stands(kantata: KantataConnector, account: Sandbox) -> None:
    """Kantata hides archived projects from lists; opening a second one beside it would be a duplicate."""
    project = await opened(kantata)
    account.account.update_workspace(project, {"archived": True})

    found = (await kantata.probe(operation(kantata), [project_call()]))[0]

    assert isinstance(found, Applied)
    assert (await kantata.fetch("project", [project]))[0] is not None


async def test_two_projects_of_one_deal_are_a_persons_business(kantata: KantataConnector) -> None:
    first, second = await opened(kantata), await opened(kantata)

    found = (await kantata.probe(operation(kantata), [project_call()]))[0]

    assert isinstance(found, RejectedByVendor)
    assert first in str(found)
    assert second in str(found)
    assert len(await kantata.find("project", {"id": DEAL})) == 2


async def test_a_refused_project_names_the_field_in_the_vendors_words(kantata: KantataConnector) -> None:
    with pytest.raises(RejectedByVendor) as refused:
        await kantata.send(operation(kantata), [project_call(title="")])

    assert refused.value.vendor_code == "validation"
    assert refused.value.request_id
    assert "title" in str(refused.value)
    assert "Please give your project a title" in str(refused.value)


async def test_a_refused_project_among_good_ones_is_refused_alone(kantata: KantataConnector, account: Sandbox) -> None:
    calls = [project_call("a-1"), project_call("a-2", currency="XXX"), project_call("a-3")]

    outcomes = await kantata.send(operation(kantata), calls)

    assert isinstance(outcomes[0], Applied)
    assert isinstance(outcomes[1], RejectedByVendor)
    assert isinstance(outcomes[2], Applied)
    assert len(projects(account)) == 2


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, RateLimited),
        (503, VendorUnavailable),
        (500, OutcomeUnknown),
        (502, OutcomeUnknown),
        (504, OutcomeUnknown),
        (401, AuthorizationFailed),
        (403, AuthorizationFailed),
        (400, RejectedByVendor),
        (404, RejectedByVendor),
        (599, OutcomeUnknown),
        (418, RejectedByVendor),
    ],
)
async def test_each_refusal_says_what_to_do_next(
    kantata: KantataConnector, account: Sandbox, status: int, error: type[Exception]
) -> None:
    account.faults.add(Fault(kind="status", status=status))

    with pytest.raises(error):
        await kantata.send(operation(kantata), [project_call()])


@pytest.mark.parametrize("kind", ["outage", "status"])
async def test_a_probe_that_cannot_read_says_so(kantata: KantataConnector, account: Sandbox, kind: str) -> None:
    account.faults.add(Fault(kind=kind, status=500))

    with pytest.raises(VendorUnavailable):
        await kantata.probe(operation(kantata), [project_call()])


async def test_projects_are_found_by_reference_and_fetched_in_the_order_asked(kantata: KantataConnector) -> None:
    ids = [await opened(kantata, f"deal-{number}") for number in range(3)]

    candidates = await kantata.find("project", {"id": "deal-1"})
    fetched = await kantata.fetch("project", [ids[2], "999", "x,1", ids[0]])

    assert [(c.external_id, c.matched_by, c.canonical_id) for c in candidates] == [(ids[1], "external_id", "deal-1")]
    assert [project and project["id"] for project in fetched] == [ids[2], None, None, ids[0]]


async def test_hundreds_of_projects_are_read_page_by_page(kantata: KantataConnector, account: Sandbox) -> None:
    reference = {"service_name": "tieline", "service_model": "contract"}
    seeded = account.seed(
        "workspaces",
        [{"title": "P", "external_reference": reference | {"service_model_ref": DEAL}} for _ in range(250)],
    )

    assert len(await kantata.find("project", {"id": DEAL})) == 250
    fetched = await kantata.fetch("project", [project["id"] for project in seeded])
    assert all(project is not None for project in fetched)


async def test_another_systems_reference_is_not_ours(kantata: KantataConnector, account: Sandbox) -> None:
    """Another integration may use the same id for its own record."""
    foreign = {"service_name": "salesforce", "service_model": "Opportunity", "service_model_ref": DEAL}
    account.seed("workspaces", [{"title": "P", "external_reference": foreign}])

    assert await kantata.find("project", {"id": DEAL}) == []
    assert await kantata.probe(operation(kantata), [project_call()]) == [Absent()]


async def test_check_tells_what_the_token_sees(kantata: KantataConnector, account: Sandbox) -> None:
    await opened(kantata)

    assert (await kantata.check()).endswith("1 projects visible")

    account.act("expire_tokens", {})
    with pytest.raises(AuthorizationFailed) as failed:
        await kantata.check()
    assert "sandbox-token" not in str(failed.value)


async def test_what_kantata_cannot_do_is_said(kantata: KantataConnector) -> None:
    with pytest.raises(ConfigurationError):
        await kantata.send(Operation(kind="invoice", safety=Safety.UPSERT), [])
    with pytest.raises(ConfigurationError):
        await kantata.fetch("invoice", ["1"])
    with pytest.raises(ConfigurationError):
        await kantata.catalogue("roles")
    with pytest.raises(ConfigurationError):
        await kantata.changes("projects", "")
    with pytest.raises(InvalidMessage):
        await kantata.notices({}, b"{}", {})
    assert kantata.acknowledgement()[0] == 200


def test_the_manifest_says_that_projects_are_looked_up_first(served: Served) -> None:
    connector = KantataConnector("kantata", settings_for(served.url, settle_after_s=7.5))

    assert operation(connector).safety is Safety.LOOK_UP_FIRST
    assert operation(connector).settle_after_s == 7.5
    assert operation(connector).bulk == 1


def test_the_token_is_never_shown() -> None:
    settings = settings_for("https://api.mavenlink.com", token="s3cret")
    shown = io.StringIO()
    rich.console.Console(file=shown).print(settings)

    assert "s3cret" not in repr(settings) + str(settings) + shown.getvalue()
