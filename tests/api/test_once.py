"""Idempotency keys: the same request is carried out once, whatever happens to its answer."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from litestar import Response

from tieline.api.v1.answers import Answers, Once
from tieline.api.v1.problems import Refusal
from tieline.app.principal import NotAllowed
from tieline.engine.ports import Batch
from tieline.errors import ConcurrencyConflict, StoreFailed, TielineError, VendorUnavailable
from tieline.events import StoreRestored, make_event
from tieline.storage.memory import MemoryStore


class Deed:
    """Something that must not be done twice."""

    def __init__(self) -> None:
        self.done = 0
        self.error: Exception | None = None
        self.begun, self.gate = asyncio.Event(), asyncio.Event()
        self.gate.set()

    async def __call__(self) -> dict[str, int]:
        self.begun.set()
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.done += 1
        return {"done": self.done}


class Desk:
    """A file of answers and a log, and requests as they come."""

    def __init__(self, folder: Path) -> None:
        self.path, self.store = folder / "api.db", MemoryStore()
        self.answers = Answers(self.path)

    async def ask(self, deed: Deed, *, key: str = "k1", token: str = "t1", body: bytes = b"{}") -> Response[object]:
        return await Once(self.answers, self.store, token, key, "/api/v1/replays", body)(deed)

    def restart(self) -> None:
        self.answers = Answers(self.path)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_a_repeated_request_is_answered_as_before_and_does_nothing(desk: Desk) -> None:
    """Also after a restart; the answer says that it is an old one."""
    deed = Deed()
    first = await desk.ask(deed)
    desk.restart()
    again = await desk.ask(deed)
    assert (deed.done, again.content, again.status_code) == (1, first.content, 200)
    assert again.headers["Idempotent-Replayed"] == "true"


async def test_another_key_or_another_token_is_another_request(desk: Desk) -> None:
    deed = Deed()
    for key, token in (("k1", "t1"), ("k2", "t1"), ("k1", "t2")):
        await desk.ask(deed, key=key, token=token)
    assert deed.done == 3


async def test_a_key_that_came_with_another_body_is_refused(desk: Desk) -> None:
    deed = Deed()
    await desk.ask(deed)
    with pytest.raises(Refusal) as refused:
        await desk.ask(deed, body=b'{"other": 1}')
    assert (refused.value.kind, deed.done) == ("key-reused", 1)


async def test_two_at_once_are_one(desk: Desk) -> None:
    """The second is told to wait, and gets the answer of the first when it comes back."""
    deed = Deed()
    deed.gate.clear()
    first = asyncio.create_task(desk.ask(deed))
    await deed.begun.wait()
    with pytest.raises(Refusal) as refused:
        await desk.ask(deed)
    deed.gate.set()
    assert (await first).content == (await desk.ask(deed)).content
    assert (refused.value.kind, refused.value.headers, deed.done) == ("key-in-use", {"Retry-After": "1"}, 1)


async def test_a_refusal_is_kept_too(desk: Desk) -> None:
    """What was refused stays refused under its key, though it might be done by now."""
    deed = Deed()
    deed.error = ConcurrencyConflict("somebody else decided")
    first = await desk.ask(deed)
    deed.error = None
    assert ((await desk.ask(deed)).content, first.status_code, deed.done) == (first.content, 409, 0)


@pytest.mark.parametrize("error", [VendorUnavailable("down"), NotAllowed("no"), StoreFailed("full")], ids=repr)
async def test_where_nothing_was_done_the_key_stays_free(desk: Desk, error: TielineError) -> None:
    deed = Deed()
    deed.error = error
    with pytest.raises(type(error)):
        await desk.ask(deed)
    deed.error = None
    assert (await desk.ask(deed)).status_code == 200


async def test_a_request_whose_key_cannot_be_kept_is_not_carried_out(tmp_path: Path) -> None:
    """A full or read-only disk: nothing is done that might be done again."""
    desk, deed = Desk(tmp_path / "not there"), Deed()
    with pytest.raises(StoreFailed, match=r"not there/api\.db"):
        await desk.ask(deed)
    assert deed.done == 0


async def test_a_request_that_was_cut_short_is_not_guessed_about(desk: Desk) -> None:
    """The hub broke, or was killed, between the deed and its answer: nobody says that it was done or not."""
    deed = Deed()
    deed.error = RuntimeError("killed here")
    with pytest.raises(RuntimeError):
        await desk.ask(deed)
    deed.error = None
    desk.restart()
    with pytest.raises(Refusal) as refused:
        await desk.ask(deed)
    assert (refused.value.kind, deed.done) == ("outcome-unknown", 0)


async def test_an_answer_from_before_a_restore_proves_nothing(desk: Desk) -> None:
    """The books were put back to a state in which the deed may not have happened."""
    deed = Deed()
    await desk.ask(deed)
    now = datetime.now(UTC)
    told = StoreRestored(backup_seq=1, lost_seq=2, by="ada", restored_at=now)
    await desk.store.commit(Batch(events=[make_event(told, source="tieline", id="r", time=now)]))
    with pytest.raises(Refusal) as refused:
        await desk.ask(deed)
    assert refused.value.kind == "outcome-unknown"
