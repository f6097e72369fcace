"""`tieline connectors`: what people and programs read about connectors, also about those of others and broken ones."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tieline.app.project import installed_connectors
from tieline.cli import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tieline(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; returns its exit code, standard output and standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tieline", *arguments])
        with pytest.raises(SystemExit) as ended:
            main.run()
        said = capsys.readouterr()
        code = ended.value.code
        return code if isinstance(code, int) else 0, said.out, said.err

    return run


def package(folder: Path, name: str, source: str) -> None:
    """An installed package that offers a connector."""
    (folder / f"tieline_{name}.py").write_text(source, encoding="utf-8")
    info = folder / f"tieline_{name}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tieline-{name}\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(
        f"[tieline.connectors]\n{name} = tieline_{name}:CONNECTOR\n", encoding="utf-8"
    )


def test_the_list_says_of_each_object_how_it_is_written_and_why_that_is_safe(tieline: Run) -> None:
    code, said, _ = tieline("connectors", "--json")
    listed = {one["name"]: one for one in msgspec.json.decode(said)}
    assert code == 0
    assert set(listed) == set(installed_connectors())
    objects = {one["kind"]: one for one in listed["netsuite"]["objects"]}
    assert [(o["action"], o["safety"], o["bulk"]) for o in objects["order"]["writes"]] == [
        ("ensure", "external-id upsert", 1),
        ("withdraw", "native key", 1),
    ]
    assert objects["customer"]["found"]
    assert listed["zuora"]["scopes"]
    assert listed["zuora"]["streams"] == ["invoices", "credit_memos", "payments", "subscriptions"]


def test_one_connector_is_shown_whole(tieline: Run) -> None:
    code, said, _ = tieline("connectors", "show", "salesforce")
    assert code == 0
    for word in ("opportunity", "deal_status", "won_opportunities", "rights its credentials need", "slots"):
        assert word in said


def test_a_connector_nobody_installed_is_told_with_those_that_are(tieline: Run) -> None:
    code, _, said = tieline("connectors", "show", "frobnicate")
    assert code == 2
    assert "kantata, netsuite, salesforce, zuora" in said


@pytest.mark.parametrize(
    ("source", "reason"),
    [("import nobody_made_this", "cannot be loaded: ModuleNotFoundError"), ("CONNECTOR = 1", "is no ConnectorType")],
)
def test_a_broken_package_of_somebody_else_is_named(
    tieline: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, reason: str
) -> None:
    """A traceback would blame Tieline for it."""
    name = f"broken{len(source)}"
    package(tmp_path, name, source)
    monkeypatch.syspath_prepend(tmp_path)
    code, _, said = tieline("connectors")
    assert code == 2
    assert name in said
    assert reason in said


def test_a_new_connector_is_made_where_it_is_wanted(tieline: Run, tmp_path: Path) -> None:
    code, said, _ = tieline("new", "connector", "acme", "--folder", str(tmp_path), "--json")
    made = msgspec.json.decode(said)
    assert code == 0
    assert made["folder"] == str(tmp_path / "tieline-acme")
    assert all((tmp_path / "tieline-acme" / name).is_file() for name in made["files"])
    assert tieline("new", "connector", "acme", "--folder", str(tmp_path))[0] == 2
