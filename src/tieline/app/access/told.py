"""What the event log is told about access, before it is so.

The invariant: no event of these holds a secret, nor what somebody typed where a user's name belongs.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import UTC, datetime

from tieline.app.principal import Role
from tieline.engine.ports import Batch, Store
from tieline.events import EventData, UserChanged, make_event

SOURCE = "access"


async def tell(store: Store, data: EventData) -> None:
    """Append an event; returns when it is on disk."""
    id_ = f"{type(data).__name__}/{data.subject()}/{secrets.token_hex(8)}"
    await store.commit(Batch(events=[make_event(data, source=SOURCE, id=id_, time=datetime.now(UTC))]))


def user_changed(user: str, change: str, roles: Collection[Role], by: str) -> UserChanged:
    """What a user is now."""
    return UserChanged(user=user, change=change, roles=[role.value for role in Role if role in roles], by=by)
