"""A database that was put back from a backup: told in the log, so that the ledger knows what it may have forgotten.

The invariant: the log goes on behind every place it ever had, so that a place never means two things.
"""

from __future__ import annotations

from tieline.engine.ports import Batch, Clock, Store
from tieline.events import StoreRestored, make_event

UNTOLD = "it is older than the one that was worked on here"
MARGIN = 1_000
"""How far the log may have been ahead of its mark when the power failed; its numbers leave room for that."""


async def notice_restore(store: Store, clock: Clock, *, by: str = "hub", reason: str = UNTOLD) -> StoreRestored | None:
    """Tell the log that it was put back, when it was and nobody told it yet."""
    if store.lost_seq is None:
        return None
    now, newest = clock.now(), await store.events(limit=1, newest=True)
    told = StoreRestored(
        backup_seq=newest[0].seq if newest else 0,
        lost_seq=store.lost_seq,
        by=by,
        reason=reason,
        restored_at=now,
    )
    event = make_event(told, source="tieline", id=f"restored/{now.isoformat()}", time=now)
    await store.commit(Batch(events=[event], log_from=store.lost_seq + MARGIN))
    return told
