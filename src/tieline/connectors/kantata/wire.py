"""Kantata OX's shapes, in its spelling. Source: Kantata OX API 1.0.0, Workspaces and External References.

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


SCHEMAS: dict[str, Any] = {"kantata.workspace": Workspace}
"""The names mapping tables use."""
