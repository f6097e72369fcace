"""Why a field of a document in a system is what it is: from the value sent back to the record a person typed.

Each step names its rule, the table with version and owner, and the line of the file. What is told comes from the
effect ledger and the event log; no system is asked.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tieline.app.views.origin import Origin, Step, origin_of
from tieline.app.views.reading import View
from tieline.app.views.resolve import NothingFound, spellings
from tieline.app.views.rules import explained, same_value, select
from tieline.app.views.trace import document_name
from tieline.domain import KINDS
from tieline.engine.effects import decode_wire
from tieline.engine.ports import Operation
from tieline.engine.records import Effect, EffectState
from tieline.engine.run import to_builtins
from tieline.errors import ConfigurationError
from tieline.mapping import Explanation, Mapping
from tieline.mapping.paths import Segment, format_segments, parse_path, walk


class FieldLineage(msgspec.Struct, frozen=True, kw_only=True):
    """One field that was sent, and the steps back to its source. `remark` says where the rule would differ today."""

    field: str
    value: Any
    steps: list[Step]
    remark: str = ""


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """A document in a system and where its fields come from.

    `recorded` is the mapping version that made it, `in_force` the one of today; `same_version` whether they agree.
    """

    connection: str
    kind: str
    canonical_id: str
    external_id: str
    document: str
    revision: int
    state: EffectState
    settled_by: str
    run_id: str
    event_id: str
    recorded: str
    in_force: str
    same_version: bool
    fields: list[FieldLineage]


async def explain_document(view: View, connection: str, document: str, ident: str, field: str = "") -> Lineage:
    """Explain one field (a path, the end of one, or a common name such as `amount`), or every field.

    Raises NothingFound for a document we never wrote, ConfigurationError for a system or kind that is unknown, and
    for a field the document does not have.
    """
    kind = kind_at(view, connection, document)
    effect = await written(view, connection, kind, ident)
    operation = view.operations[connection, kind, effect.action]
    mapping = view.mappings.find(operation.mapping)
    content = canonical_content(effect)
    wire = decode_wire(effect.request)
    known = await _explained(view, effect, mapping, content, wire) if mapping else {}
    origin = await origin_of(view, effect, content)
    try:
        paths = select(wire, field, known)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    now = mapping.label if mapping else ""
    return Lineage(
        connection=connection,
        kind=kind,
        canonical_id=effect.canonical_id,
        external_id=effect.external_id,
        document=document_name(effect),
        revision=effect.revision,
        state=effect.state,
        settled_by=effect.settled_by,
        run_id=effect.run_id,
        event_id=effect.event_id,
        recorded=effect.mapping,
        in_force=now,
        same_version=now == effect.mapping,
        fields=[_lineage(path, walk(wire, path), known.get(path), origin, operation) for path in paths],
    )


# --- which document ---------------------------------------------------------------------------------------------------


def kind_at(view: View, connection: str, document: str) -> str:
    """The canonical kind of a document by our name or the system's: `order` and `salesOrder` are the same."""
    if connection not in view.vendors:
        raise ConfigurationError(f"there is no connection {connection!r}; there are: {', '.join(view.vendors)}")
    known = {
        kind: o for (name, kind, action), o in view.operations.items() if name == connection and action == "ensure"
    }
    for kind, operation in known.items():
        if document.casefold().replace("-", "_") in (kind, operation.mapping.rpartition(".")[2].casefold()):
            return kind
    names = ", ".join(f"{kind} ({o.mapping.rpartition('.')[2]})" for kind, o in known.items())
    raise ConfigurationError(f"Tieline writes no {document!r} to {connection}; it writes: {names}")


async def written(view: View, connection: str, kind: str, ident: str) -> Effect:
    """The newest revision that stands, else the newest at all, of the document that goes by an id there."""
    store = view.store
    ids: list[str] = []
    for spelling in spellings(ident):
        ids += [spelling, *(f"{name}-{spelling}" for name in view.vendors)]
        ids += [r.canonical_id for r in await store.referenced(spelling, connection) if r.kind == kind]
        found = await store.effects(connection=connection, kind=kind, external_id=spelling)
        ids += [effect.canonical_id for effect in found]
    for canonical_id in dict.fromkeys(ids):
        revisions = await store.effects(connection=connection, kind=kind, canonical_id=canonical_id)
        ensured = [effect for effect in revisions if effect.action == "ensure"]
        if ensured:
            standing = [effect for effect in ensured if effect.state is EffectState.APPLIED]
            return max(standing or ensured, key=lambda effect: effect.revision)
    raise NothingFound(f"Tieline wrote no {kind.replace('_', ' ')} {ident!r} to {connection}")


def canonical_content(effect: Effect) -> dict[str, Any]:
    """The canonical document as the table saw it: exact Decimals and dates, not their texts."""
    raw: dict[str, Any] = msgspec.json.decode(effect.content)
    try:
        document = msgspec.convert(raw, KINDS[effect.kind], strict=False)
    except (KeyError, msgspec.ValidationError, ValueError):
        return raw  # a person corrected it into something the type does not allow
    content: dict[str, Any] = to_builtins(document)
    return content


async def _explained(
    view: View, effect: Effect, mapping: Mapping, content: dict[str, Any], wire: Any
) -> dict[tuple[Segment, ...], Explanation]:
    wanted = mapping.refs(content, connection=effect.connection)
    known = await view.store.references([(effect.connection, kind, ident) for kind, ident in wanted])
    refs = {(kind, ident): reference.external_id for (_, kind, ident), reference in known.items()}
    return explained(mapping, content, wire, effect.connection, refs)


# --- one field --------------------------------------------------------------------------------------------------------


def _lineage(
    path: tuple[Segment, ...], value: Any, known: Explanation | None, origin: Origin, operation: Operation
) -> FieldLineage:
    if known is None:
        missing = f"no rule of {operation.mapping} fills this field today: the table was changed since"
        return FieldLineage(field=format_segments(path), value=value, steps=[], remark=missing)
    sent = Step(
        what=f"sent to {origin.effect.connection}",
        where=origin.effect.connection,
        field=known.target,
        value=value,
        rule=known.rule,
        table=known.label,
        owner=known.owner,
        note=known.note,
        file=known.file,
        line=known.line,
        reads=[f"{name} = {_shown(read)}" for name, read in known.sources],
    )
    steps = [sent]
    for name, read in known.sources:
        if read is not None and not isinstance(read, (list, dict)):
            steps += origin.steps(parse_path(name).segments, read)
    return FieldLineage(field=format_segments(path), value=value, steps=steps, remark=_remark(known, value))


def _remark(known: Explanation, value: Any) -> str:
    if known.failure:
        return f"today's table cannot make this field: {known.failure}"
    if not same_value(known.value, value):
        return f"today's table would make {_shown(known.value)} of it"
    return ""


def _shown(value: Any) -> str:
    return "nothing" if value is None else str(value)


__all__ = ["FieldLineage", "Lineage", "Step", "explain_document"]
