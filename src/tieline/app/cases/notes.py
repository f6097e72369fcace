"""What people do with a case before they decide it: they talk about it, and give it to each other."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from tieline.app.cases.deciding import NotDecidable
from tieline.app.principal import PEOPLE, Permission, Principal
from tieline.engine.cases import APPROVE
from tieline.engine.ports import Batch, Store
from tieline.engine.records import CaseRow, CaseState
from tieline.events import CaseAssigned, CaseCommented, Event, make_event


async def comment(store: Store, case: CaseRow, text: str, *, by: Principal) -> None:
    """Say something about a case; approvers may about an approval, too. Raises NotAllowed, NotDecidable."""
    may_approve = APPROVE in case.actions and by.may(Permission.APPROVE)
    by.require(Permission.APPROVE if may_approve else Permission.OPERATE)
    if not text.strip():
        raise NotDecidable("a comment needs words")
    now = datetime.now(UTC)
    data = CaseCommented(case=case.id, contract=case.correlation_id, by=by.name, text=text.strip())
    await store.commit(Batch(events=[_about(case, data, "commented", now)]))


async def assign(store: Store, case: CaseRow, owner: str, *, by: Principal, reason: str = "") -> None:
    """Give an open case to somebody: a person by name, or a team. Raises NotAllowed, NotDecidable."""
    by.require(Permission.OPERATE)
    case = await store.case(case.id) or case  # as it stands now, not as a page showed it
    if case.state is not CaseState.OPEN:
        raise NotDecidable(f"case {case.id} is {case.state} already: {case.decision} by {case.decided_by}")
    if not owner.strip():
        raise NotDecidable("name somebody to give the case to")
    now = datetime.now(UTC)
    data = CaseAssigned(
        case=case.id, contract=case.correlation_id, owner=owner.strip(), before=case.owner, by=by.name, reason=reason
    )
    given = msgspec.structs.replace(case, owner=owner.strip())
    await store.commit(Batch(events=[_about(case, data, "assigned", now)], cases=[given]))


def _about(case: CaseRow, data: CaseCommented | CaseAssigned, what: str, now: datetime) -> Event:
    ident = f"{case.id}/{what}/{data.by}/{now.isoformat()}"
    return make_event(data, source=PEOPLE, id=ident, time=now, causation_id=f"{case.id}/opened")
