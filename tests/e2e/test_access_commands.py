"""`tieline users` and `tieline tokens`, beside no hub at all: the files are enough."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tieline.app.template import make_project
from tieline.cli.main import app
from tieline.errors import TielineError


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("users")
    make_project(folder)
    return folder


def told(project: Path, *command: str) -> Any:
    """What a command says with --json. Raises what it raises."""
    done = CliRunner().invoke(app, [*command, "--json", "--project", str(project)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_a_user_is_added_changed_disabled_and_let_in_again(project: Path) -> None:
    added = told(project, "users", "add", "Ada", "--role", "viewer", "--email", "ada@example.com")
    assert added["name"] == "ada"
    assert added["link"].startswith("http://127.0.0.1:8800/welcome/")
    assert told(project, "users", "roles", "ada", "--role", "steward", "--role", "approver")["roles"] == [
        "approver",
        "steward",
    ]
    assert told(project, "users", "disable", "ada")["state"] == "disabled"
    assert told(project, "users", "enable", "ada")["state"] == "no password yet"
    assert told(project, "users", "link", "ada")["link"] != added["link"]
    assert [user["name"] for user in told(project, "users")] == ["ada"]
    changes = [event["data"]["change"] for event in told(project, "events", "--type", "UserChanged")]
    assert sorted(changes) == ["added", "disabled", "enabled", "one-time link", "one-time link", "roles"]


def test_a_token_is_made_listed_without_its_secret_and_revoked(project: Path) -> None:
    told(project, "users", "add", "robot", "--role", "operator")
    with pytest.raises(TielineError, match="approve"):
        told(project, "tokens", "create", "too much", "--user", "robot", "--scope", "approve")
    made = told(project, "tokens", "create", "nightly", "--user", "robot", "--scope", "read", "--per-minute", "30")
    assert made["secret"].startswith("tl_")
    (listed,) = told(project, "tokens")
    assert (listed["id"], listed["per_minute"], listed["state"]) == (made["id"], 30, "works")
    assert made["secret"] not in json.dumps(listed)
    assert told(project, "tokens", "revoke", made["id"])["state"] == "revoked"
    assert told(project, "tokens") == []
    assert len(told(project, "tokens", "list", "--all")) == 1
