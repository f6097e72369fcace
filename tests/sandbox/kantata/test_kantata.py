"""Projects, references and tasks of a Kantata OX account, with its envelope, filters and refusals."""

from __future__ import annotations

from typing import Any

import pytest
from tests.sandbox.kantata.client import Client

REFERENCE = {"service_name": "tieline", "service_model": "contract", "service_model_ref": "salesforce-006A1"}


async def test_a_project_comes_back_in_the_envelope(account: Client) -> None:
    """results holds the order, the keyed object the content; the price is read in cents and as text."""
    status, body = await account.call(
        "POST", "workspaces.json", {"workspace": {"title": "Rollout", "price": 1200, "currency": "EUR"}}
    )
    (key,) = body["results"]
    assert (status, body["count"], key["key"]) == (200, 1, "workspaces")
    record = body["workspaces"][key["id"]]
    assert (record["price_in_cents"], record["price"], record["currency_base_unit"]) == (120000, "€1,200.00", 100)
    assert body["meta"] == {"count": 1, "page_count": 1, "page_number": 1, "page_size": 20}
    shown = await account.call("GET", f"workspaces/{key['id']}.json")
    assert shown[1]["workspaces"][key["id"]] == record


async def test_a_repeated_post_makes_a_second_project(account: Client) -> None:
    """There is no idempotency: the same external reference does not protect either."""
    first = await account.project(external_reference=REFERENCE)
    second = await account.project(external_reference=REFERENCE)
    found = await account.ids("workspaces", external_reference_service_model_refs="salesforce-006A1")
    assert sorted(found) == sorted([first["id"], second["id"]])


async def test_a_project_is_found_by_its_external_reference(account: Client) -> None:
    """By the plural filter, narrowed by service name; include shows the references beside."""
    project = await account.project(external_reference=REFERENCE)
    await account.project(title="Other")
    wanted = {
        "external_reference_service_model_refs": "salesforce-006A1,salesforce-006A2",
        "external_reference_service_name": "tieline",
        "include": "external_references",
    }
    _, body = await account.call("GET", "workspaces.json", params=wanted)
    (reference,) = body["external_references"].values()
    assert body["workspaces"][project["id"]]["external_reference_ids"] == [reference["id"]]
    assert (reference["subject_type"], str(reference["subject_id"])) == ("Workspace", project["id"])
    assert reference["service_model_ref"] == "salesforce-006A1"
    assert await account.ids("workspaces", **wanted | {"external_reference_service_name": "jira"}) == []
    assert await account.ids("workspaces", external_reference_service_model_refs="salesforce-006A3") == []


async def test_the_singular_filter_takes_numbers_only(account: Client) -> None:
    """Its published type is an integer, so an id with letters is refused rather than found to be absent."""
    params = {"external_reference_service_model_ref": "salesforce-006A1"}
    status, body = await account.call("GET", "workspaces", params=params)
    assert (status, body["errors"][0]["type"]) == (400, "system")


async def test_references_are_one_for_each_service_name(account: Client) -> None:
    """create_or_update changes the reference of (subject, service_name) and is itself safe to repeat."""
    project = await account.project()
    given = REFERENCE | {"subject_type": "Workspace", "subject_id": int(project["id"])}
    for ref in ("a", "b"):
        body = {"external_reference": given | {"service_model_ref": ref}}
        status, answer = await account.call("POST", "external_references/create_or_update", body)
        assert status == 200
        assert answer["results"][0]["key"] == "external_references"
    listed = {"subject_type": "Workspace", "service_model_ref": "b", "include": "subject"}
    _, found = await account.call("GET", "external_references", params=listed)
    assert found["count"] == 1
    assert found["workspaces"][project["id"]]["title"] == "Rollout"
    assert await account.ids("workspaces", external_reference_service_model_refs="a") == []
    reference_id = found["results"][0]["id"]
    assert (await account.call("DELETE", f"external_references/{reference_id}"))[0] == 204
    assert await account.ids("workspaces", has_external_references="true") == []


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        ({"price": 1}, [("Please give your project a title", "title")]),
        ({"title": "T"}, [("Price can't be blank", "price")]),
        ({}, [("Please give your project a title", "title"), ("Price can't be blank", "price")]),
        ({"title": "T", "price": 10.5}, [("Price must be an integer", "price")]),
        ({"title": "T", "price": 1, "currency": "XXX"}, [("Currency is not included in the list", "currency")]),
        ({"title": "T", "price": 1, "due_date": "31.12.2026"}, [("Due date is not a valid date", "due_date")]),
        (
            {"title": "T", "price": 1, "external_reference": {"service_name": "x", "service_model": "y"}},
            [("Service model ref can't be blank", "service_model_ref")],
        ),
    ],
)
async def test_validation_errors_come_together(
    account: Client, given: dict[str, Any], problems: list[tuple[str, str]]
) -> None:
    """422 with every error and its field; nothing is stored."""
    status, body = await account.call("POST", "workspaces.json", {"workspace": given})
    assert status == 422
    assert body["errors"] == [{"type": "validation", "message": m, "field": f} for m, f in problems]
    assert account.sandbox.documents("workspaces")["workspaces"] == []


async def test_unknown_attributes_are_passed_over_in_silence(account: Client) -> None:
    """price_in_cents is only read: writing it changes nothing, and nobody says so."""
    project = await account.project(price=7, price_in_cents=99999, colour="red")
    assert project["price_in_cents"] == 700
    assert "colour" not in project


async def test_a_project_is_changed_and_deleted_for_good(account: Client) -> None:
    """PUT changes what is given; DELETE takes tasks and references along; then 404."""
    project = await account.project(external_reference=REFERENCE)
    path = f"workspaces/{project['id']}.json"
    status, body = await account.call("PUT", path, {"workspace": {"title": "New", "price": 5}})
    changed = body["workspaces"][project["id"]]
    assert (status, changed["title"], changed["price_in_cents"], changed["currency"]) == (200, "New", 500, "EUR")
    task = {"story": {"title": "Kick-off", "workspace_id": int(project["id"])}}
    assert (await account.call("POST", "stories.json", task))[0] == 200
    assert len(await account.ids("stories", workspace_id=project["id"])) == 1
    assert (await account.call("DELETE", path))[0] == 204
    assert {k: len(v) for k, v in account.sandbox.documents().items()} == {
        "workspaces": 0,
        "stories": 0,
        "external_references": 0,
        "users": 1,
        "participations": 0,
        "time_entries": 0,
    }
    status, body = await account.call("GET", path)
    assert (status, body["errors"][0]["type"]) == (404, "system")
    assert await account.ids("workspaces", only=project["id"]) == []


async def test_archived_projects_are_hidden_by_default(account: Client) -> None:
    """Not listed, and 404 when shown, unless asked for: absent is not the same as archived."""
    project = await account.project()
    await account.call("PUT", f"workspaces/{project['id']}", {"workspace": {"archived": True}})
    assert await account.ids("workspaces") == []
    assert (await account.call("GET", f"workspaces/{project['id']}"))[0] == 404
    assert await account.ids("workspaces", include_archived="true") == [project["id"]]


async def test_lists_are_paged_and_filtered(account: Client) -> None:
    """20 a page, at most 200; page or offset; by title, by time, by id."""
    await account.control("seed", {"workspaces": [{"title": f"Project {i:03d}"} for i in range(250)]})
    _, body = await account.call("GET", "workspaces", params={"order": "title:asc"})
    assert (body["count"], len(body["results"]), body["meta"]["page_count"]) == (250, 20, 13)
    seen: list[str] = []
    for page in ("1", "2", "3"):
        seen += await account.ids("workspaces", per_page="900", page=page, order="title:asc")
    assert len(set(seen)) == 250
    assert await account.ids("workspaces", limit="2", offset="10", order="title:asc") == seen[10:12]
    assert await account.ids("workspaces", matching="proj 007") == [seen[7]]
    assert await account.ids("workspaces", only=f"{seen[3]},999") == [seen[3]]
    assert await account.ids("workspaces", created_before="2001-01-01T00:00:00Z") == []
    assert len(await account.ids("workspaces", created_after="2001-01-01T00:00:00+02:00")) == 20


async def test_bulk_creation_is_all_or_none(account: Client) -> None:
    """Up to 100 under the plural key."""
    good, bad = {"title": "A", "price": 1}, {"price": 1}
    assert (await account.call("POST", "workspaces", {"workspaces": [good, bad]}))[0] == 422
    status, body = await account.call("POST", "workspaces", {"workspaces": [good, good]})
    assert (status, body["count"]) == (200, 2)
    assert (await account.call("POST", "workspaces", {"workspaces": [good] * 101}))[0] == 422
    assert len(account.sandbox.documents("workspaces")["workspaces"]) == 2


async def test_rails_forms_are_read_too(account: Client) -> None:
    """workspace[external_reference][service_name]=… is the other published encoding."""
    form = {"workspace[title]": "Form", "workspace[price]": "3"}
    form |= {f"workspace[external_reference][{name}]": value for name, value in REFERENCE.items()}
    headers = {"Authorization": "Bearer sandbox-token"}
    url = f"{account.base}/api/v1/workspaces.json"
    async with account.http.post(url, data=form, headers=headers) as response:
        assert response.status == 200
    assert len(await account.ids("workspaces", external_reference_service_model_refs="salesforce-006A1")) == 1


async def test_tokens_are_granted_and_revoked(account: Client) -> None:
    """Client credentials give a bearer token; anything else is 401 in the vendor's body."""
    form = {"grant_type": "client_credentials", "client_id": "tieline", "client_secret": "sandbox-secret"}
    async with account.http.post(f"{account.base}/oauth/token", data=form) as response:
        account.token = (await response.json())["access_token"]
    assert (await account.call("GET", "workspaces"))[0] == 200
    await account.control("faults", {"kind": "expire_tokens"})
    status, body = await account.call("GET", "workspaces")
    assert (status, body) == (401, {"errors": [{"type": "oauth", "message": "Invalid OAuth 2 Request"}]})
    async with account.http.post(f"{account.base}/oauth/token", data=form | {"client_secret": "x"}) as response:
        assert (response.status, (await response.json())["error"]) == (401, "invalid_client")


async def test_too_many_requests_are_429_without_a_hint(account: Client) -> None:
    """The workspaces endpoints have a limit of their own; no header says when to come back."""
    await account.control("configure", {"workspace_requests_per_minute": 1})
    assert (await account.call("GET", "workspaces"))[0] in (200, 429)
    results = [(await account.call("GET", "workspaces"))[0] for _ in range(3)]
    assert 429 in results
    assert (await account.call("GET", "stories"))[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "nothing.json", None, 404),
        ("GET", "workspaces/1.json", None, 404),
        ("PUT", "workspaces/1.json", {"workspace": {"title": "x"}}, 404),
        ("POST", "workspaces.json", {"title": "no root"}, 400),
        ("GET", "external_references", None, 400),
        ("GET", "workspaces?include=nonsense", None, 400),
        ("POST", "stories", {"story": {"title": "x", "workspace_id": 5}}, 422),
        ("POST", "external_references/create_or_update", {"external_reference": {}}, 422),
        ("POST", "external_references/create_or_update", {"external_reference": {"subject_type": []}}, 422),
        ("POST", "workspaces", {"workspaces": [1]}, 400),
        ("POST", "workspaces", {"workspace": {"title": 5, "price": [], "external_reference": 7}}, 422),
        ("POST", "workspaces", [], 400),
        ("GET", "workspaces?updated_after=yesterday", None, 400),
    ],
)
async def test_wrong_requests(account: Client, method: str, path: str, body: Any, status: int) -> None:
    """Every refusal is {"errors": […]}."""
    got, answer = await account.call(method, path, body)
    assert got == status
    assert answer["errors"][0]["message"]
