"""`make conformance`: other people's clients judge our sandboxes, and all they said is held against the contracts.

Each client runs in an environment of its own under `.venv-conformance/` (made once, made anew when its requirements
change); the sandboxes run in this project's, as one separate process. Ends with 0 when every check passed and every
difference from a contract is explained in `deviations.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
ENVIRONMENTS = ROOT / ".venv-conformance"
VENDORS = ("salesforce", "zuora", "netsuite")
START = "2026-03-10T12:00:00"
READY_S, CLIENT_S, PIP_S = 20, 120, 180

if TYPE_CHECKING:
    from tests.conformance.contracts import Report


class Failed(Exception):
    """What kept a part of the run from being done, as a sentence."""


class Verdict(NamedTuple):
    """What one client found, and what the contract says; `trouble` is empty unless something could not be run."""

    vendor: str
    client: str = ""
    passed: Sequence[str] = ()
    failed: Mapping[str, str] = MappingProxyType({})
    report: Report | None = None
    trouble: str = ""

    @property
    def good(self) -> bool:
        return bool(self.passed) and not self.failed and not self.trouble and not (self.report and self.report.unknown)


def main() -> int:
    sys.path.insert(0, str(ROOT))
    options = _options()
    vendors = tuple(dict.fromkeys(options.vendor or VENDORS))
    started = time.monotonic()
    try:
        # two at a time: making an environment is work for the processor as much as for the network
        with serving(vendors) as urls, ThreadPoolExecutor(2) as pool:
            verdicts = list(pool.map(lambda vendor: judge(vendor, urls[vendor]), vendors))
    except Failed as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 1
    for verdict in verdicts:
        tell(verdict)
    summarise(verdicts, time.monotonic() - started)
    return 0 if all(verdict.good for verdict in verdicts) else 1


def judge(vendor: str, url: str) -> Verdict:
    """Drive one client with recording on, then hold what was recorded against the contract."""
    from tests.conformance.contracts import Contract, find

    try:
        python = environment(vendor)
        control(url, "record", {"bodies": True})
        result = run_client(python, vendor, url)
        entries = control(url, "requests?last=5000")["requests"]
        path = find(vendor)
        report = Contract.load(vendor, path).judge(entries) if path else None
    except (Failed, OSError, subprocess.SubprocessError) as error:
        return Verdict(vendor, trouble=str(error))
    return Verdict(vendor, result["client"], result["passed"], result["failed"], report)


def environment(vendor: str) -> Path:
    """The Python of the client's environment, made when it is not there or was made for other requirements.

    Raises Failed with the last words of pip.
    """
    folder = ENVIRONMENTS / vendor
    python, stamp = folder / "bin/python", folder / "made-for.txt"
    wanted = f"{sys.version}\n{requirements(vendor).read_text()}"
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"making the environment of the {vendor} client …", flush=True)
    ENVIRONMENTS.mkdir(exist_ok=True)
    (ENVIRONMENTS / ".gitignore").write_text("*\n")
    _step([sys.executable, "-m", "venv", "--clear", str(folder)])
    _step(
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(requirements(vendor))]
    )
    stamp.write_text(wanted)
    return python


def requirements(vendor: str) -> Path:
    return HERE / f"requirements-{vendor}.txt"


def run_client(python: Path, vendor: str, url: str) -> dict[str, Any]:
    """What the client's script reports. Raises Failed when it reports nothing."""
    command = [str(python), "-W", "ignore", "-m", f"tests.conformance.{vendor}_client", "--url", url, "--json"]
    done = subprocess.run(
        command, cwd=ROOT, env=_clean(), capture_output=True, text=True, timeout=CLIENT_S, check=False
    )
    try:
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise Failed(f"the {vendor} client ended without a report: {_last_words(done.stderr)}") from None
    return result


@contextmanager
def serving(vendors: Sequence[str]) -> Iterator[dict[str, str]]:
    """The sandboxes in a process of their own; yields name → base URL. Raises Failed when they do not come up."""
    chosen = [option for vendor in vendors for option in ("--vendor", vendor)]
    command = [sys.executable, "-m", "tieline_sandbox", *chosen, "--port", "0", "--start-date", START]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        ready, _, _ = select.select([process.stdout], [], [], READY_S)
        line = process.stdout.readline() if ready else ""
        if not line:
            raise Failed("the sandboxes did not start; their words are above")
        yield json.loads(line)
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def control(url: str, path: str, order: Any = None) -> Any:
    """Ask the sandbox's control API (GET), or order something of it (POST)."""
    body = None if order is None else json.dumps(order).encode()
    request = urllib.request.Request(f"{url}/_sandbox/{path}", body)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def tell(verdict: Verdict) -> None:
    """Everything that is not as it should be, and every deviation with its reason."""
    print(f"\n{verdict.vendor}: {verdict.client or 'no client'}")
    if verdict.trouble:
        print(f"  FAIL  {verdict.trouble}")
        return
    for check in verdict.passed:
        print(f"  ok    {check}")
    for check, reason in verdict.failed.items():
        print(f"  FAIL  {check}: {reason}")
    if verdict.report is None:
        print("  the published contract is not beside this project: what was recorded could not be held against it")
        return
    for finding, times in verdict.report.unknown.most_common():
        print(f"  FAIL  unexplained, {times} times: {finding}")
    for deviation, times in verdict.report.known.most_common():
        print(f"  known {times:4} × {deviation.reason}")


def summarise(verdicts: Sequence[Verdict], took_s: float) -> None:
    columns = "{:<11} {:>13} {:>11} {:>10} {:>7} {:>18} {:>12}"
    print(
        "\n"
        + columns.format(
            "vendor", "checks passed", "operations", "exchanges", "bodies", "known deviations", "unexplained"
        )
    )
    for verdict in verdicts:
        checks = f"{len(verdict.passed)} of {len(verdict.passed) + len(verdict.failed)}"
        report = verdict.report
        counts = ["-"] * 5
        if report is not None:
            explained = f"{len(report.known)} ({report.known.total()} times)"
            numbers = (len(report.operations), report.exchanges, report.bodies, explained, report.unknown.total())
            counts = [str(number) for number in numbers]
        print(columns.format(verdict.vendor, checks, *counts))
    passed, failed = (
        sum(len(one) for one in part) for part in zip(*((v.passed, v.failed) for v in verdicts), strict=True)
    )
    word = "conforms" if all(verdict.good for verdict in verdicts) else "does not conform"
    if not all(verdict.report for verdict in verdicts):
        word += " as far as it was checked (no contracts)"
    print(f"\n{passed} passed, {failed} failed; {word}; {took_s:.0f} s")


def _step(command: Sequence[str]) -> None:
    done = subprocess.run(command, env=_clean(), capture_output=True, text=True, timeout=PIP_S, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(command[:4])} … failed: {_last_words(done.stderr)}")


def _last_words(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "(it said nothing)"


def _clean() -> dict[str, str]:
    """Our surroundings without what would lead one environment into another."""
    return {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Judge the sandboxes by other people's clients and contracts.")
    parser.add_argument("--vendor", action="append", choices=VENDORS, help="one to judge; may be repeated (all)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
