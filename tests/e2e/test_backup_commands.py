"""`tieline backup` and `tieline restore` as an operator types them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.engine import notified

from tieline.app.template import make_project
from tieline.app.wiring import only_worker
from tieline.cli import main
from tieline.engine.ports import Batch
from tieline.storage.sqlite import SqliteStore

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tieline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in a project; returns its exit code, what it printed and what it said."""
    make_project(tmp_path / "project")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tieline", *arguments, "--project", str(tmp_path / "project")])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main.run()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


async def append(database: Path, number: str) -> None:
    store = SqliteStore(database)
    await store.commit(Batch(events=[notified(number)]))
    await store.close()


def test_a_backup_is_made_put_back_and_told(tmp_path: Path, tieline: Run) -> None:
    import asyncio

    database, saved = tmp_path / "project" / "tieline.db", tmp_path / "saved.db"
    asyncio.run(append(database, "1"))
    code, printed, _ = tieline("backup", "--to", str(saved), "--json")
    assert (code, json.loads(printed)["last_event"]) == (0, 1)
    code, _, said = tieline("backup", "--to", str(saved))
    assert (code, "nothing is written over" in said) == (2, True)
    asyncio.run(append(database, "2"))
    with only_worker(database):
        code, _, said = tieline("restore", str(saved))
    assert (code, "worked on by another hub" in said) == (2, True)
    code, printed, _ = tieline("restore", str(saved), "--by", "ada", "--reason", "the disk died", "--json")
    done = json.loads(printed)
    assert (code, done["backup_seq"], done["lost_seq"], done["by"]) == (0, 1, 2, "ada")
    assert Path(done["kept"]).is_file()
    assert "each follows from the one before" in tieline("events", "--verify")[1]
    assert "ada restored the database" in " ".join(tieline("events")[1].split())
