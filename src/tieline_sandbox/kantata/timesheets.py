"""Who works on a project (participations) and the time they enter, which feeds services billing.

Only a participant of a project enters time on it. An entry that was invoiced is locked.
Source: Kantata OX API documentation 1.0.0, Time Entries, Participations; the sentences of refusals are our own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tieline_sandbox.kantata import errors
from tieline_sandbox.kantata.values import Check, Invalid, checked, day, flag, text, whole

if TYPE_CHECKING:
    from tieline_sandbox.kantata.model import Account

Record = dict[str, Any]
USER_ID = 10000001
DAY_MINUTES = 24 * 60


def first_users() -> dict[str, Record]:
    """The administrator, to whom the token belongs."""
    return {str(USER_ID): {"id": str(USER_ID), "full_name": "Sandbox Administrator", "email_address": "admin@example"}}


def participation_of(account: Account, data: Record) -> Record:
    """A new participation, checked. Raises ApiError 422."""
    problems: list[Record] = []
    values = checked(data, {"user_id": whole, "workspace_id": whole, "is_team_lead": flag}, problems)
    for name, kind in (("user_id", "users"), ("workspace_id", "workspaces")):
        if str(values.get(name, "")) not in account.tables[kind]:
            problems.append(errors.invalid(f"{name.removesuffix('_id').capitalize()} must exist", name))
    if not problems and str(values["user_id"]) in participants_of(account, str(values["workspace_id"])):
        problems.append(errors.invalid("User is already a participant", "user_id"))
    if problems:
        raise errors.ApiError(422, *problems)
    return {"is_team_lead": False, **values}


def participants_of(account: Account, workspace_id: str) -> list[str]:
    """User ids."""
    return [
        str(one["user_id"])
        for one in account.tables["participations"].values()
        if str(one["workspace_id"]) == workspace_id
    ]


def entry_of(account: Account, data: Record, before: Record | None) -> Record:
    """What a time entry is after a write, checked. Raises ApiError 422."""
    if before is not None:
        refuse_invoiced(before)
    problems: list[Record] = []
    values = checked(data, _ENTRY, problems)
    blank: Record = {"user_id": USER_ID, "story_id": None, "notes": None, "billable": True, "rate_in_cents": 0}
    after = (before or blank | {"approved": True, "taxable": False, "invoice_id": None}) | values
    problems += [
        errors.invalid(f"{name.replace('_', ' ').capitalize()} can't be blank", name)
        for name in ("workspace_id", "date_performed", "time_in_minutes")
        if not after.get(name) and not any(problem["field"] == name for problem in problems)
    ]
    if problems:
        raise errors.ApiError(422, *problems)
    problems = _relations(account, after)
    if problems:
        raise errors.ApiError(422, *problems)
    workspace = account.tables["workspaces"][str(after["workspace_id"])]
    return after | {name: workspace[name] for name in ("currency", "currency_symbol", "currency_base_unit")}


def refuse_invoiced(entry: Record) -> None:
    if entry["invoice_id"] is not None:
        raise errors.ApiError(422, errors.invalid("Time entry has been invoiced and cannot be changed", "base"))


def _relations(account: Account, after: Record) -> list[Record]:
    workspace_id = str(after["workspace_id"])
    if workspace_id not in account.tables["workspaces"]:
        return [errors.invalid("Workspace must exist", "workspace_id")]
    story = account.tables["stories"].get(str(after["story_id"]))
    if after["story_id"] is not None and (story is None or str(story["workspace_id"]) != workspace_id):
        return [errors.invalid("Story must belong to the workspace", "story_id")]
    if str(after["user_id"]) not in participants_of(account, workspace_id):
        return [errors.invalid("User must be a participant in the workspace", "user_id")]
    return []


def _minutes(value: Any) -> int:
    minutes = whole(value)
    if not 0 < minutes <= DAY_MINUTES:
        raise Invalid(f"must be between 1 and {DAY_MINUTES}")
    return minutes


_ENTRY: dict[str, Check] = {
    "workspace_id": whole,
    "story_id": whole,
    "user_id": whole,
    "date_performed": day,
    "time_in_minutes": _minutes,
    "rate_in_cents": whole,
    "billable": flag,
    "approved": flag,
    "taxable": flag,
    "notes": text(65_535),
}
