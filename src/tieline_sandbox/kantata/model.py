"""Projects (workspaces), their tasks (stories), people and hours, and references to other systems.

A POST that is repeated makes a second project: there is no idempotency key. An external reference is a record of its
own, one for each (subject, service_name), and is the only way to find a project by another system's id.
Source: Kantata OX API documentation 1.0.0, Workspaces, Stories, External References.
"""

from __future__ import annotations

from datetime import UTC
from typing import Any

from tieline_sandbox.kantata import errors
from tieline_sandbox.kantata.timesheets import USER_ID, entry_of, first_users, participation_of, refuse_invoiced
from tieline_sandbox.kantata.values import Check, checked, day, flag, one_of, text, whole
from tieline_sandbox.kernel.world import World

Record = dict[str, Any]
ACCOUNT_ID = 4000001
MAX_BULK = 100
BASE_UNITS = {
    "USD": 100, "EUR": 100, "GBP": 100, "JPY": 1, "CHF": 100, "CAD": 100, "AUD": 100, "SGD": 100, "SEK": 100,
    "INR": 100, "BRL": 100, "KWD": 1000,
}  # fmt: skip
SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "CAD": "$", "AUD": "$", "SGD": "$"}
SUBJECTS = {"Workspace": "workspaces", "Story": "stories"}
_REFERENCE_FIELDS = ("service_name", "service_model", "service_model_ref")
_REFERENCE_EXTRAS = ("external_link", "external_status", "external_message")


class Account:
    """Everything on one Kantata OX account."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._next_id = {
            "workspaces": 41_000_000,
            "stories": 900_000_000,
            "external_references": 7_000_000,
            "users": USER_ID,
            "participations": 60_000_000,
            "time_entries": 300_000_000,
        }
        self.tables: dict[str, dict[str, Record]] = {kind: {} for kind in self._next_id} | {"users": first_users()}
        self._references_of: dict[tuple[str, str], dict[str, None]] = {}
        self._references_to: dict[str, dict[str, None]] = {}
        self._stories_of: dict[str, dict[str, None]] = {}

    # reading

    def get(self, kind: str, record_id: str) -> Record:
        """Raises ApiError 404."""
        found = self.tables[kind].get(record_id)
        if found is None:
            raise errors.not_found()
        return found

    def references_of(self, kind: str, record_id: str) -> list[Record]:
        return [self.tables["external_references"][i] for i in self._references_of.get((kind, record_id), {})]

    def references_to(self, service_model_ref: str) -> list[Record]:
        return [self.tables["external_references"][i] for i in self._references_to.get(service_model_ref, {})]

    def stories_of(self, workspace_id: str) -> list[Record]:
        return [self.tables["stories"][i] for i in self._stories_of.get(workspace_id, {})]

    # writing

    def create_workspaces(self, given: list[Record]) -> list[Record]:
        """Create projects, all or none. Raises ApiError 422 with every validation error."""
        if len(given) > MAX_BULK:
            raise errors.system(422, f"Cannot create more than {MAX_BULK} objects at once")
        checked = [self._workspace_values(data, None) for data in given]
        return [
            self._add_workspace(values, data.get("external_reference"))
            for values, data in zip(checked, given, strict=True)
        ]

    def seed_workspace(self, given: Record) -> Record:
        """A project as if it had always been there: its id, price in cents and dates are kept."""
        values = self._workspace_values({"budgeted": False, **given, "price": 0}, None)
        kept = {name: given[name] for name in ("id", "price_in_cents", "created_at", "updated_at") if name in given}
        cents = int(given["price"]) * BASE_UNITS[given.get("currency", "USD")] if "price" in given else None
        return self._add_workspace(values | {"price_in_cents": cents} | kept, given.get("external_reference"))

    def update_workspace(self, record_id: str, data: Record) -> Record:
        before = self.get("workspaces", record_id)
        values = self._workspace_values(data, before)
        after = _priced(before | values | {"updated_at": self._now()})
        self.tables["workspaces"][record_id] = after
        if data.get("external_reference"):
            self._refer(_about("Workspace", record_id, data["external_reference"]))
        return after

    def create_story(self, data: Record) -> Record:
        values = _story_values(data, creating=True)
        if str(values["workspace_id"]) not in self.tables["workspaces"]:
            raise errors.ApiError(422, errors.invalid("Workspace is invalid", "workspace_id"))
        now = self._now()
        blank = {"description": None, "start_date": None, "due_date": None, "state": "not started", "archived": False}
        dates = {"created_at": now, "updated_at": now}
        return self._add("stories", blank | {"story_type": "task", "budget_estimate_in_cents": 0} | values | dates)

    def update_story(self, record_id: str, data: Record) -> Record:
        before = self.get("stories", record_id)
        after = before | _story_values(data, creating=False) | {"updated_at": self._now()}
        self.tables["stories"][record_id] = after
        return after

    def participate(self, data: Record) -> Record:
        """A user joins a project. Raises ApiError 422."""
        return self._stamped("participations", participation_of(self, data))

    def seed_user(self, given: Record) -> Record:
        return self._add("users", {"full_name": None, "email_address": None} | given)

    def enter_time(self, data: Record, *, invoice_id: int | None = None) -> Record:
        """Time spent on a project. Raises ApiError 422."""
        return self._stamped("time_entries", entry_of(self, data, None) | {"invoice_id": invoice_id})

    def change_time(self, record_id: str, data: Record) -> Record:
        after = entry_of(self, data, self.get("time_entries", record_id)) | {"updated_at": self._now()}
        self.tables["time_entries"][record_id] = after
        return after

    def refer(self, data: Record) -> Record:
        """Create the external reference of (subject, service_name), or change it."""
        missing = [
            errors.invalid(f"{name.replace('_', ' ').capitalize()} can't be blank", name)
            for name in ("subject_type", "subject_id", *_REFERENCE_FIELDS)
            if data.get(name) in (None, "")
        ]
        if missing:
            raise errors.ApiError(422, *missing)
        kind = SUBJECTS.get(str(data["subject_type"]))
        if kind is None:
            raise errors.ApiError(422, errors.invalid("Subject type is invalid", "subject_type"))
        if str(data["subject_id"]) not in self.tables[kind]:
            raise errors.ApiError(422, errors.invalid("Subject must exist", "subject_id"))
        return self._refer(data)

    def delete(self, kind: str, record_id: str) -> None:
        """Gone for good: Kantata OX has no way back."""
        record = self.get(kind, record_id)
        if kind == "time_entries":
            refuse_invoiced(record)
        if kind == "workspaces":
            for story in self.stories_of(record_id):
                self.delete("stories", story["id"])
            for inner in ("participations", "time_entries"):
                table = self.tables[inner]
                for one in [i for i, held in table.items() if str(held["workspace_id"]) == record_id]:
                    del table[one]
        for reference in self.references_of(kind, record_id):
            self.delete("external_references", reference["id"])
        if kind == "external_references":
            subject = (SUBJECTS[record["subject_type"]], str(record["subject_id"]))
            self._references_of[subject].pop(record_id, None)
            self._references_to[record["service_model_ref"]].pop(record_id, None)
        if kind == "stories":
            self._stories_of[str(record["workspace_id"])].pop(record_id, None)
        del self.tables[kind][record_id]

    # inside

    def _now(self) -> str:
        return self._world.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")

    def _stamped(self, kind: str, values: Record) -> Record:
        now = self._now()
        return self._add(kind, {"created_at": now, "updated_at": now} | values)

    def _add(self, kind: str, record: Record) -> Record:
        record_id = str(record.get("id") or "")
        while not record_id or record_id in self.tables[kind]:
            self._next_id[kind] += 1
            record_id = str(self._next_id[kind])
        record["id"] = record_id
        self.tables[kind][record_id] = record
        if kind == "stories":
            self._stories_of.setdefault(str(record["workspace_id"]), {})[record_id] = None
        return record

    def _add_workspace(self, values: Record, reference: Record | None) -> Record:
        now = self._now()
        blank: Record = {
            "account_id": ACCOUNT_ID, "title": None, "description": None, "start_date": None, "due_date": None,
            "currency": "USD", "budgeted": True, "price_in_cents": None, "access_level": "invitation",
            "archived": False, "percentage_complete": 0, "over_budget": False, "change_orders_enabled": True,
            "consultant_role_name": "Consultants", "client_role_name": "Clients",
            "status": {"color": "light", "key": 305, "message": "Not Started"},
            "created_at": now, "updated_at": now,
        }  # fmt: skip
        record = _priced(self._add("workspaces", blank | values))
        self.tables["workspaces"][record["id"]] = record
        self.participate({"user_id": USER_ID, "workspace_id": int(record["id"]), "is_team_lead": True})
        if reference:
            self._refer(_about("Workspace", record["id"], reference))
        return record

    def _refer(self, data: Record) -> Record:
        subject = (SUBJECTS[data["subject_type"]], str(data["subject_id"]))
        now = self._now()
        same = [r for r in self.references_of(*subject) if r["service_name"] == data["service_name"]]
        values: Record = {name: str(data[name]) for name in _REFERENCE_FIELDS}
        values |= {name: data[name] for name in _REFERENCE_EXTRAS if name in data}
        values |= {"status": data.get("status") or "successful", "last_synced_at": now, "updated_at": now}
        if same:
            self._references_to[same[0]["service_model_ref"]].pop(same[0]["id"], None)
            record = same[0] | values
            self.tables["external_references"][record["id"]] = record
        else:
            blank: Record = {**dict.fromkeys(_REFERENCE_EXTRAS), "locked": False, "created_at": now}
            about = {"subject_type": data["subject_type"], "subject_id": int(data["subject_id"])}
            record = self._add("external_references", blank | about | values)
            self._references_of.setdefault(subject, {})[record["id"]] = None
        self._references_to.setdefault(record["service_model_ref"], {})[record["id"]] = None
        return record

    def _workspace_values(self, data: Record, before: Record | None) -> Record:
        """What a project is given, checked. `price` is written in whole units; `price_in_cents` is only read."""
        problems: list[Record] = []
        values = checked(data, _WORKSPACE, problems)
        whole = before or {"budgeted": True, "currency": "USD", "title": None}
        after = whole | values
        if not after["title"] and not any(p["field"] == "title" for p in problems):
            problems.append(errors.invalid("Please give your project a title", "title"))
        if "price" in values:
            values["price_in_cents"] = values.pop("price") * BASE_UNITS.get(after["currency"], 100)
        elif before is None and after["budgeted"] and not any(p["field"] == "price" for p in problems):
            problems.append(errors.invalid("Price can't be blank", "price"))
        reference = data.get("external_reference")
        if reference is not None:
            problems += _reference_problems(reference)
        if problems:
            raise errors.ApiError(422, *problems)
        return values


def _about(subject_type: str, subject_id: str, reference: Record) -> Record:
    return reference | {"subject_type": subject_type, "subject_id": subject_id}


def _reference_problems(reference: Any) -> list[Record]:
    if not isinstance(reference, dict):
        return [errors.invalid("External reference is invalid", "external_reference")]
    return [
        errors.invalid(f"{name.replace('_', ' ').capitalize()} can't be blank", name)
        for name in _REFERENCE_FIELDS
        if not reference.get(name)
    ]


def _priced(record: Record) -> Record:
    """The shown forms of the price: "$1,234.00", the symbol and the base unit."""
    unit = BASE_UNITS[record["currency"]]
    cents = record["price_in_cents"]
    places = len(str(unit)) - 1
    symbol = SYMBOLS.get(record["currency"], "")
    shown = None if cents is None else f"{symbol}{cents // unit:,}" + (f".{cents % unit:0{places}d}" if places else "")
    return record | {"price": shown, "currency_symbol": symbol or record["currency"], "currency_base_unit": unit}


def _story_values(data: Record, *, creating: bool) -> Record:
    problems: list[Record] = []
    values = checked(data, _STORY, problems)
    if creating:
        problems += [
            errors.invalid(f"{name.replace('_', ' ').capitalize()} can't be blank", name)
            for name in ("title", "workspace_id")
            if not data.get(name)
        ]
    else:
        values.pop("workspace_id", None)
    if problems:
        raise errors.ApiError(422, *problems)
    return values


_WORKSPACE: dict[str, Check] = {
    "title": text(255), "description": text(65_535), "start_date": day, "due_date": day, "budgeted": flag,
    "currency": one_of(*BASE_UNITS), "price": whole, "archived": flag, "change_orders_enabled": flag,
    "access_level": one_of("invitation", "open", "admins"), "stage": one_of("estimate", "project"),
    "creator_role": one_of("maven", "consultant", "buyer", "client"),
    "consultant_role_name": text(255), "client_role_name": text(255),
}  # fmt: skip
_STORY: dict[str, Check] = {
    "title": text(255), "description": text(65_535), "workspace_id": whole, "start_date": day, "due_date": day,
    "story_type": one_of("task", "deliverable", "milestone", "issue"), "billable": flag, "archived": flag,
    "budget_estimate_in_cents": whole, "time_estimate_in_minutes": whole,
}  # fmt: skip
