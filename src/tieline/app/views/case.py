"""One case as whoever decides it must see it: what happened, the document beside the answer, candidates, history."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from tieline.app.project import Project
from tieline.app.views import rules
from tieline.app.views.reading import View
from tieline.app.views.resolve import NothingFound
from tieline.app.views.words import event_words
from tieline.engine.cases import CORRECT_MAP
from tieline.engine.ports import Store
from tieline.engine.records import CaseFilter, CaseRow, CaseState, CauseGroup, Effect, RunRow
from tieline.events import CaseAssigned, CaseCommented, CaseDecided, CaseOpened, LoggedEvent
from tieline.mapping.problems import nearest

MOST_NOTES = 1_000
UNMAPPED = "unmapped"
_TOLD = (CaseOpened, CaseCommented, CaseAssigned, CaseDecided)


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """Something in the life of a case; `seq` is its event, 0 where it is none."""

    at: datetime
    words: str
    seq: int = 0


class Compared(msgspec.Struct, frozen=True):
    """A field of ours beside theirs."""

    field: str
    ours: str
    theirs: str

    @property
    def differs(self) -> bool:
        """Whether a person would call them different: case and spaces around do not count."""
        return self.ours.strip().casefold() != self.theirs.strip().casefold()


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the other system that may be meant, field by field."""

    external_id: str
    display: str
    matched_by: str
    fields: list[Compared]


class Remedy(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that a value map lacks: which map, under which key, and the known keys most like it, best first."""

    value_map: str
    key: str
    like: list[str]
    known: list[str]


class CaseFile(msgspec.Struct, frozen=True, kw_only=True):
    """`cause` is what is open of the same cause, this case included; None where nothing is open any more."""

    case: CaseRow
    deal: str
    run: RunRow | None
    effect: Effect | None
    document: list[tuple[str, str]]
    told: list[Compared]
    matches: list[Match]
    findings: list[str]
    remedy: Remedy | None
    history: list[Happened]
    cause: CauseGroup | None


async def read_case(project: Project, view: View, case_id: str, now: datetime) -> CaseFile:
    """Raises NothingFound."""
    case = await view.store.case(case_id.upper())
    if case is None:
        raise NothingFound(f"there is no case {case_id!r}")
    groups = await view.store.case_groups(CaseFilter(cause=case.cause, case_class=case.case_class), now, 1)
    return CaseFile(
        case=case,
        deal=str(case.details.get("deal") or await _deal_name(view.store, case) or case.correlation_id),
        run=await view.store.run(case.run_id) if case.run_id else None,
        effect=await _effect(view.store, case),
        document=list(leaves(case.details.get("document") or {})),
        told=list(_told_twice(case)),
        matches=[_match(case, each) for each in case.details.get("candidates", [])],
        findings=[str(found["message"]) for found in case.details.get("findings", [])],
        remedy=remedy_of(project, view, case),
        history=await _history(view.store, case),
        cause=groups[0] if groups else None,
    )


def leaves(document: Any) -> Iterator[tuple[str, str]]:
    """Every field of a document that holds a value, by the dotted path that a correction takes."""
    for path, value in rules.leaves(document):
        if value not in (None, ""):
            yield ".".join(map(str, path)), str(value)


def remedy_of(project: Project, view: View, case: CaseRow) -> Remedy | None:
    """The map that lacks an entry: the one that the cause names, else the one with the keys most like the word."""
    if CORRECT_MAP not in case.actions:
        return None
    maps = view.mappings.value_maps
    kind, _, rest = case.cause.partition(":")
    if kind == UNMAPPED:
        name, _, key = rest.partition(":")
        return _remedy(view, name, key) if name in maps else None
    key = _key(project, case.cause)
    named = _named_in(case.message)
    home = next((name for name, held in maps.items() if named and named in held.entries), "")
    likely = {name: nearest(key, held.entries, 1) for name, held in maps.items()} if key else {}
    home = home or next((name for name, near in likely.items() if near), "")
    return _remedy(view, home, key) if home and key else None


def causes_of(project: Project, value_map: str, key: str) -> list[str]:
    """The causes of cases that an entry of a value map would release: a table missed it, or a rule that names it."""
    return [f"{UNMAPPED}:{value_map}:{key}", *(f"{before}{key}" for before in _beginnings(project))]


# --- inside -----------------------------------------------------------------------------------------------------------


def _remedy(view: View, name: str, key: str) -> Remedy:
    known = list(view.mappings.value_maps[name].entries)
    return Remedy(value_map=name, key=key, like=nearest(key, known, 3), known=known)


def _key(project: Project, cause: str) -> str:
    """The word that a rule's cause is about."""
    return next((cause.removeprefix(b) for b in _beginnings(project) if cause.startswith(b)), "")


def _beginnings(project: Project) -> Iterator[str]:
    """What stands before the word that a rule's cause is about: `unknown-product:` of `unknown-product:{product}`."""
    for rule in project.validation.rules:
        before, slot, rest = rule.cause.text.partition("{")
        if slot and rest.endswith("}") and rest.count("{") == 0:
            yield before


def _named_in(message: str) -> str:
    """The nearest known word that a message proposes."""
    return message.partition("nearest: `")[2].partition("`")[0]


async def _deal_name(store: Store, case: CaseRow) -> str:
    listed = await store.listed_deals([case.correlation_id]) if case.correlation_id else []
    return listed[0].name if listed else ""


async def _effect(store: Store, case: CaseRow) -> Effect | None:
    """The document's latest revision that the system was asked to take."""
    connection, _, rest = str(case.details.get("effect", "")).partition("/")
    kind, _, ident = rest.partition("/")
    if not ident:
        return None
    canonical_id = ident.partition(" (")[0]
    found = await store.effects(connection=connection, kind=kind, canonical_id=canonical_id, newest=True, limit=1)
    return found[0] if found else None


def _told_twice(case: CaseRow) -> Iterator[Compared]:
    """An event that was told twice: field by field, what was told first and then."""
    if "known" not in case.details or "told" not in case.details:
        return
    known, told = dict(leaves(case.details["known"])), dict(leaves(case.details["told"]))
    for field in dict.fromkeys([*known, *told]):
        yield Compared(field, known.get(field, ""), told.get(field, ""))


def _match(case: CaseRow, candidate: dict[str, Any]) -> Match:
    ours = case.details.get("customer") or case.details.get("document") or {}
    address = ours.get("billing_address") or {}
    place = ", ".join(str(address[k]) for k in ("street", "city", "postal_code", "state", "country") if address.get(k))
    name = str(ours.get("name") or ours.get("number") or ours.get("title") or "")
    fields = [
        Compared("name", name, str(candidate.get("name", ""))),
        Compared("address", place, str(candidate.get("address", ""))),
        Compared("tax number", str(ours.get("tax_number") or ""), str(candidate.get("tax_number", ""))),
    ]
    return Match(
        external_id=str(candidate["external_id"]),
        display=str(candidate.get("display", "")),
        matched_by=str(candidate.get("matched_by", "")).replace("_", " "),
        fields=[field for field in fields if field.ours or field.theirs],
    )


async def _history(store: Store, case: CaseRow) -> list[Happened]:
    """Opened, escalated, talked about, given away, decided, carried out."""
    events: list[LoggedEvent] = []
    for kind in _TOLD:
        events += await store.events(type=kind.__name__, subject=case.id, limit=MOST_NOTES)
    found = [Happened(at=event.time, words=event_words(event), seq=event.seq) for event in events]
    if case.escalated_at:
        found.append(Happened(at=case.escalated_at, words=f"The deadline passed: it went to {case.escalate_to}"))
    if case.closed_at:
        words = "Carried out" if case.state is CaseState.CLOSED and case.decision else "Closed: its run ended"
        found.append(Happened(at=case.closed_at, words=words))
    return sorted(found, key=lambda one: (one.at, one.seq or 1 << 62))
