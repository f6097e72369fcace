"""`python -m tieline_sandbox`: what whoever starts it relies on."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tieline_sandbox.__main__ import VENDORS, ports_of

COMMAND = [sys.executable, "-m", "tieline_sandbox"]


@contextmanager
def started(*options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The process and what its first line said; killed at the end if it still runs."""
    process = subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def ask(url: str, path: str) -> Any:
    with urllib.request.urlopen(f"{url}/_sandbox/{path}", timeout=5) as answer:
        return json.load(answer)


def test_one_line_says_where_each_vendor_is_and_a_signal_ends_it() -> None:
    """All are served by one process whose clock begins where it was told to; SIGTERM is a normal end."""
    with started("--port", "0", "--start-date", "2026-01-10") as (process, urls):
        assert list(urls) == list(VENDORS)
        for name, url in urls.items():
            health = ask(url, "health")
            assert health["vendor"] == name
            assert health["now"].startswith("2026-01-10T00:00:")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_a_port_in_use_ends_with_2_and_a_sentence() -> None:
    """Nothing is served then, not even the vendors whose ports are free."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        options = ["--vendor", "kantata", "--port", f"kantata={port}"]
        done = subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"kantata={port} on 127.0.0.1 is in use" in done.stderr


def test_ports_are_given_by_name_by_base_or_left_to_the_system() -> None:
    assert ports_of([], VENDORS) == {}
    assert ports_of(["0"], ["zuora", "netsuite"]) == {"zuora": 0, "netsuite": 0}
    assert ports_of(["8400"], ["zuora", "netsuite"]) == {"zuora": 8400, "netsuite": 8401}
    assert ports_of(["8400", "zuora=9000"], ["zuora", "netsuite"]) == {"zuora": 9000, "netsuite": 8401}


@pytest.mark.parametrize("given", ["x", "zuora=", "zuora=70000", "kantata=1", "65535"])
def test_a_port_that_makes_no_sense_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="--port"):
        ports_of([given], ["zuora", "netsuite"])
