"""Kantata OX's shapes, in its spelling. Source: Kantata OX API 1.0.0, Workspaces, External References and Time
Entries.

`price` is written in whole units of the currency; `price_in_cents` is read, in the currency's base unit
(`currency_base_unit` is 100 for EUR, 1 for JPY). Dates are "YYYY-MM-DD".
"""

from __future__ import annotations

from typing import Any, TypedDict

SERVICE_NAME = "tieline"
SERVICE_MODEL = "contract"
"""What our external references are called there, the same in the mapping table."""


class ExternalReference(TypedDict, total=False):
    """What ties a project to a document of another system: a record of its own, one a service and project."""

    id: str
    subject_type: str
    subject_id: int
    service_name: str
    service_model: str
    service_model_ref: str
    status: str


class Workspace(TypedDict, total=False):
    """A project. `creator_role` and `external_reference` are only written, the other side of them only read."""

    id: str
    title: str
    creator_role: str
    description: str | None
    currency: str
    start_date: str | None
    due_date: str | None
    budgeted: bool
    price: int | str | None
    price_in_cents: int | None
    currency_base_unit: int
    archived: bool
    external_reference: ExternalReference
    external_reference_ids: list[str]
    external_references: list[ExternalReference]


class TimeEntry(TypedDict, total=False):
    """Time that somebody worked on a project. The rate is for an hour, in the currency's base unit; `approved` says
    that its timesheet is, or that the project needs no approval; `invoice_id` that it was billed in Kantata.
    """

    id: str
    workspace_id: str
    story_id: str | None
    user_id: str
    date_performed: str
    time_in_minutes: int
    billable: bool
    approved: bool
    notes: str | None
    rate_in_cents: int
    currency: str
    currency_base_unit: int
    taxable: bool
    invoice_id: str | None
    created_at: str
    updated_at: str


SCHEMAS: dict[str, Any] = {"kantata.workspace": Workspace, "kantata.time_entry": TimeEntry}
"""The names mapping tables use."""
