"""`tieline new connector`: what it makes can be run, says what is missing, and passes once that is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tieline.app.skeleton import make_connector
from tieline.errors import ConfigurationError

HERE = Path(__file__).parent
COUNT = re.compile(r"(\d+) (passed|failed|skipped|error)")


def run_tests(folder: Path, *options: str) -> tuple[dict[str, int], str]:
    """The tests of a connector's folder, in a Python of their own: how many came out how, and what they said."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--tb=line", *options]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env=environment, timeout=100
    )
    return {word: int(number) for number, word in COUNT.findall(done.stdout.splitlines()[-1])}, done.stdout


@pytest.fixture
def acme(tmp_path: Path) -> Path:
    make_connector("acme", tmp_path)
    return tmp_path / "tieline-acme"


def test_every_failing_test_of_a_new_connector_says_what_to_fill_in(acme: Path) -> None:
    """And the lies wait until the honest tests have something to try."""
    counts, said = run_tests(acme)
    reasons = re.findall(r"^E\s+(?:NotImplementedError|AssertionError): (.*)", said, re.MULTILINE)
    assert counts["failed"] == len(reasons)
    assert [reason for reason in reasons if not reason.startswith("fill in ")] == []
    named = {
        re.sub(r"[:,] .*|\(\).*", "", reason.removeprefix("fill in ").replace("py, ", "py ")) for reason in reasons
    }
    assert named == {
        *(f"client.py {method}" for method in ("who", "save", "by_reference", "by_ids", "changed")),
        "connector.py manifest",
        "errors.py",
    }
    assert counts["failed"] < 40
    assert counts["passed"] > 10


def test_filled_in_it_passes_the_whole_contract(acme: Path) -> None:
    """Seventy lines for the vendor's own paths, two codes, one right: nothing else is asked of the author."""
    package = acme / "src" / "tieline_acme"
    (package / "client.py").write_text((HERE / "acme_client.py.txt").read_text(encoding="utf-8"), encoding="utf-8")
    fill(
        package / "errors.py",
        "    # a row for each",
        '    "not_found": RejectedByVendor,\n    "invalid": RejectedByVendor,\n    # ',
    )
    fill(package / "connector.py", "scopes=(),", 'scopes=("customers:write",),')
    # of the lies, those about writes: the others are told to every shipped connector
    counts, said = run_tests(acme, "-k", "not no_lie or write_is_believed")
    assert "failed" not in counts, said
    assert "error" not in counts, said
    assert counts["passed"] > 50


def fill(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_another_name_leaves_no_acme_behind(tmp_path: Path) -> None:
    made = make_connector("big_erp", tmp_path)
    texts = [f"{path.relative_to(tmp_path)} {path.read_text(encoding='utf-8')}" for path in made]
    assert [text for text in texts if "acme" in text.lower()] == []
    project = tomllib.loads((tmp_path / "tieline-big-erp" / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"] == {"tieline.connectors": {"big_erp": "tieline_big_erp:CONNECTOR"}}


def test_what_is_made_is_clean(acme: Path) -> None:
    """By the rules this project holds itself to."""
    root = HERE.parents[2]
    ruff = [sys.executable, "-m", "ruff", "check", "--no-cache", "--config", str(root / "pyproject.toml")]
    done = subprocess.run(
        [*ruff, "--ignore", "I001,S101", str(acme)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["Acme", "1acme", "acme-erp", "", "../acme", "acme__erp", "salesforce"])
def test_a_name_that_cannot_be_one_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        make_connector(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(acme: Path) -> None:
    with pytest.raises(ConfigurationError, match="is there already"):
        make_connector("acme", acme.parent)
