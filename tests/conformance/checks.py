"""What the three client scripts share: named checks, the lines they print, and the sandbox's control API.

Standard library only: the scripts run in the environment of the client they drive, where nothing of ours is installed.
A check is a function that takes the session made by the script's `connect(url)`; it passes when it returns.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import json
import sys
import traceback
import urllib.request
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, TypeVar

Check = TypeVar("Check", bound=Callable[[Any], Any])


class Sandbox:
    """The control API of one served vendor."""

    def __init__(self, url: str) -> None:
        self.url = url

    def order(self, path: str, content: Any) -> Any:
        """POST to `/_sandbox/<path>`. Raises urllib.error.HTTPError when the sandbox refuses."""
        body = json.dumps(content).encode()
        request = urllib.request.Request(f"{self.url}/_sandbox/{path}", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/_sandbox/{path}", timeout=20) as answer:
            return json.load(answer)

    def reset(self, **seeds: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
        """Empty the vendor and store `seeds`, kind by kind; returns them as stored."""
        self.order("reset", {})
        return {kind: self.order("seed", {kind: records})[kind] for kind, records in seeds.items()}


class Suite:
    """The checks of one client, in the order they were written."""

    def __init__(self, vendor: str, package: str) -> None:
        self.vendor, self.package = vendor, package
        self._checks: list[Callable[[Any], Any]] = []

    def check(self, function: Check) -> Check:
        self._checks.append(function)
        return function

    def main(self, connect: Callable[[str], Any], arguments: Sequence[str] | None = None) -> int:
        """Run all checks against `--url`; 0 when every one passed."""
        options = _options(arguments)
        with asyncio.Runner() as runner:
            try:
                session = connect(options.url)
            except Exception as error:  # noqa: BLE001 - the report says what stopped the client
                failures = {"connects": _reason(error)}
            else:
                failures = {check.__name__: self._run(check, session, runner) for check in self._checks}
        failed = {_title(name): reason for name, reason in failures.items() if reason}
        passed = [_title(name) for name, reason in failures.items() if not reason]
        if options.json:
            client = f"{self.package} {version(self.package)}"
            print(json.dumps({"vendor": self.vendor, "client": client, "passed": passed, "failed": failed}))
        else:
            for name, reason in failures.items():
                print(f"{'FAIL' if reason else 'ok  '}  {self.vendor}  {_title(name)}{': ' if reason else ''}{reason}")
            print(f"{len(passed)} passed, {len(failed)} failed")
        return 1 if failed else 0

    def _run(self, check: Callable[[Any], Any], session: Any, runner: asyncio.Runner) -> str:
        """Empty when the check passed, else what went wrong and where."""
        try:
            outcome = check(session)
            if inspect.iscoroutine(outcome):
                runner.run(outcome)
        except Exception as error:  # noqa: BLE001 - whatever a client raises is a failed check, and the next one runs
            return _reason(error)
        return ""


def _reason(error: Exception) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.endswith("_client.py")]
    text = " ".join(str(error).split())[:1000]
    return f"{type(error).__name__}: {text} ({frames[-1].line if frames else 'in the harness'})"


def raised(kind: type[BaseException], call: Callable[[], Any]) -> Any:
    """The exception of exactly the client's own `kind` that `call` raised. Raises AssertionError when it did not."""
    try:
        answer = call()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was expected, the client returned {answer!r}")


def _title(name: str) -> str:
    return name.replace("_", " ")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--url", required=True, help="where the sandbox is served, e.g. http://127.0.0.1:8400")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a line a check")
    return parser.parse_args(arguments)
