"""The hub: the worker, the HTTP intake, the pages and the pollers in one process, for one project."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from typing import Any

import uvicorn
from litestar import Litestar
from litestar.config.csrf import CSRFConfig
from litestar.datastructures import State
from litestar.exceptions import NotFoundException

from tieline.api.intake import intake_handlers
from tieline.api.metrics import metrics_handlers
from tieline.api.v1.app import api_mount
from tieline.app.access import Access, access_database
from tieline.app.alerts.channels import Sender
from tieline.app.alerts.watch import Watch
from tieline.app.archive import archive_forever
from tieline.app.deals import list_deals_forever
from tieline.app.desk import Desk
from tieline.app.intake import Intake, poll_forever
from tieline.app.project import Project
from tieline.app.telemetry import tracing
from tieline.app.wiring import PLAIN, Seam, only_worker, open_reader, working
from tieline.engine.lanes import cancel
from tieline.errors import ConfigurationError
from tieline.web.headers import secure_headers
from tieline.web.room import control_room, no_such_page, site_of
from tieline.web.session import CSRF, cookie_name

GOODBYE_S = 5
"""How long a sender that is slow may hold up the end of the hub."""


@asynccontextmanager
async def running(project: Project, port: int | None = None, seam: Seam = PLAIN) -> AsyncIterator[tuple[Desk, str]]:
    """Run the hub until the block ends; yields what its pages work with, the worker too, and its address.

    Raises ConfigurationError for a port in use, a database that cannot be used or another hub on it.
    """
    hub = project.settings.hub
    with (
        closing(_listen(hub.host, hub.port if port is None else port)) as listening,
        only_worker(project.settings.database),
        tracing(project, seam) as seam,
    ):
        store = seam.store(project)
        reader, access = open_reader(project.settings), Access(access_database(project.settings.database))
        try:
            async with working(project, store, seam) as worker:
                desk = Desk(project, worker, reader, access)
                server = _server(desk)
                serving = asyncio.create_task(server.serve([listening]))
                url = f"http://{hub.host}:{listening.getsockname()[1]}"
                beside = [asyncio.create_task(work) for work in _beside(desk, url)]
                while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn offers no event
                    await asyncio.sleep(0.01)  # whoever is told the address may use it
                try:
                    yield desk, url
                finally:
                    desk.closing.set()
                    await desk.board.close()
                    server.should_exit = True
                    for task in beside:
                        await cancel(task)
                    with suppress(asyncio.CancelledError):
                        await serving
        finally:
            await store.close()
            await reader.close()
            await access.close()


def _server(desk: Desk) -> _Server:
    return _Server(
        uvicorn.Config(
            application(desk, Intake(desk.worker)),
            log_level="warning",
            access_log=False,
            lifespan="off",
            forwarded_allow_ips=list(desk.project.settings.hub.proxies),
            timeout_graceful_shutdown=GOODBYE_S,
        )
    )


def _beside(desk: Desk, url: str) -> Iterator[Coroutine[Any, Any, None]]:
    """What goes on beside the worker as long as the hub is up."""
    settings, worker = desk.project.settings, desk.worker
    for connection in settings.connections.values():
        if connection.poll_s > 0:
            for stream in worker.connection(connection.name).connector.manifest.streams:
                yield poll_forever(worker, connection.name, stream, connection.poll_s)
    yield desk.chain.follow()
    yield list_deals_forever(desk.store, desk.view.store)
    if settings.archive.after_days:
        yield archive_forever(settings)
    if settings.alerts.people:
        sender = Sender(project=settings.name, url=settings.hub.public_url.rstrip("/") or url)
        yield Watch(desk.project, desk.store, worker.clock, sender).forever()


def application(desk: Desk, intake: Intake) -> Litestar:
    """Everything that the hub answers: webhooks, the API, pages."""
    hub, site = desk.project.settings.hub, site_of(desk)
    return Litestar(
        [*intake_handlers(intake), *metrics_handlers(desk), api_mount(desk), *control_room(desk, site)],
        exception_handlers={NotFoundException: no_such_page(site)},
        state=State({"desk": desk}),
        csrf_config=CSRFConfig(
            secret=desk.access.secret,
            cookie_name=cookie_name(desk, CSRF),
            cookie_samesite="lax",
            cookie_httponly=True,
            cookie_secure=hub.secure,
        ),
        before_send=[secure_headers(hub)],
        openapi_config=None,
        logging_config=None,
    )


def _listen(host: str, port: int) -> socket.socket:
    # a named protocol: without it asyncio leaves TCP_NODELAY unset, and answers wait 40 ms
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise ConfigurationError(
            f"port {port} on {host} cannot be used ({error.strerror}); "
            "stop what holds it, or set another `port` in [hub]"
        ) from error
    return sock


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs the loop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
