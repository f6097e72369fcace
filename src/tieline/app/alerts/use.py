"""What people ask about alerts: what stands and who was told, whether a way works, and who has no way."""

from __future__ import annotations

from datetime import datetime

import msgspec

from tieline.app.alerts.channels import Sender, Undelivered, open_channel
from tieline.app.alerts.memory import Message
from tieline.app.alerts.post import DEFAULT, recipient_of
from tieline.app.alerts.watch import remembered, standing_now
from tieline.app.outbound import AlertSettings
from tieline.app.project import Project
from tieline.engine.ports import Store
from tieline.errors import TielineError


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """A recipient of a concern, and when they were told; None for not yet."""

    recipient: str
    told_at: datetime | None


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Something that stands, and who heard of it. `for_people` are the owners of the catalogue that it is for."""

    title: str
    since: datetime
    facts: tuple[str, ...]
    path: str
    for_people: tuple[str, ...]
    heard: tuple[Heard, ...]


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One way to a person, and what its other side answered."""

    way: str
    taken: bool
    answer: str


async def list_alerts(project: Project, store: Store, now: datetime) -> list[Alert]:
    """What stands now, and who was told of it."""
    memory = await remembered(store)
    told = {(t.key, t.recipient): t.told_at for t in memory.told if memory.seen.get(t.key) == t.first_seen_at}
    found = []
    for concern in await standing_now(project, store, now):
        if not concern.people:
            continue  # all of it was escalated, and stands under that name
        recipients = sorted({recipient_of(project.settings.alerts, person) for person in concern.people} - {""})
        found.append(
            Alert(
                title=concern.title,
                since=concern.since,
                facts=concern.facts,
                path=concern.path,
                for_people=concern.people,
                heard=tuple(Heard(recipient=r, told_at=told.get((concern.key, r))) for r in recipients),
            )
        )
    return found


async def try_ways(settings: AlertSettings, to: str, sender: Sender, now: datetime) -> list[Tried]:
    """Send a test over every way to a person. Raises TielineError for somebody the settings do not name."""
    if to not in settings.people:
        known = ", ".join(sorted(settings.people)) or "nobody"
        raise TielineError(f"[alerts.people] does not name {to!r}; it names: {known}")
    message = Message(recipient=to, at=now, id=f"test-{int(now.timestamp())}")
    tried = []
    for way in settings.people[to]:
        try:
            answer, taken = await open_channel(way, settings).send(message, sender), True
        except Undelivered as error:
            answer, taken = str(error), False
        tried.append(Tried(way=way, taken=taken, answer=answer))
    return tried


def unheard(project: Project) -> list[str]:
    """A sentence about owners that the settings of alerts do not name, where they name anybody."""
    settings = project.settings.alerts
    if not settings.people or not (owners := _unnamed(project)):
        return []
    where = f"go to '{DEFAULT}'" if DEFAULT in settings.people else f"reach nobody ([alerts.people] has no {DEFAULT!r})"
    return [f"[alerts.people] does not name {', '.join(owners)}: alerts for them {where}"]


def _unnamed(project: Project) -> list[str]:
    """Owners of the catalogue and those it escalates to, approvers included."""
    catalogue = project.catalogue
    owners = {name for process in catalogue.processes.values() for name in (process.owner, process.escalate_to)}
    owners |= {name for case in catalogue.cases.values() for name in (case.owner, case.escalate_to)}
    owners |= {name for rule in project.approvals.rules for name in (rule.approver, rule.escalate_to)}
    return sorted(owners - {""} - set(project.settings.alerts.people))
