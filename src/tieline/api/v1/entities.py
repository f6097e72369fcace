"""Canonical entities: what systems of record told last."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import FromPath

from tieline.api.v1.operations import reads
from tieline.api.v1.paging import CursorText, Limit, Page, page_of, place
from tieline.app.views.reading import View
from tieline.app.views.resolve import NothingFound
from tieline.domain import KINDS
from tieline.engine.records import EntityRow, Reference

TAG = "Entities"


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    """A canonical document as its system of record told it last."""

    kind: str
    id: str
    deal: str
    updated_at: datetime
    content: Any


class EntityWithPlaces(msgspec.Struct, frozen=True, kw_only=True):
    """A canonical document and where it stands."""

    entity: Entity
    stands: list[Reference]


@reads("/entities/{kind:str}", tag=TAG)
async def list_entities(
    request: Request[Any, Any, Any],
    view: NamedDependency[View],
    kind: FromPath[str],
    limit: Limit = 50,
    cursor: CursorText = "",
) -> Response[Page[Entity]]:
    """List the canonical documents of a kind by id.

    Kept is the state of what systems tell about: contracts, subscriptions, invoices, credit notes, payments. What
    Tieline makes of them for other systems (customers, orders, projects) is the document of an effect.
    """
    if kind not in KINDS:
        raise NothingFound(f"there is no kind {kind!r}; there are: {', '.join(KINDS)}")
    held = place(f"entities/{kind}", cursor, tuple[str])
    rows = await view.store.entities(kind, held[0] if held else "", limit + 1)
    return page_of(request, f"entities/{kind}", rows, limit, lambda row: (row.id,), _entity)


@reads("/entities/{kind:str}/{canonical_id:str}", tag=TAG)
async def get_entity(view: NamedDependency[View], kind: FromPath[str], canonical_id: FromPath[str]) -> EntityWithPlaces:
    """Get a canonical document, and its ids in the systems."""
    row = await view.store.find_entity(kind, canonical_id)
    if row is None:
        raise NothingFound(f"there is no {kind} {canonical_id!r}")
    wanted = [(connection, kind, canonical_id) for connection in view.vendors]
    return EntityWithPlaces(entity=_entity(row), stands=list((await view.store.references(wanted)).values()))


def _entity(row: EntityRow) -> Entity:
    return Entity(
        kind=row.kind, id=row.id, deal=row.correlation_id, updated_at=row.updated_at, content=msgspec.Raw(row.content)
    )


HANDLERS = [list_entities, get_entity]
