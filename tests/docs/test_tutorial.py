"""The tutorial runs: every console block, in order, in an empty folder, with what it promises to print."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PORT = re.compile(r"\b880([0-4])\b")
WITHIN_S = 25.0
END = "=== end of the command: "

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="the tutorial needs curl")


class Shell:
    """One bash for the whole page, so that folders, variables and background jobs last as they do for a reader."""

    def __init__(self, folder: Path) -> None:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._bash = subprocess.Popen(
            ["bash", "--norc"],
            cwd=folder,
            env={**os.environ, "PATH": path, "COLUMNS": "160", "NO_COLOR": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str) -> tuple[str, int]:
        """What the command prints, and its exit status."""
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        self._bash.stdin.write(f"{command}\necho; echo '{END}'$?\n")
        self._bash.stdin.flush()
        lines: list[str] = []
        for line in self._bash.stdout:
            if line.startswith(END):
                return "".join(lines), int(line.removeprefix(END))
            lines.append(line)
        raise AssertionError(f"the shell ended at: {command}")

    def close(self) -> None:
        self.run("kill $HUB $SANDBOX 2>/dev/null; wait")
        assert self._bash.stdin is not None
        self._bash.stdin.close()
        self._bash.wait(10)
        assert self._bash.stdout is not None
        self._bash.stdout.close()


def test_every_command_does_what_the_page_says(tmp_path: Path) -> None:
    """A reader who types the page gets what the page shows; `…` stands for what differs from time to time."""
    base = _free_ports(5)
    shell = Shell(tmp_path)
    try:
        for language, block in FENCE.findall(PAGE):
            text = PORT.sub(lambda match: str(base + int(match[1])), block)
            if language == "python":
                name = text.splitlines()[0].removeprefix("# ")
                (tmp_path / "first" / name).write_text(text, encoding="utf-8")
            elif language == "console":
                for command, expected in _commands(text):
                    _hold(shell, command, expected)
                    _readdress(tmp_path / "first" / "tieline.toml", base)
    finally:
        shell.close()
    assert [port for port in range(base, base + 5) if _answers(port)] == [], "the page leaves something running"


def _answers(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def _hold(shell: Shell, command: str, expected: list[str]) -> None:
    """Run a command until it prints what is expected. Only commands that look are run more than once."""
    end = time.monotonic() + WITHIN_S
    while True:
        printed, status = shell.run(command)
        missing = _missing(expected, printed)
        if not missing and (status == 0 or command.startswith("kill")):
            return
        looks = re.match(r"tieline (trace|cases$|effects|explain)", command)
        if not looks or time.monotonic() > end:
            raise AssertionError(f"$ {command}\nended with {status}; not printed: {missing!r}; printed:\n{printed}")
        time.sleep(0.5)


def _missing(expected: list[str], printed: str) -> str:
    """The first expected line that is not printed behind the one before it, "" when all are."""
    lines = iter([" ".join(line.split()) for line in printed.splitlines()])
    for wanted in expected:
        if wanted.strip() == "…":
            continue
        pattern = re.compile(r"\s*.*\s*".join(re.escape(" ".join(part.split())) for part in wanted.split("…")))
        if not any(pattern.fullmatch(line) for line in lines):
            return wanted
    return ""


def _commands(block: str) -> Iterator[tuple[str, list[str]]]:
    parts = re.split(r"(?m)^\$ ", block)
    assert not parts[0].strip(), f"a console block begins with a command: {block}"
    for part in parts[1:]:
        command, *expected = part.rstrip("\n").split("\n")
        yield command, expected


def _readdress(settings: Path, base: int) -> None:
    """The project that `tieline init` made speaks to the usual ports: here to free ones."""
    if settings.is_file():
        text = settings.read_text(encoding="utf-8")
        settings.write_text(PORT.sub(lambda match: str(base + int(match[1])), text), encoding="utf-8")


def _free_ports(number: int) -> int:
    """The first of so many neighbouring ports that are free."""
    for base in range(20_000 + os.getpid() % 10_000, 60_000, number):
        sockets = [socket.socket() for _ in range(number)]
        try:
            for offset, sock in enumerate(sockets):
                sock.bind(("127.0.0.1", base + offset))
        except OSError:
            continue
        else:
            return base
        finally:
            for sock in sockets:
                sock.close()
    raise AssertionError("no free ports")
