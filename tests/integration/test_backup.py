"""Backups on real files: whole beside a running store, noticed when put back, and nothing is ever written over."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.engine import NOW, notified
from tests.support.rows import effect

from tieline.app.backup import back_up, restore
from tieline.app.views.listing import ChainWalk
from tieline.app.wiring import only_worker
from tieline.engine.clock import SystemClock
from tieline.engine.ports import Batch
from tieline.engine.records import Cursor
from tieline.engine.restore import MARGIN, notice_restore
from tieline.errors import ConfigurationError
from tieline.events import StoreRestored, decode_event
from tieline.storage.copies import copy, examine
from tieline.storage.sqlite import SqliteStore


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "tieline.db"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def make_folder(path: Path) -> None:
    path.mkdir()


def overwrite(path: Path, content: bytes) -> None:
    path.write_bytes(content)


async def with_a_backup(database: Path) -> Path:
    """Two events and a write, of which the backup holds one event."""
    saved = database.with_name("saved.db")
    async with opened(database) as store:
        await store.commit(Batch(events=[notified("1")]))
        copy(database, saved)
        await store.commit(Batch(events=[notified("2")], effects=[effect()]))
    return saved


async def test_a_copy_made_beside_a_writing_store_is_whole(tmp_path: Path, database: Path) -> None:
    """All of a transaction or nothing of it, whatever is written meanwhile."""
    async with opened(database) as store:

        async def write(number: int) -> None:
            cursor = Cursor(name=f"c{number}", value="1", updated_at=NOW)
            await store.commit(Batch(events=[notified(str(number))], cursors=[cursor]))

        for round_ in range(5):
            writes = asyncio.gather(*(write(100 * round_ + n) for n in range(100)))
            contents = await asyncio.to_thread(copy, database, tmp_path / f"{round_}.db")
            await writes
            async with opened(tmp_path / f"{round_}.db") as copied:
                events = await copied.events_after(0, 1000)
                assert len(events) == contents.events == contents.last_event
                assert all([await copied.cursor(f"c{event.subject.rpartition('/')[2]}") for event in events])
    assert names(tmp_path) == {*(f"{n}.db" for n in range(5)), "tieline.db", "tieline.db.mark"}


async def test_an_older_file_in_the_place_of_the_database_is_noticed(database: Path) -> None:
    """Put back with `cp`: the mark beside it knows better, and the log tells how much is missing."""
    saved = await with_a_backup(database)
    shutil.copy(saved, database)
    async with opened(database) as store:
        assert store.lost_seq == 2
        told = await notice_restore(store, SystemClock())
        assert isinstance(told, StoreRestored)
        assert (told.backup_seq, told.lost_seq, told.by) == (1, 2, "hub")
        await store.commit(Batch(events=[notified("3")]))
        events = await store.events_after(0)
        assert [event.seq for event in events] == [1, 2 + MARGIN, 3 + MARGIN]
        assert ChainWalk().take(events) is None
    async with opened(database) as store:
        assert store.lost_seq is None


async def test_a_copy_that_lacks_no_event_but_a_write_is_noticed_too(database: Path) -> None:
    """What was sent since the backup matters, and not every write has an event."""
    async with opened(database) as store:
        await store.commit(Batch(events=[notified("1")]))
        copy(database, database.with_name("saved.db"))
        await store.commit(Batch(effects=[effect()]))
    shutil.copy(database.with_name("saved.db"), database)
    async with opened(database) as store:
        assert store.lost_seq == 1


async def test_another_history_of_the_same_length_is_noticed(database: Path) -> None:
    """An older Tieline, which keeps no mark, has worked on the copy: as many events, but others."""
    saved = await with_a_backup(database)
    mark = database.with_name("tieline.db.mark").read_bytes()
    shutil.copy(saved, database)
    async with opened(database) as store:
        await notice_restore(store, SystemClock())
        for number in range(3):
            await store.commit(Batch(events=[notified(f"other {number}")]))
    database.with_name("tieline.db.mark").write_bytes(mark)
    async with opened(database) as store:
        assert store.lost_seq is not None


async def test_a_database_that_is_gone_is_noticed(database: Path) -> None:
    """An empty file in its place is not a new beginning: the systems hold what was written."""
    await with_a_backup(database)
    shutil.move(database, database.with_name("elsewhere.db"))
    async with opened(database) as store:
        assert store.lost_seq == 2


async def test_a_command_that_writes_first_does_not_wipe_the_proof(database: Path) -> None:
    """A case decided before the hub starts again leaves the mark as it is."""
    saved = await with_a_backup(database)
    shutil.copy(saved, database)
    async with opened(database) as store:
        await store.commit(Batch(events=[notified("decision")]))
    async with opened(database) as store:
        assert store.lost_seq == 2


@pytest.mark.parametrize("torn", [b"", b'{"commits":7,"se', b"\x00" * 160])
async def test_a_torn_mark_proves_nothing(database: Path, torn: bytes) -> None:
    """A power cut may leave it so; the database is what counts."""
    await with_a_backup(database)
    database.with_name("tieline.db.mark").write_bytes(torn)
    async with opened(database) as store:
        assert store.lost_seq is None
        await store.commit(Batch(events=[notified("3")]))
    async with opened(database) as store:
        assert store.lost_seq is None


async def test_a_database_that_lives_on_is_never_behind_its_mark(database: Path) -> None:
    """Also when another process writes beside the hub, and when nobody closes anything."""
    hub, command = SqliteStore(database), SqliteStore(database)
    for number in range(20):
        await (hub if number % 3 else command).commit(Batch(events=[notified(str(number))]))
        look = SqliteStore(database)
        assert look.lost_seq is None
        await look.close()
    await command.close()
    await hub.close()


async def test_a_mark_that_cannot_be_written_fails_no_commit(database: Path) -> None:
    """The commit is on disk by then, and whoever waits for it must hear that."""
    make_folder(database.with_name("tieline.db.mark"))
    async with opened(database) as store:
        await store.commit(Batch(events=[notified("1")]))
        assert len(await store.events_after(0)) == 1


async def test_a_restore_keeps_what_it_replaces_and_tells_the_log(database: Path) -> None:
    saved = await with_a_backup(database)
    done = await restore(database, saved, by="ada", reason="the disk died")
    assert done.kept is not None
    assert examine(done.kept).events == 2
    async with opened(database) as store:
        assert store.lost_seq is None
        events = await store.events_after(0)
        told = decode_event(events[-1])
        assert isinstance(told, StoreRestored)
        assert (told.by, told.reason, told.backup_seq, told.lost_seq) == ("ada", "the disk died", 1, 2)
        assert await store.find_effect(effect().key) is None
    assert examine(saved).events == 1
    twice = await restore(database, saved, by="ada", reason="once more")
    assert twice.told.lost_seq == 2 + MARGIN


async def test_a_restore_is_refused_while_a_hub_works(database: Path) -> None:
    saved = await with_a_backup(database)
    with only_worker(database), pytest.raises(ConfigurationError, match="worked on by another hub"):
        await restore(database, saved, by="ada", reason="")
    assert examine(database).events == 2


async def test_a_damaged_backup_is_refused_and_nothing_is_touched(database: Path) -> None:
    saved = await with_a_backup(database)
    damaged = bytearray(saved.read_bytes())
    at = damaged.index(b'"native_id":"1"')
    damaged[at : at + 15] = b'"native_id":"7"'
    saved.write_bytes(damaged)
    with pytest.raises(ConfigurationError, match="event 1 is not what was recorded"):
        await restore(database, saved, by="ada", reason="")
    saved.write_bytes(b"no database at all" * 1000)
    with pytest.raises(ConfigurationError, match="cannot be read as a database"):
        await restore(database, saved, by="ada", reason="")
    assert examine(database).events == 2
    assert names(database.parent) == {"saved.db", "tieline.db", "tieline.db.mark", "tieline.db.lock"}


async def test_a_damaged_database_can_be_replaced(database: Path) -> None:
    saved = await with_a_backup(database)
    overwrite(database, b"no database any more" * 1000)
    done = await restore(database, saved, by="ada", reason="")
    assert done.kept is not None
    assert done.kept.read_bytes().startswith(b"no database any more")
    assert done.told.lost_seq == 2  # the mark remembers


async def test_nothing_is_written_over(tmp_path: Path, database: Path) -> None:
    await with_a_backup(database)
    (tmp_path / "precious.db").write_text("last year's books")
    with pytest.raises(ConfigurationError, match="nothing is written over"):
        back_up(database, tmp_path / "precious.db")
    with pytest.raises(ConfigurationError, match="is the database itself"):
        await restore(database, database, by="ada", reason="")
    with pytest.raises(ConfigurationError, match="no such file"):
        await restore(database, tmp_path / "nowhere.db", by="ada", reason="")
