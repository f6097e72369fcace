"""The proof, in small: a few boundaries, a few seconds of chaos, and bugs that it must not overlook."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tieline.app.torture import every_boundary


def torture(*arguments: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "tieline", "torture", "--json", *arguments],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.stdout, done.stderr[-2000:]
    return done.returncode, json.loads(done.stdout)


async def die_at(folder: Path, name: str, seam: str) -> every_boundary.Deaths:
    plan = every_boundary.Plan(folder=folder, only=name, seam=seam, worlds=1)
    return await every_boundary.die_everywhere(plan, lambda *_: None)


@pytest.mark.timeout(300)
def test_killed_at_a_handful_of_boundaries_a_deal_is_done_once(tmp_path: Path) -> None:
    """Each death is a SIGKILL in a world of its own; the systems are asked what stands."""
    code, seen = torture("--boundaries", "--every", "120", "--seed", "5", "--folder", str(tmp_path / "worlds"))
    found = seen["boundaries"]
    assert (code, seen["lost"], seen["doubled"], seen["money_equal"]) == (0, 0, 0, True), found["deaths"]
    assert found["known"] > 200, "a whole deal has more boundaries than that"
    assert found["died"] + len(found["not_reached"]) == found["tried"] >= 2
    assert found["died"] >= 1


@pytest.mark.timeout(300)
def test_seconds_of_chaos_lose_and_double_nothing_and_a_careless_contender_is_found_out(tmp_path: Path) -> None:
    """Faults, kills and a full disk from a fixed seed; the same schedule for a program that only says yes."""
    careless = f"careless={sys.executable} {Path(__file__).with_name('torture_bugs.py')}"
    code, seen = torture(
        *("--seconds", "5", "--seed", "3", "--episode", "full-disk", "--contender", careless),
        *("--folder", str(tmp_path / "chaos"), "--report", str(tmp_path / "report")),
    )
    ours, theirs = seen["chaos"]["contenders"]
    assert (code, seen["lost"], seen["doubled"], seen["money_equal"]) == (0, 0, 0, True), (ours["wrong"], ours["told"])
    assert ours["kills"] >= 1
    assert sum(ours["struck"].values()) > 5
    assert [t["wrong"] for t in ours["told"]] == [False]
    assert ours["verdict"]["booked"] == ours["verdict"]["paid"] != {}
    assert not theirs["survived"]
    assert len(theirs["tally"]["lost"]) == theirs["tally"]["documents"] == ours["tally"]["documents"] > 5
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "Lost 0, doubled 0." in page
    assert "careless" in page
    assert json.loads((tmp_path / "report" / "report.json").read_bytes())["survived"] is True


@pytest.mark.timeout(300)
async def test_a_hub_that_sends_before_its_intention_is_durable_is_found_out(tmp_path: Path) -> None:
    """The planted bug doubles the one document whose system keeps no key of ours unique."""
    boundary = "after send project kantata"
    planted = await die_at(tmp_path / "planted", boundary, "tests.e2e.torture_bugs:forgets_intentions")
    assert not planted.survived
    assert any("doubled" in wrong and "Kantata" in wrong for death in planted.deaths for wrong in death.wrong)
