"""SQLite under the store contract, and what only a file can get wrong."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool
from tests.contracts.store_contract import StoreContract
from tests.support.engine import NOW, notified
from tests.support.rows import case_row, effect, run_row

from tieline.engine.ports import Batch
from tieline.engine.records import CaseFilter, EffectKey, EffectState, RunState
from tieline.errors import ConfigurationError
from tieline.storage import migrate, statements
from tieline.storage.schema import metadata
from tieline.storage.sqlite import SqliteStore


class TestSqliteStore(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[SqliteStore]:
        store = SqliteStore(tmp_path / "tieline.db")
        yield store
        await store.close()


async def test_what_was_committed_is_there_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "tieline.db"
    store = SqliteStore(path)
    await store.commit(Batch(events=[notified("1")], effects=[effect()]))
    await store.close()
    again = SqliteStore(path)
    assert len(await again.events_after(0)) == 1
    assert await again.find_effect(EffectKey("erp", "invoice", "zuora-INV1")) == effect()
    await again.close()


async def test_a_newer_database_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "tieline.db"
    await SqliteStore(path).close()
    with sqlite.connect(str(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match=r"newer Tieline.*9999.*install that version"):
        SqliteStore(path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tieline.db"
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(ConfigurationError, match=r"not a database|damaged"):
        SqliteStore(path)


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tieline.db"
    with sqlite.connect(str(path)) as connection:
        connection.execute("CREATE TABLE other (id)")
    with pytest.raises(ConfigurationError, match="not one of Tieline"):
        SqliteStore(path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such folder"):
        SqliteStore(tmp_path / "nowhere" / "tieline.db")


async def test_a_full_disk_is_said_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """The limit on pages stands in for the disk: SQLite answers both with the same error."""
    path = tmp_path / "tieline.db"
    store = SqliteStore(path)
    await store.commit(Batch(events=[notified("first")]))
    await store.close()
    store = SqliteStore(path)
    writer_limit = sqlite.connect(str(path))
    pages = writer_limit.execute("PRAGMA page_count").fetchone()[0]
    writer_limit.close()
    store_connect = store._transaction  # the fault is put where the disk would put it

    def limited(connection: sqlite.Connection, batches: object) -> object:
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return store_connect(connection, batches)  # type: ignore[arg-type]

    store._transaction = limited  # type: ignore[method-assign, assignment]
    big = [notified(f"{n}" + "x" * 2000) for n in range(200)]
    with pytest.raises(ConfigurationError, match="disk is full"):
        await store.commit(Batch(events=big))
    assert (await store.events_after(0))[0].subject == "crm/deal/first"
    await store.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(ConfigurationError, match="permissions"):
        SqliteStore(tmp_path / "tieline.db")


def test_the_migrations_lead_to_the_schema(tmp_path: Path) -> None:
    """What Alembic builds and what the code believes are the same tables, and HEAD is the newest revision."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    path = tmp_path / "tieline.db"
    migrate.bring_up_to_date(path)
    raw = sqlite.connect(str(path))
    engine = create_engine("sqlite://", creator=lambda: raw, module=sqlite, poolclass=StaticPool)
    with engine.connect() as connection:
        # the full-text table and what SQLite keeps behind it are no tables of the schema
        mine = {"include_name": lambda name, *_: not str(name).startswith("deal_words")}
        context = MigrationContext.configure(connection, opts=mine)
        assert context.get_current_revision() == migrate.HEAD
        assert compare_metadata(context, metadata) == []
    engine.dispose()
    raw.close()


async def test_an_older_database_has_its_deals_to_be_listed_and_its_amounts_without_commas(tmp_path: Path) -> None:
    from alembic import command
    from alembic.config import Config

    path = tmp_path / "tieline.db"
    raw = sqlite.connect(str(path))
    engine = create_engine("sqlite://", creator=lambda: raw, module=sqlite, poolclass=StaticPool)
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
    raw.execute("INSERT INTO entity VALUES ('contract', 'crm-1', 'h', x'7b7d', 'crm-1', 0)")
    raw.execute(statements.CASE.insert, statements.CASE.codec.encode(case_row(1, amount="1,234.50 EUR")))
    raw.commit()
    engine.dispose()
    raw.close()
    store = SqliteStore(path)
    (group,) = await store.case_groups(CaseFilter(), NOW)
    assert group.money == {"EUR": Decimal("1234.5")}
    assert [changed.deal for changed in await store.changed_deals(NOW + timedelta(days=10_000))] == ["crm-1"]
    await store.close()


def test_records_and_tables_have_the_same_columns_and_keys() -> None:
    """The statements are made from the records, the tables by the migrations: neither may drift."""
    tables = [t for t in vars(statements).values() if isinstance(t, statements.TableOf)]
    assert len(tables) == 14
    for table in tables:
        made = metadata.tables[table.table]
        assert set(table.codec.columns) == {c.name for c in made.columns}
        assert table.keys == tuple(c.name for c in made.primary_key)
    assert {*statements.EVENT.columns, "topic"} == {c.name for c in metadata.tables["event"].columns}


async def test_lists_go_by_the_most_telling_filter(tmp_path: Path) -> None:
    """Every filter and pair of filters names an index that SQLite can use: one it cannot use is an error there."""

    def some(*names: str) -> list[dict[str, Any]]:
        return [dict.fromkeys(chosen, "x") for number in (1, 2, 3) for chosen in combinations(names, number)]

    store = SqliteStore(tmp_path / "tieline.db")
    for filters in some("correlation_id", "connection", "kind", "external_id", "canonical_id"):
        assert await store.effects(**filters) == []
        assert await store.effects(**filters, state=EffectState.APPLIED) == []
    for filters in some("process", "key", "correlation_id"):
        assert await store.runs(**filters) == []
        assert await store.runs(**filters, states=[RunState.DONE], event_seq=1) == []
    for filters in some("correlation_id", "type", "subject"):
        assert await store.events(**filters) == []
    await store.close()


@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_kept_counts_are_what_counting_finds(data: st.DataObject) -> None:
    """Whatever comes together in a transaction: new rows, moves, moves that are not made, conflicts."""
    runs = st.builds(run_row, st.integers(1, 6), state=st.sampled_from(RunState))
    effects = st.builds(
        lambda number, state: msgspec.structs.replace(effect(), canonical_id=f"o-{number}", state=state),
        st.integers(1, 4),
        st.sampled_from(EffectState),
    )
    batches = st.lists(
        st.builds(Batch, runs=st.lists(runs, max_size=4), effects=st.lists(effects, max_size=3)), max_size=6
    )
    groups = data.draw(st.lists(batches, max_size=4))

    async def write(path: Path) -> None:
        store = SqliteStore(path)
        for group in groups:
            await asyncio.gather(*(store.commit(batch) for batch in group), return_exceptions=True)
        raw = sqlite.connect(str(path))
        counted = raw.execute("SELECT process, state, count(*) FROM run GROUP BY 1, 2").fetchall()
        assert await store.count_runs() == {(process, state): n for process, state, n in counted}
        counted = raw.execute("SELECT connection, kind, state, count(*) FROM effect GROUP BY 1, 2, 3").fetchall()
        assert await store.count_effects() == {(place, kind, state): n for place, kind, state, n in counted}
        raw.close()
        await store.close()

    with TemporaryDirectory() as folder:
        asyncio.run(write(Path(folder) / "tieline.db"))
