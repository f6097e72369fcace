"""Cases: what needs a person, in the business's words, with the actions that are safe."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from tieline.engine.ports import Candidate
from tieline.engine.records import CaseRow, Effect, EffectKey
from tieline.errors import InvalidMessage, OutcomeUnknown, PermanentError, TielineError, TranslationError
from tieline.events import CaseOpened, Event, make_event
from tieline.mapping import UnmappedValue

RETRY, CORRECT, LINK, SKIP, CANCEL = "retry", "correct", "link", "skip", "cancel"
SEND_AGAIN = "send-again"
"""A person looked in the system, and what is in doubt does not stand there."""
APPROVE, REFUSE, CREATE = "approve", "refuse", "create"
CORRECT_MAP = "correct-map"
"""A value map gets an entry, then every case of the same cause is tried again."""
ACCEPT, DISMISS = "accept", "dismiss"
"""Decisions about a case that belongs to no run: they are carried out where they are recorded."""
EVENT_CONFLICT = "event-conflict"

CASE_ID_LETTERS = 10
"""Fifty bits: two cases of thirty million are hardly ever alike."""
_CROCKFORD = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789ABCDEFGHJKMNPQRSTVWXYZ")
"""Base 32 without letters that are read as digits."""
_NUMBERS = re.compile(r"[0-9A-Za-z._-]*\d[0-9A-Za-z._-]*")


class CasePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Who owns a class of cases, how long they have, and to whom it goes when they do not."""

    owner: str
    within: timedelta = timedelta(hours=24)
    escalate_to: str = ""
    next_step: str = ""


PolicyOf = Callable[[str], CasePolicy]
"""Case class → its policy; the project's catalogue."""


class Problem(msgspec.Struct, kw_only=True):
    """What a case is opened with. `cause` groups cases that share a remedy."""

    case_class: str
    cause: str
    message: str
    actions: list[str]
    details: dict[str, Any] = {}
    amount: str = ""
    policy: CasePolicy | None = None


def case_id(run_id: str, position: int, turn: int) -> str:
    """Short, stable, made from where in which run the case arose."""
    digest = hashlib.sha256(f"{run_id}/{position}/{turn}".encode()).digest()
    return "C-" + base64.b32encode(digest[:10]).decode()[:CASE_ID_LETTERS].translate(_CROCKFORD)


def case_row(
    ident: str, problem: Problem, policy: CasePolicy, now: datetime, *, run_id: str, position: int, correlation_id: str
) -> CaseRow:
    """The case a problem is opened as."""
    return CaseRow(
        id=ident,
        case_class=problem.case_class,
        cause=problem.cause,
        owner=policy.owner,
        message=problem.message,
        next_step=policy.next_step,
        actions=problem.actions,
        details=problem.details,
        run_id=run_id,
        position=position,
        correlation_id=correlation_id,
        amount=problem.amount,
        opened_at=now,
        due_at=now + policy.within,
        escalate_to=policy.escalate_to,
    )


def opened(case: CaseRow, causation_id: str) -> Event:
    """What the log says of a new case."""
    data = CaseOpened(case=case.id, case_class=case.case_class, contract=case.correlation_id, message=case.message)
    return make_event(data, source="tieline", id=f"{case.id}/opened", time=case.opened_at, causation_id=causation_id)


def told_differently(known: Event, told: Event) -> Problem:
    """An event came again under its id and says something else. `details` holds both, and all of the new one."""
    return Problem(
        case_class=EVENT_CONFLICT,
        cause=f"{told.source}: event told twice with other content",
        message=(
            f"{told.source} told {told.subject} twice under the id {told.id}, with different content; "
            "the first is kept until somebody accepts the second"
        ),
        actions=[ACCEPT, DISMISS],
        details={
            "known": msgspec.json.decode(known.data),
            "told": msgspec.json.decode(told.data),
            "event": {**msgspec.structs.asdict(told), "time": told.time.isoformat(), "data": told.data.decode()},
        },
    )


def nobody_reads(connection: str, kind: str, known: Sequence[str]) -> Problem:
    """A system tells of records that its connector cannot read: somebody set up too much there, or too little here."""
    return Problem(
        case_class="message-not-understood",
        cause=f"{connection}: nobody reads {kind}",
        message=f"{connection} tells about a {kind}, which nothing here reads; it may tell about: {', '.join(known)}",
        actions=[DISMISS],
        details={"connection": connection, "kind": kind},
    )


def unreadable(event: Event, process: str, error: Exception) -> Problem:
    """A process cannot even tell whether an event is for it: nothing runs, and nobody shall miss it."""
    return Problem(
        case_class="message-not-understood",
        cause=f"{process or 'log'}: {_without_numbers(str(error))}",
        message=f"Event {event.id} of {event.source} cannot be taken{f' by {process}' if process else ''}: {error}",
        actions=[DISMISS],
        details={"event": event.id, "source": event.source, "type": event.type, "error": type(error).__name__},
    )


def rejected(effect: Effect, document: dict[str, Any]) -> Problem:
    """The system understood the document and refused it."""
    return Problem(
        case_class=f"{effect.kind}-rejected",
        cause=f"{effect.connection}: {_without_numbers(effect.error)}",
        message=f"{effect.connection} refused {_called(effect.kind, document)}: {effect.error}",
        actions=[RETRY, CORRECT, LINK, SKIP, CANCEL],
        details={"effect": str(effect.key), "revision": effect.revision, "document": plain(document)},
        amount=_amount(document),
    )


def untranslatable(key: EffectKey, error: PermanentError, document: dict[str, Any]) -> Problem:
    """A mapping table could not make the document."""
    unmapped = isinstance(error, UnmappedValue)
    return Problem(
        case_class=f"{key.kind}-not-mapped",
        cause=unmapped_cause(error) if unmapped else f"{key.connection}: {_without_numbers(str(error))}",
        message=f"{_called(key.kind, document)} cannot be written for {key.connection}: {error}",
        actions=[RETRY, *([CORRECT_MAP] if unmapped else []), CORRECT, LINK, SKIP, CANCEL],
        details={"effect": str(key), "document": plain(document)},
        amount=_amount(document),
    )


def outcome_unknown(
    effect: Effect,
    unknown: OutcomeUnknown,
    document: dict[str, Any],
    *,
    known_as: str,
    found: Sequence[Candidate],
    can_ask: bool,
) -> Problem:
    """The system may have acted and cannot say. `known_as` is its id there, `found` what a search there shows."""
    called, there = _called(effect.kind, document), effect.connection
    sent = f" and was sent {_times(effect.attempts)}" if effect.attempts else ""
    return Problem(
        case_class="outcome-unknown",
        cause=f"{there}: outcome unknown",
        message=(
            f"It is not known whether {called} stands in {there}. It was ready to be sent on "
            f"{effect.intended_at:%Y-%m-%d at %H:%M} UTC{sent}: {effect.error}. {unknown}. "
            f"Look in {there} for {known_as or effect.canonical_id}: link it if it stands there, {SEND_AGAIN} if not"
        ),
        actions=[*([RETRY] if can_ask else []), LINK, SEND_AGAIN, SKIP, CANCEL],
        details={
            "effect": str(effect.key),
            "revision": effect.revision,
            "attempts": effect.attempts,
            "intended_at": effect.intended_at.isoformat(),
            "answer": effect.error,
            "asked": str(unknown),
            "known_as": known_as,
            "candidates": plain(found),
            "document": plain(document),
        },
        amount=_amount(document),
    )


def orphan(parent: EffectKey, within: timedelta) -> Problem:
    """A parent document never came."""
    return Problem(
        case_class="parent-missing",
        cause=f"{parent.connection}: {parent.kind} missing",
        message=f"{parent} does not stand after {within.total_seconds() / 3600:g} h, and other documents wait for it",
        actions=[RETRY, CANCEL],
        details={"effect": str(parent)},
    )


def stopped(process: str, error: BaseException) -> Problem:
    """The process itself failed: nothing more is done until somebody looks."""
    text = str(error) or type(error).__name__
    if isinstance(error, TranslationError | InvalidMessage):
        unmapped = isinstance(error, UnmappedValue)
        return Problem(
            case_class="message-not-understood",
            cause=unmapped_cause(error) if unmapped else f"{process}: {_without_numbers(text)}",
            message=text,
            actions=[RETRY, *([CORRECT_MAP] if unmapped else []), CANCEL],
        )
    name = "" if isinstance(error, TielineError) else f"{type(error).__name__}: "
    return Problem(
        case_class="process-stopped",
        cause=f"{process}: {name}{_without_numbers(text)}",
        message=f"Process {process} stopped: {name}{text}",
        actions=[RETRY, CANCEL],
        details={"error": type(error).__name__},
    )


def unmapped_cause(error: PermanentError) -> str:
    """Equal for all documents that lack the same entry of the same value map."""
    return f"unmapped:{error.value_map}:{error.key}" if isinstance(error, UnmappedValue) else ""


def plain(value: Any) -> Any:
    """A document as JSON values: amounts as text, so that nothing is rounded on the way to a person."""
    return msgspec.to_builtins(value)


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _called(kind: str, document: dict[str, Any]) -> str:
    name = document.get("number") or document.get("name") or document.get("title") or document.get("id", "")
    return f"{kind.replace('_', ' ')} {name}".strip()


def _amount(document: dict[str, Any]) -> str:
    amount = document.get("amount") or document.get("budget")
    return f"{amount['amount']} {amount['currency']}" if isinstance(amount, dict) else ""


def _without_numbers(text: str) -> str:
    """The same refusal of two documents is one cause: ids and figures do not count."""
    return _NUMBERS.sub("#", text)[:300]
