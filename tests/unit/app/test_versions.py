"""`tieline processes`, `tieline runs move` and `tieline check` on a project whose process is changed in mid-run."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.engine import notified, until_idle, working
from tests.support.fake_system import FakeSystem
from tests.support.versions import TITLED, changed, loaded

from tieline.app.template import make_project
from tieline.cli import main
from tieline.storage.sqlite import SqliteStore

SECOND = changed(('return "first"', 'return "second"'))
Tieline = Callable[..., Any]


class Site:
    """A project's folder, its hub's lives, and the system that its process writes to."""

    def __init__(self, root: Path) -> None:
        self.root, self.erp = root, FakeSystem()
        self.file = root / "processes" / "titled.py"

    def change(self, text: str) -> str:
        """Write the process file as an editor does; returns the version that a fresh `tieline` finds there."""
        return loaded(self.file, text)[0].version

    def live(self, *told: str, kind: str = "deal") -> None:
        """One life of the project's worker."""
        asyncio.run(self._live(told, kind))

    async def _live(self, told: tuple[str, ...], kind: str) -> None:
        store = SqliteStore(self.root / "tieline.db")
        processes = loaded(self.file, self.file.read_text()) if self.file.exists() else []
        async with working(store, processes, self.erp) as worker:
            await worker.append([notified(name, kind=kind) for name in told])
            await until_idle(worker)
        await store.close()

    @property
    def titles(self) -> dict[str, str]:
        return {key: copies[-1]["title"] for (_, key), copies in sorted(self.erp.documents.items())}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    make_project(tmp_path / "project", port=0)
    return Site(tmp_path / "project")


@pytest.fixture
def tieline(site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tieline:
    """Run a command on the project; with --json returns what it says, else its text. It must succeed."""

    def run(*arguments: str) -> Any:
        monkeypatch.setattr(sys, "argv", ["tieline", *arguments, "--project", str(site.root)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main.run()
        said = capsys.readouterr()
        assert ended.value.code in (0, None), said.err
        return json.loads(said.out) if "--json" in arguments else said.out + said.err

    return run


def test_a_changed_process_is_listed_noted_and_its_runs_are_moved(site: Site, tieline: Tieline) -> None:
    """The whole way of an operator: change, check, look, move, and see what became of it."""
    first = site.change(TITLED)
    site.live("1", "2")
    second = site.change(SECOND)

    noted = tieline("check", "--json")
    (behind,) = noted["on_earlier_versions"]
    assert (behind["process"], behind["version"], behind["runs"]) == ("titled", first, 2)
    assert "titled has changed: 2 runs in flight" in noted["notes"][0]
    lines = [line for line in tieline("processes", "--json") if line["process"] == "titled"]
    assert [(line["version"], line["current"], line["runs"]) for line in lines] == [
        (second, True, 0),
        (first, False, 2),
    ]

    plan = tieline("runs", "move", "--process", "titled", "--json")
    assert [(run["run"], run["fits"], run["next"]) for run in plan["runs"]] == [
        ("titled:1", True, "wait VendorNotified:crm/reply/1"),
        ("titled:2", True, "wait VendorNotified:crm/reply/2"),
    ]
    assert plan["requested"] == []
    asked = tieline("runs", "move", "--run", "titled:1", "--yes", "--by", "ada", "--reason", "title", "--json")
    assert asked["requested"] == ["titled:1"]

    site.live("1", "2", kind="reply")
    assert site.titles == {"p-1": "second", "p-2": "first"}
    told = [event["words"] for event in tieline("events", "--json") if "Move" in event["type"]]
    assert told == [
        f'ada asked to move titled:1 to version {second}: "title"',
        f"titled:1 goes on with version {second}, no longer {first}",
    ]


def test_a_run_that_does_not_fit_is_shown_with_the_reason_and_not_asked_for(site: Site, tieline: Tieline) -> None:
    site.change(TITLED)
    site.live("1")
    site.change(changed(("step(look,", "step(peek,"), ("def look(", "def peek(")))
    said = " ".join(tieline("runs", "move", "--process", "titled", "--yes").split())
    assert "0 runs can move, 1 stays 1 stays: the run did step 'look' there; it wants" in said
    assert "asked for" not in said
    site.live("1", kind="reply")
    assert site.titles == {"p-1": "first"}


def test_a_process_that_left_the_project_is_noted_and_finishes(site: Site, tieline: Tieline) -> None:
    site.change(TITLED)
    site.live("1")
    site.file.unlink()
    assert "1 run of titled in flight" in tieline("check")
    site.live("1", kind="reply")
    assert site.titles == {"p-1": "first"}


def test_before_anything_has_happened_the_current_versions_are_listed(site: Site, tieline: Tieline) -> None:
    lines = tieline("processes", "--json")
    assert {line["process"] for line in lines} >= {"quote-to-cash", "post-invoice"}
    assert all(line["current"] and line["runs"] == 0 for line in lines)
    assert not (site.root / "tieline.db").exists()
