"""Participants enter time on their projects; what was invoiced is locked."""

from __future__ import annotations

from typing import Any

from tests.sandbox.kantata.client import Client

TIME = {"date_performed": "2026-03-02", "time_in_minutes": 90, "rate_in_cents": 12_000}


async def entered(account: Client, **fields: Any) -> tuple[int, Any]:
    return await account.call("POST", "time_entries.json", {"time_entry": TIME | fields})


async def test_time_is_entered_by_participants_on_their_tasks(account: Client) -> None:
    """Somebody else's user, another project's task and a day of 25 hours are refused."""
    project, other = await account.project(), await account.project(title="Other")
    (grace,) = account.sandbox.seed("users", [{"full_name": "Grace Okafor"}])
    (task,) = account.sandbox.seed("stories", [{"title": "Design", "workspace_id": int(project["id"])}])
    mine = {"workspace_id": int(project["id"]), "user_id": int(grace["id"]), "story_id": int(task["id"])}
    status, refused = await entered(account, **mine)
    assert (status, refused["errors"][0]["field"]) == (422, "user_id")
    joined = {"participation": {"user_id": int(grace["id"]), "workspace_id": int(project["id"])}}
    assert (await account.call("POST", "participations.json", joined))[0] == 200
    assert (await account.call("POST", "participations.json", joined))[0] == 422
    status, made = await entered(account, **mine)
    entry = made["time_entries"][made["results"][0]["id"]]
    assert (status, entry["currency"], entry["currency_base_unit"], entry["invoice_id"]) == (200, "EUR", 100, None)
    assert (await entered(account, **mine | {"workspace_id": int(other["id"])}))[0] == 422
    assert (await entered(account, **mine | {"time_in_minutes": 1500}))[0] == 422
    assert (await entered(account, workspace_id=int(project["id"]), date_performed=None))[0] == 422


async def test_a_project_shows_its_participants_and_an_entry_its_people(account: Client) -> None:
    project = await account.project()
    await entered(account, workspace_id=int(project["id"]))
    _, shown = await account.call("GET", f"workspaces/{project['id']}.json", params={"include": "participants"})
    (user,) = shown["workspaces"][project["id"]]["participant_ids"]
    assert shown["users"][user]["full_name"] == "Sandbox Administrator"
    _, listed = await account.call("GET", "time_entries.json", params={"include": "user,workspace,story"})
    assert (list(listed["users"]), list(listed["workspaces"])) == ([user], [project["id"]])


async def test_entries_are_found_by_project_day_approval_and_change(account: Client) -> None:
    one, two = await account.project(), await account.project()
    early = {"workspace_id": int(one["id"]), "date_performed": "2026-02-27"}
    account.sandbox.seed("time_entries", [TIME | early, TIME | early | {"date_performed": "2026-03-01"}])
    account.sandbox.seed("time_entries", [TIME | {"workspace_id": int(two["id"]), "approved": False}])
    assert len(await account.ids("time_entries.json")) == 3
    assert len(await account.ids("time_entries.json", workspace_id=one["id"])) == 2
    assert len(await account.ids("time_entries.json", date_performed_between="2026-03-01:2026-03-02")) == 2
    assert len(await account.ids("time_entries.json", approved="false")) == 1
    assert await account.ids("time_entries.json", updated_after="2999-01-01T00:00:00Z") == []


async def test_time_that_was_invoiced_can_no_longer_be_changed(account: Client) -> None:
    project = await account.project()
    entry = TIME | {"workspace_id": int(project["id"])}
    (free,) = account.sandbox.seed("time_entries", [entry])
    (billed,) = account.sandbox.seed("time_entries", [entry | {"invoice_id": 77}])
    change = {"time_entry": {"time_in_minutes": 60}}
    assert (await account.call("PUT", f"time_entries/{free['id']}.json", change))[0] == 200
    assert (await account.call("PUT", f"time_entries/{billed['id']}.json", change))[0] == 422
    assert (await account.call("DELETE", f"time_entries/{billed['id']}.json"))[0] == 422
    assert (await account.call("DELETE", f"time_entries/{free['id']}.json"))[0] == 204
    assert (await account.call("DELETE", f"workspaces/{project['id']}.json"))[0] == 204
    assert await account.ids("time_entries.json") == []
