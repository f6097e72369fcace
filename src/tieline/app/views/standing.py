"""Where a deal stands, in the words that the CRM shows, computed from rows that were read already."""

from __future__ import annotations

from typing import cast

from tieline.app.views.deal import DealRows
from tieline.domain import Contract
from tieline.engine.records import CaseRow, CaseState, Effect
from tieline.engine.run import Run
from tieline.events import LoggedEvent
from tieline.processes.deal_status import status_now


async def standing(rows: DealRows) -> tuple[str, str]:
    """Status and detail of the deal as of now."""
    if not rows.deal:
        return "No deal", "This record became no deal: it is not won, or it could not be read"
    status = await status_now(cast("Run", _Reader(rows)), rows.deal)
    return ((status.status or "", status.detail or "")) if status else ("Not read", "The deal itself was never read")


class _Reader:
    """The part of a run that only looks: what the status of a deal is computed from."""

    def __init__(self, rows: DealRows) -> None:
        self._rows = rows

    async def entity(self, kind: str, canonical_id: str, as_type: type[Contract]) -> Contract | None:
        return self._rows.contract

    async def effects_of_deal(self, deal: str) -> list[Effect]:
        return self._rows.effects

    async def events_of_deal(self, deal: str) -> list[LoggedEvent]:
        return [event for event in self._rows.events if event.correlation_id == deal]

    async def open_cases(self, deal: str) -> list[CaseRow]:
        return [c for c in self._rows.cases if c.state is CaseState.OPEN and c.correlation_id == deal]
