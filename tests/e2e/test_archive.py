"""Runs leave the database beside a working hub and answer as before; replays by filter write nothing; exports prove."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.e2e.test_one_deal import OPPORTUNITY, pay_one_deal
from tests.support.company import Company, company
from typer.testing import CliRunner

from tieline.cli.main import app
from tieline.errors import ConfigurationError
from tieline.storage.parquet import Frame
from tieline.storage.sqlite import SqliteStore

NATIVE = str(OPPORTUNITY["Id"])
KINDS = [("netsuite", k) for k in ("customer", "salesOrder", "invoice", "customerPayment")]
KINDS += [("zuora", "orders"), ("kantata", "workspaces"), ("salesforce", "Opportunity")]


class Played(msgspec.Struct):
    """What was seen beside the hub, in this order."""

    folder: Path
    preview: dict[str, Any]
    trace_before: dict[str, Any]
    moved: dict[str, Any]
    trace_after: dict[str, Any]
    planned: dict[str, Any]
    before: dict[str, Any]
    replayed: dict[str, Any]
    after: dict[str, Any]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return asyncio.run(_play(tmp_path_factory.mktemp("company") / "project"))


async def _play(folder: Path) -> Played:
    async with company(folder) as c:
        await pay_one_deal(c)

        async def told(*arguments: str) -> dict[str, Any]:
            found: dict[str, Any] = await asyncio.to_thread(_json, folder, *arguments)
            return found

        return Played(
            folder,
            await told("archive", "--older-than", "0d"),
            await told("trace", NATIVE),
            await told("archive", "--older-than", "0d", "--yes"),
            await told("trace", NATIVE),
            await told("replay", "--since", "2020-01-01"),
            await _counts(c),
            await told("replay", "--since", "2020-01-01", "--yes", "--wait", "--by", "ada"),
            await _counts(c),
        )


async def _counts(c: Company) -> dict[str, Any]:
    """Every document in the systems, every write of the ledger, every fact told but the requests themselves."""
    documents = {f"{vendor} {kind}": await c.sandboxes.documents(vendor, kind) for vendor, kind in KINDS}
    told = Counter(e.type for e in await c.worker.store.events(limit=10_000) if "ReplayRequested" not in e.type)
    return {"documents": documents, "told": told, "effects": await c.worker.store.count_effects()}


def _run(folder: Path, *arguments: str) -> str:
    result = CliRunner().invoke(app, [*arguments, "--project", str(folder)], env={"COLUMNS": "100"})
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def _json(folder: Path, *arguments: str) -> Any:
    return msgspec.json.decode(_run(folder, *arguments, "--json"))


# --- retention --------------------------------------------------------------------------------------------------------


def test_what_would_move_is_shown_first(played: Played) -> None:
    assert played.preview["moved"] is None
    (month,) = played.preview["months"]
    assert (month["runs"], month["entries"]) == (played.moved["moved"]["runs"], played.moved["moved"]["entries"])
    assert month["runs"] > 20


def test_a_deal_whose_runs_are_archived_is_traced_as_before(played: Played) -> None:
    assert played.trace_after == played.trace_before
    runs = [run for e in played.trace_after["timeline"] if e["event"] for run in e["event"]["runs"]]
    assert len(runs) > 10


async def test_the_tables_kept_nothing_of_them(played: Played) -> None:
    """What the hub has made since are replays; the first runs stand in files, and `runs` lists both."""
    store = SqliteStore(played.folder / "tieline.db", read_only=True)
    hot = [row.id for row in await store.ended_runs(datetime.now(UTC))]
    await store.close()
    assert all(run_id.count(":") == 2 for run_id in hot)
    listed = await asyncio.to_thread(_json, played.folder, "runs", "--limit", "500")
    assert {"quote-to-cash", "post-invoice"} <= {row["process"] for row in listed if row["id"].count(":") == 1}


def test_archived_documents_are_explained_and_the_archive_is_sound(played: Played) -> None:
    found = _json(played.folder, "explain", "netsuite", "invoice", "INV00000001", "amount")
    assert found["fields"][0]["steps"][-1]["what"] == "read from salesforce"
    check = _json(played.folder, "archive", "verify")
    assert (check["ok"], check["problems"]) == (True, [])
    assert "are as they were written" in _run(played.folder, "archive", "verify")


def test_how_old_must_be_said(played: Played) -> None:
    for arguments, words in (
        ((), "--before 2026-01-01 or --older-than 90d"),
        (("--before", "2026"), "no day"),
        (("--older-than", "90"), "no number of days"),
    ):
        result = CliRunner().invoke(app, ["archive", *arguments, "--project", str(played.folder)])
        assert isinstance(result.exception, ConfigurationError)
        assert words in str(result.exception)
    assert "no run of the database ended before" in _run(played.folder, "archive", "--before", "2001-01-01")


# --- replay -----------------------------------------------------------------------------------------------------------


def test_replaying_every_archived_run_through_the_hub_changes_nothing_anywhere(played: Played) -> None:
    """Said first; then done by the hub; then the systems, the ledger and the log are as they were."""
    assert played.planned["sends"] == 0
    assert {group["action"] for group in played.planned["groups"]} == {"nothing"}
    assert sum(group["documents"] for group in played.planned["groups"]) > 10
    asked = played.replayed["requested"]
    assert len(asked) == len(played.planned["runs"]) > 10
    assert played.replayed["stand"] == {"done": len(asked)}
    assert played.after == played.before


def test_many_runs_are_shown_in_groups_with_their_money(played: Played) -> None:
    text = _run(played.folder, "replay", "--since", "2020-01-01")
    assert "invoice: nothing to do" in text
    assert "1,500.01 USD" in text
    assert max(map(len, text.splitlines())) <= 100
    assert "quote-to-cash:2" in _run(played.folder, "replay", "--since", "2020-01-01", "--each")


# --- export -----------------------------------------------------------------------------------------------------------


def test_an_export_proves_itself(played: Played, tmp_path: Path) -> None:
    """Without the database: whole rows, exact amounts, and the chain of the log; a changed file is named."""
    folder = tmp_path / "export"
    made = _json(played.folder, "archive", "export", "--to", str(folder))
    assert {file["holds"] for file in made["files"]} == {"events", "effects", "references", "runs"}
    last_hash = _json(played.folder, "events", "--verify")["last_hash"]
    check = _json(played.folder, "archive", "verify", str(folder))
    assert (check["ok"], check["chain"]["last_hash"]) == (True, last_hash)
    changed = next(folder.glob("*/events-*.parquet"))
    changed.write_bytes(changed.read_bytes()[:-1] + b"\0")
    result = CliRunner().invoke(app, ["archive", "verify", str(folder)])
    assert result.exit_code == 1
    assert changed.name in result.stderr
    again = CliRunner().invoke(app, ["archive", "export", "--to", str(folder), "--project", str(played.folder)])
    assert "not empty" in str(again.exception)


async def test_a_forged_event_breaks_the_chain_of_an_export(played: Played, tmp_path: Path) -> None:
    """Somebody edits an amount, and the manifest too: the file agrees with it, and the chain does not."""
    from tieline.events import LoggedEvent
    from tieline.storage.archive import read_manifest, sha256_of, write_manifest

    folder = tmp_path / "export"
    await asyncio.to_thread(_json, played.folder, "archive", "export", "--to", str(folder), "--tables", "events")
    manifest, frame = read_manifest(folder), Frame(LoggedEvent)
    (file,) = manifest.files
    events = [event for page in frame.read([folder / file.name]) for event in page]
    at = next(n for n, event in enumerate(events) if b"250.00" in event.data)
    forged = msgspec.structs.replace(events[at], data=events[at].data.replace(b"250.00", b"950.00"))
    for rows, broken in (
        ([*events[:at], forged, *events[at + 1 :]], at + 1),
        ([*events[:at], *events[at + 1 :]], at + 2),
        (events[:-1], len(events)),
    ):
        frame.write(folder / file.name, rows)
        digest = sha256_of(folder / file.name)
        write_manifest(folder, msgspec.structs.replace(manifest, files=[msgspec.structs.replace(file, sha256=digest)]))
        result = await asyncio.to_thread(CliRunner().invoke, app, ["archive", "verify", str(folder), "--json"])
        assert (result.exit_code, msgspec.json.decode(result.stdout)["chain"]["broken_at"]) == (1, broken)


def test_a_month_without_anything_and_a_wrong_one(played: Played, tmp_path: Path) -> None:
    made = _json(played.folder, "archive", "export", "--to", str(tmp_path / "a"), "--month", "2001-01")
    assert made["files"] == []
    for wrong in (["--month", "2001-13"], ["--tables", "event"]):
        arguments = ["archive", "export", "--to", str(tmp_path / "b"), *wrong, "--project", str(played.folder)]
        assert isinstance(CliRunner().invoke(app, arguments).exception, ConfigurationError)
    assert not (tmp_path / "b").exists()
