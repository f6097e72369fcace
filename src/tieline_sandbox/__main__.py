"""`python -m tieline_sandbox`: serve vendor sandboxes on loopback until told to stop.

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
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from tieline_sandbox.kernel.server import serving
from tieline_sandbox.kernel.vendor import Vendor
from tieline_sandbox.kernel.world import World

VENDORS = ("salesforce", "zuora", "netsuite", "kantata")
HIGHEST_PORT = 65_535


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status; argparse leaves with 2 by itself when an option is wrong."""
    parser = _parser()
    options = parser.parse_args(arguments)
    names = list(dict.fromkeys(options.vendor or VENDORS))
    try:
        ports = ports_of(options.port, names)
    except ValueError as error:
        parser.error(str(error))
    world = World(options.start_date, options.seed)
    vendors = [vendor_of(name, world) for name in names]
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(vendors, ports))
    except OSError as error:
        print(_explained(error, ports), file=sys.stderr)  # noqa: T201 - a command speaks on its terminal
        return 2
    return 0


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


async def _serve(vendors: Sequence[Vendor], ports: Mapping[str, int]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(vendors, ports) as urls:
        print(json.dumps(urls), flush=True)  # noqa: T201 - the line that whoever started us waits for
        await stop.wait()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not on every platform
        return None
    return uvloop.new_event_loop


def _explained(error: OSError, ports: Mapping[str, int]) -> str:
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
    return parser


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


if __name__ == "__main__":
    sys.exit(main())
