"""`python -m tieline_sandbox`: serve vendor sandboxes, or recordings of them, on loopback until told to stop.

Prints one line of JSON, name → base URL, once all of them answer; everything else goes to stderr. Ends with 0 after
SIGTERM or SIGINT, with 2 when an option makes no sense or a port is in use.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import importlib
import json
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tieline_sandbox.kernel.branches import serve_branches
from tieline_sandbox.kernel.replaying import Replay, replay_of
from tieline_sandbox.kernel.server import listening, serving_apps
from tieline_sandbox.kernel.vendor import Vendor
from tieline_sandbox.kernel.world import World

VENDORS = ("salesforce", "zuora", "netsuite", "kantata")
HIGHEST_PORT = 65_535


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status; argparse leaves with 2 by itself when an option is wrong."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        replays = _replays(options) if options.replay else {}
        names = list(replays or dict.fromkeys(options.vendor or VENDORS))
        ports = ports_of(options.port, names)
    except ValueError as error:
        parser.error(str(error))
    try:
        certificate = _certificate(options.tls) if options.tls else None
        sockets = listening(names, ports)
    except OSError as error:
        _say(_explained(error, ports))
        return 2
    if replays:
        return _serve_replays(replays, sockets, certificate)
    world = World(options.start_date, options.seed)
    vendors = [vendor_of(name, world) for name in names]
    return serve_branches(world, vendors, sockets, _ready, _loop_factory(), certificate)


def _replays(options: argparse.Namespace) -> dict[str, Replay]:
    """The recordings to play, by vendor. Raises ValueError with a sentence for the user."""
    if options.vendor or options.seed or options.start_date:
        raise ValueError("--replay: a recording has its vendor and its time; --vendor, --seed, --start-date do not fit")
    replays: dict[str, Replay] = {}
    for file in options.replay:
        try:
            replay = replay_of(file)
        except (OSError, ValueError) as error:
            raise ValueError(f"--replay: {error}") from error
        if replay.about.vendor in replays:
            raise ValueError(f"--replay {file}: a recording of {replay.about.vendor} is given already")
        replays[replay.about.vendor] = replay
    return replays


def _serve_replays(
    replays: Mapping[str, Replay], sockets: Mapping[str, socket.socket], certificate: Path | None
) -> int:
    async def serve() -> None:
        over = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, over.set)
        async with serving_apps(replays, sockets, certificate) as urls:
            print(json.dumps(urls), flush=True)  # noqa: T201 - the line that whoever started us waits for
            await over.wait()

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve())
    return 0


def _certificate(folder: Path) -> Path:
    """A new certificate in the folder. Raises OSError with the path."""
    from tieline_sandbox.kernel import tls  # loads a cryptographic library, which takes its time

    certificate = tls.issue(folder)
    authority = (folder / tls.CA).resolve()
    _say(f"tieline_sandbox: clients trust {authority} (SSL_CERT_FILE, REQUESTS_CA_BUNDLE or NODE_EXTRA_CA_CERTS)")
    return certificate


def vendor_of(name: str, world: World) -> Vendor:
    """The sandbox of one vendor; only what is asked for gets imported."""
    vendor: Vendor = importlib.import_module(f"tieline_sandbox.{name}").Sandbox(world)
    return vendor


def ports_of(given: Iterable[str], names: Sequence[str]) -> dict[str, int]:
    """Ports by vendor from `NAME=PORT` and from a base, which numbers the vendors upward; 0 lets the system choose.

    Raises ValueError with a sentence for the user.
    """
    ports: dict[str, int] = {}
    for text in given:
        name, named, number = text.rpartition("=")
        if not number.isdecimal() or int(number) > HIGHEST_PORT:
            raise ValueError(f"--port {text}: {number!r} is not a port number")
        if not named:
            base = int(number)
            ports = {each: base + place if base else 0 for place, each in enumerate(names)} | ports
        elif name not in names:
            raise ValueError(f"--port {text}: {name!r} is not served; served are {', '.join(names)}")
        else:
            ports[name] = int(number)
    if any(port > HIGHEST_PORT for port in ports.values()):
        raise ValueError(f"--port: not enough ports above the base for {len(names)} vendors")
    return ports


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - a command speaks on its terminal


def _ready(urls: Mapping[str, str]) -> None:
    print(json.dumps(urls), flush=True)  # noqa: T201 - the line that whoever started us waits for
    if sys.stderr.isatty():
        for url in urls.values():
            _say(f"a page to look at: {url}/_sandbox/")


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not on every platform
        return None
    return uvloop.new_event_loop


def _explained(error: OSError, ports: Mapping[str, int]) -> str:
    if error.filename is not None:
        return f"tieline_sandbox: --tls: cannot write {error.filename}: {error.strerror}"
    asked = ", ".join(f"{name}={port}" for name, port in ports.items() if port)
    if error.errno == errno.EADDRINUSE:
        return (
            f"tieline_sandbox: a port of {asked} on 127.0.0.1 is in use by another program; choose others with --port"
        )
    return f"tieline_sandbox: cannot listen on 127.0.0.1 ({asked or 'any port'}): {error.strerror}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("tieline_sandbox", description="Serve vendor sandboxes on loopback.")
    parser.add_argument("--vendor", action="append", choices=VENDORS, help="one to serve; may be repeated (all)")
    parser.add_argument(
        "--port",
        action="append",
        default=[],
        metavar="NAME=PORT",
        help="the port of one vendor, or a number alone for the first, the next ones upward (0: any free port)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="for ids and chance (0)")
    parser.add_argument(
        "--start-date", type=_moment, metavar="DATE", help="the day, or moment in UTC, the clock starts at (now)"
    )
    parser.add_argument(
        "--replay",
        action="append",
        type=Path,
        metavar="FILE",
        help="answer as in this recording instead; may be repeated, one file a vendor",
    )
    parser.add_argument(
        "--tls",
        type=Path,
        metavar="FOLDER",
        help="serve https with a new certificate; clients trust the ca.pem that is written there",
    )
    return parser


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


if __name__ == "__main__":
    sys.exit(main())
