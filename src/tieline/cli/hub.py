"""Commands that run things: up, sandbox up."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from tieline.app.access.links import FIRST_ADMIN, FIRST_ADMIN_FOR
from tieline.app.collector import calm_collector
from tieline.app.logs import configure_logs
from tieline.app.project import Project
from tieline.cli.opening import open_project
from tieline.cli.output import AsJson, Environment, ProjectFolder, err, print_json, run
from tieline.errors import ConfigurationError

sandbox = typer.Typer(help="Vendor sandboxes on loopback, for trying and testing.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.command()(up)
    app.add_typer(sandbox, name="sandbox")


def up(
    folder: ProjectFolder = None,
    environment: Environment = "",
    port: Annotated[int | None, typer.Option(help="Another port than the project's; 0 lets the system choose.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run the hub of a project: worker, HTTP intake and sweeps, until Ctrl-C."""
    configure_logs()
    run(_up(open_project(folder, environment, secrets=True), port, as_json))


async def _up(project: Project, port: int | None, as_json: bool) -> None:
    from tieline.app.hub import running  # the web server is needed here only, and takes its time to load

    calm_collector()

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with running(project, port) as (desk, url):
        pages = project.settings.hub.public_url.rstrip("/") or url
        connections = {name: f"{url}/intake/{name}" for name in project.settings.connections}
        if as_json:
            print_json({"url": url, "pages": pages, "intake": connections, "database": str(project.settings.database)})
            sys.stdout.flush()
        err.print(f"hub of [bold]{project.settings.name}[/] is up at {url}")
        for name, address in connections.items():
            err.print(f"  {name}: webhooks to {address}")
        err.print(f"  pages: {pages}")
        if not desk.demo and not desk.access.users.has_admin():
            link = await desk.access.links.make(FIRST_ADMIN, FIRST_ADMIN_FOR)
            err.print("  nobody can sign in yet: open this link within the hour to become the admin, it works once")
            err.print(f"  {pages}/welcome/{link}", markup=False, soft_wrap=True)
        err.print("Ctrl-C stops it; `tieline status` in another window shows how it does")
        while not stop.is_set():
            if desk.worker.failure is not None:
                raise ConfigurationError(f"the hub stopped: {desk.worker.failure}") from desk.worker.failure
            try:
                await asyncio.wait_for(stop.wait(), 0.5)
            except TimeoutError:
                continue
    err.print("hub is down; runs go on where they were at the next start")


@sandbox.command("up")
def sandbox_up(
    vendor: Annotated[list[str] | None, typer.Option(help="Only this vendor; may be given several times.")] = None,
    port: Annotated[
        list[str] | None, typer.Option(help="VENDOR=PORT, or the first of the ports; 0 lets the system choose.")
    ] = None,
    replay: Annotated[
        list[Path] | None, typer.Option(help="Answer as in this recording instead; may be given once for each vendor.")
    ] = None,
    tls: Annotated[
        Path | None, typer.Option(help="Serve https; ca.pem, which clients trust, is written into this folder.")
    ] = None,
) -> None:
    """Play vendors on loopback until Ctrl-C; prints one JSON line with their addresses (8801 and up)."""
    command = [sys.executable, "-m", "tieline_sandbox"]
    command += [part for name in vendor or [] for part in ("--vendor", name)]
    command += [part for text in port or ["8801"] for part in ("--port", text)]
    command += [part for file in replay or [] for part in ("--replay", str(file))]
    command += ["--tls", str(tls)] if tls else []
    os.execv(sys.executable, command)  # noqa: S606 - our own module takes this process over, signals and all
