"""What is wrong in settings, files or machine: the command ends with 2 and says where it is and what to do."""

from __future__ import annotations

import json
import re
import socket
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite

from tieline.app.demo.world import SECRETS
from tieline.app.template import make_project
from tieline.app.wiring import only_worker
from tieline.cli import main
from tieline.storage import migrate
from tieline.storage.migrate import bring_up_to_date

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def tieline(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; returns its exit code and all it said."""

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["tieline", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main.run()
        said = capsys.readouterr()
        code = ended.value.code
        return code if isinstance(code, int) else 0, said.out + said.err

    return run


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project as `tieline init` makes it, with its secrets in the environment and any free port."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    make_project(tmp_path / "project", port=0)
    return tmp_path / "project"


def change(project: Path, old: str, new: str, file: str = "tieline.toml") -> str:
    """Replace text in a file of the project; returns FILE:LINE of the first change."""
    path = project / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return f"{path}:{text[: text.index(old)].count(chr(10)) + 1}"


SETTINGS = {
    "a typing error": ('name = "quote-to-cash"', 'name = "quote-to-cash', r"tieline\.toml: .*line 5"),
    "an unknown key": ("poll_s = 30.0", "pol_s = 30.0", r"unknown setting 'hub\.pol_s'; did you mean 'poll_s'\?"),
    "an unknown section": ("[hub]", "[hubs]", r"unknown setting 'hubs'; did you mean 'hub'\?"),
    "a port that is a word": ("port = 0", 'port = "many"', r"\[hub\] Expected `int`, got `str`"),
    "a poll interval that is a word": ("poll_s = 30.0", 'poll_s = "often"', r"\[hub\] Expected `float`, got `str`"),
    "a secret in the file": (
        '"env:TIELINE_ZUORA_SECRET"',
        '"hunter2-in-the-file"',
        r"connections\.zuora\.client_secret is a secret and must not stand in the file",
    ),
    "an unknown connector": (
        'connector = "kantata"',
        'connector = "kantatta"',
        r"\[connections\.kantata\] there is no connector 'kantatta'; installed: kantata, netsuite, salesforce, zuora",
    ),
    "no connector at all": (
        'connector = "kantata"\n',
        "",
        r'\[connections\.kantata\] needs a line `connector = "…"`',
    ),
    "an unknown setting of a connector": (
        'client_id = "tieline"',
        'client_id = "tieline"\ncolour = "red"',
        r"\[connections\.salesforce\].* unknown settings: colour; known: .*client_secret",
    ),
    "a number where a word belongs": (
        'account = "TIELINE_SB1"',
        "account = 7",
        r"\[connections\.netsuite\] Expected `str`, got `int`.*account",
    ),
    "a poll interval of a connection that is a word": (
        'account = "TIELINE_SB1"',
        'account = "TIELINE_SB1"\npoll_s = "often"',
        r"tieline\.toml:\d+: connections\.netsuite\.poll_s must be a number of seconds",
    ),
    "a process list that is a word": (
        'database = "tieline.db"',
        'database = "tieline.db"\nprocesses = "mine"',
        r"tieline\.toml:\d+: project\.processes must be a list",
    ),
    "a process module that is not there": (
        'database = "tieline.db"',
        'database = "tieline.db"\nprocesses = ["no.such.module"]',
        r"process module 'no\.such\.module' cannot be imported",
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_mistake_in_the_settings_is_named(name: str, project: Path, tieline: Run) -> None:
    """`check` calls no system and finds it all the same; no secret is repeated."""
    old, new, sentence = SETTINGS[name]
    change(project, old, new)
    code, said = tieline("check", "--project", str(project))
    assert (code, bool(re.search(sentence, said, re.DOTALL))) == (2, True), said
    assert "Traceback" not in said
    assert "hunter2" not in said


@pytest.mark.parametrize("name", ["an unknown key", "a secret in the file", "an unknown section"])
def test_the_line_of_a_mistake_is_named(name: str, project: Path, tieline: Run) -> None:
    old, new, _ = SETTINGS[name]
    place = change(project, old, new)
    assert place in tieline("check", "--project", str(project))[1]


def test_a_missing_variable_is_named(project: Path, tieline: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIELINE_KANTATA_TOKEN")
    code, said = tieline("up", "--project", str(project))
    assert code == 2
    assert re.search(r"tieline\.toml:\d+: connections\.kantata\.token refers to \$TIELINE_KANTATA_TOKEN", said)


def test_check_needs_no_secrets(project: Path, tieline: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.delenv(name)
    code, said = tieline("check", "--project", str(project))
    assert (code, said.startswith("ok: ")) == (0, True), said


def test_an_unknown_environment_is_named(project: Path, tieline: Run) -> None:
    code, said = tieline("check", "--project", str(project), "--env", "moon")
    assert (code, "there is no [environments.moon]; known: none" in said) == (2, True), said


def test_no_project_says_how_to_make_one(tmp_path: Path, tieline: Run) -> None:
    code, said = tieline("check", "--project", str(tmp_path))
    assert (code, "make a project with `tieline init`" in said) == (2, True), said


def test_a_missing_policy_file_is_named(project: Path, tieline: Run) -> None:
    (project / "policies" / "routes.yaml").unlink()
    code, said = tieline("check", "--project", str(project))
    assert (code, f"{project / 'policies' / 'routes.yaml'}:1" in said) == (2, True), said
    assert "this file is missing; `tieline init` makes one" in said


MAPPING = """mapping: salesforce.opportunity -> contract
version: 2
owner: revops
fields:
  id: {from: Id, as: id, required: true}
  number: {from: Id}
"""


def test_a_mapping_that_misses_a_required_field_is_named(project: Path, tieline: Run) -> None:
    """With file, line and column, and the field."""
    (project / "mappings").mkdir(exist_ok=True)
    (project / "mappings" / "contract.yaml").write_text(MAPPING, encoding="utf-8")
    code, said = tieline("check", "--project", str(project))
    assert code == 2
    assert re.search(rf"{project}/mappings/contract\.yaml:\d+:\d+: .*(currency|customer)", said), said


def test_a_port_in_use_is_said(project: Path, tieline: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, said = tieline("up", "--project", str(project), "--port", str(port))
    assert (code, f"port {port} on 127.0.0.1 cannot be used" in said) == (2, True), said
    assert "set another `port` in [hub]" in said


def test_a_newer_database_is_said(project: Path, tieline: Run) -> None:
    bring_up_to_date(project / "tieline.db")
    with sqlite.connect(str(project / "tieline.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    code, said = tieline("up", "--project", str(project))
    assert (code, "was written by a newer Tieline (schema 9999" in said) == (2, True), said
    assert f"this version knows {migrate.HEAD}" in said
    assert "install that version, or restore the backup" in said


def test_a_second_hub_on_one_database_is_said(project: Path, tieline: Run) -> None:
    with only_worker(project / "tieline.db"):
        code, said = tieline("up", "--project", str(project))
    assert (code, "is worked on by another hub (process " in said) == (2, True), said
    assert "stop that one first" in said


def test_a_database_where_nothing_can_be_written_is_said(project: Path, tieline: Run) -> None:
    """/proc takes no files from anybody, root included."""
    change(project, 'database = "tieline.db"', 'database = "/proc/tieline.db"')
    code, said = tieline("up", "--project", str(project))
    assert (code, "/proc/tieline.db" in said) == (2, True), said
    assert "check the folder's owner and permissions" in said


def test_a_project_where_nothing_can_be_written_is_said(tieline: Run) -> None:
    code, said = tieline("init", "/proc/project")
    assert (code, "/proc/project cannot be written" in said) == (2, True), said


def test_a_folder_with_a_project_is_not_overwritten(project: Path, tieline: Run) -> None:
    code, said = tieline("init", str(project))
    assert (code, "holds a project already" in said) == (2, True), said


def test_a_file_that_is_no_database_is_said(project: Path, tieline: Run) -> None:
    (project / "tieline.db").write_bytes(b"these are my notes " * 200)
    code, said = tieline("cases", "--project", str(project))
    assert (code, "tieline.db" in said) == (2, True), said
    assert "check the path and permissions" in said or "restore it from a backup" in said


def test_cases_are_shown_whatever_their_words_are(project: Path, tieline: Run) -> None:
    """Messages hold paths and brackets of mapping tables; they are words, not markup."""
    bring_up_to_date(project / "tieline.db")
    words = "customer from AccountId: is required [/srv/x/opportunity.yaml:9] (owner: [revops])"
    row: dict[str, object] = {
        "id": "C-1",
        "case_class": "c",
        "cause": words,
        "state": "open",
        "owner": "revops",
        "message": words,
    }
    row |= {"next_step": words, "actions": json.dumps(["retry"]), "details": "{}", "run_id": "r", "position": 0}
    row |= {"correlation_id": "", "amount": "", "opened_at": 0, "due_at": 0, "escalate_to": "", "decision": ""}
    row |= {"decided_by": ""}
    with sqlite3.connect(project / "tieline.db") as connection:
        marks = ", ".join(f":{name}" for name in row)
        connection.execute(f'INSERT INTO "case" ({", ".join(row)}) VALUES ({marks})', row)
    for command in (["cases"], ["cases", "list", "--each"], ["cases", "show", "C-1"]):
        code, said = tieline(*command, "--project", str(project))
        assert (code, "[/srv/x/opportunity.yaml:9]" in "".join(said.split("\n")).replace(" ", " ")) == (0, True), said
