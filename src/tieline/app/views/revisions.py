"""A document as it was sent to a system, revision by revision: what changed, what was sent, what came back."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tieline.app.views.reading import View
from tieline.app.views.resolve import NothingFound
from tieline.app.views.rules import leaves
from tieline.app.views.trace import document_name
from tieline.connectors.sdk.capture import Capture
from tieline.engine.records import Effect
from tieline.mapping.paths import format_segments

NOTHING = "nothing"
_READABLE = Capture()


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A field that is not as the revision before had it."""

    field: str
    before: str
    after: str


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """One revision; `request` and `response` are without secrets. `changes` are against the revision before."""

    effect: Effect
    request: str
    response: str
    changes: list[Change]


class Revisions(msgspec.Struct, frozen=True, kw_only=True):
    """A document in a system, its newest revision first."""

    name: str
    deal: str
    revisions: list[Revision]


async def read_revisions(view: View, connection: str, kind: str, canonical_id: str, action: str) -> Revisions:
    """Raises NothingFound for a document that was never to be written there."""
    found = await view.store.effects(connection=connection, kind=kind, canonical_id=canonical_id)
    mine = sorted((e for e in found if e.action == action), key=lambda e: e.revision)
    if not mine:
        raise NothingFound(f"Tieline wrote no {kind.replace('_', ' ')} {canonical_id!r} to {connection}")
    before = [None, *mine[:-1]]
    revisions = [_revision(effect, earlier) for effect, earlier in zip(mine, before, strict=True)]
    return Revisions(name=document_name(mine[-1]), deal=mine[-1].correlation_id, revisions=revisions[::-1])


def _revision(effect: Effect, earlier: Effect | None) -> Revision:
    return Revision(
        effect=effect,
        request=_READABLE.readable(effect.request),
        response=_READABLE.readable(effect.response),
        changes=list(_changes(_fields(earlier.content), _fields(effect.content))) if earlier else [],
    )


def _changes(before: dict[str, str], after: dict[str, str]) -> Iterator[Change]:
    for field in dict.fromkeys([*before, *after]):
        was, now = before.get(field, NOTHING), after.get(field, NOTHING)
        if was != now:
            yield Change(field=field, before=was, after=now)


def _fields(content: bytes) -> dict[str, str]:
    """A document as path → value, in its own order."""
    held = leaves(msgspec.json.decode(content)) if content else ()
    return {format_segments(path): str(value) for path, value in held if value is not None}
