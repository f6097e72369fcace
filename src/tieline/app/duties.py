"""Separation of duties: whoever made what is approved does not approve it.

A deal is made by its owner in the CRM, and by whoever decided what is written for it, in a case or in a value map.
"""

from __future__ import annotations

from typing import Any

from tieline.app.principal import NotAllowed, Principal
from tieline.engine.cases import ACCEPT, CORRECT, CREATE, LINK, SKIP
from tieline.engine.ports import Store
from tieline.engine.records import CaseRow
from tieline.events import CaseDecided, decode_event

CORRECTED_MAP = "value_map"
"""The argument of a decision that released a case by correcting a value map: which map."""
MOST_DECISIONS = 100_000
_MADE = {
    CORRECT: "corrected a document for this deal",
    LINK: "linked a record to this deal",
    CREATE: "had a record created for this deal",
    SKIP: "left a document of this deal out",
    ACCEPT: "accepted a second telling of this deal",
}
"""Decisions that change what a deal becomes. To try again does not; nor does the answer to another rule about it."""


async def require_another(store: Store, approval: CaseRow, by: Principal) -> None:
    """Raises NotAllowed for whoever made the deal, saying why and who else may decide."""
    if reason := await made_by(store, approval, by):
        raise NotAllowed(f"{reason}: {approval.id} needs somebody else who is approver or admin")


async def made_by(store: Store, approval: CaseRow, person: Principal) -> str:
    """Why this person counts as having made what the approval is about; "" where they did not."""
    owner: dict[str, Any] = approval.details.get("owner") or {}
    if _same(person, str(owner.get("name") or ""), str(owner.get("email") or "")):
        return f"{person.name} owns this deal in the CRM"
    if not approval.correlation_id:
        return ""
    decided = await store.events(
        correlation_id=approval.correlation_id, type=CaseDecided.__name__, limit=MOST_DECISIONS
    )
    for event in decided:
        decision: Any = decode_event(event)
        corrected = decision.arguments.get(CORRECTED_MAP)
        made = f"corrected the value map {corrected} for this deal" if corrected else _MADE.get(decision.action)
        if made and _same(person, decision.by, ""):
            return f"{person.name} {made} ({decision.case})"
    return ""


def _same(person: Principal, name: str, email: str) -> bool:
    """People are known by name here and often by e-mail there; an address may also be the name they sign in with.

    Of somebody at the command line no address is known: their name is held against the front of the other's, too.
    """
    mine = {text.casefold() for text in (person.name, person.email) if text}
    theirs = {text.casefold() for text in (name, email) if text}
    if email and not person.email:
        theirs.add(email.partition("@")[0].casefold())
    return not mine.isdisjoint(theirs)
