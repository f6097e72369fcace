"""The hub: the worker, the HTTP intake, the pages and the pollers in one process, for one project."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress

import structlog
import uvicorn
from litestar import Litestar
from litestar.config.csrf import CSRFConfig
from litestar.datastructures import State

from tieline.api.intake import intake_handlers
from tieline.app.access import Access, access_database
from tieline.app.archive import archive_forever
from tieline.app.desk import Desk
from tieline.app.intake import Intake, poll_forever
from tieline.app.project import Project
from tieline.app.wiring import PLAIN, Seam, only_worker, open_reader, working
from tieline.engine.lanes import cancel
from tieline.errors import ConfigurationError
from tieline.web.room import control_room

GOODBYE_S = 5
"""How long a sender that is slow may hold up the end of the hub."""

_log = structlog.get_logger("tieline.hub")


@asynccontextmanager
async def running(project: Project, port: int | None = None, seam: Seam = PLAIN) -> AsyncIterator[tuple[Desk, str]]:
    """Run the hub until the block ends; yields what its pages work with, the worker too, and its address.

    Raises ConfigurationError for a port in use, a database that cannot be used or another hub on it.
    """
    hub = project.settings.hub
    with (
        closing(_listen(hub.host, hub.port if port is None else port)) as listening,
        only_worker(project.settings.database),
    ):
        store = seam.store(project)
        reader, access = open_reader(project.settings), Access(access_database(project.settings.database))
        try:
            async with working(project, store, seam) as worker:
                desk = Desk(project, worker, reader, access)
                server = _Server(
                    uvicorn.Config(
                        application(desk, Intake(worker)),
                        log_level="warning",
                        access_log=False,
                        lifespan="off",
                        timeout_graceful_shutdown=GOODBYE_S,
                    )
                )
                tasks = [asyncio.create_task(server.serve([listening]))]
                tasks += [
                    asyncio.create_task(poll_forever(worker, connection.name, stream, connection.poll_s))
                    for connection in project.settings.connections.values()
                    for stream in worker.connection(connection.name).connector.manifest.streams
                    if connection.poll_s > 0
                ]
                if project.settings.archive.after_days:
                    tasks.append(asyncio.create_task(archive_forever(project.settings)))
                while not server.started and not tasks[0].done():  # noqa: ASYNC110 - uvicorn offers no event
                    await asyncio.sleep(0.01)  # whoever is told the address may use it
                try:
                    yield desk, f"http://{hub.host}:{listening.getsockname()[1]}"
                finally:
                    server.should_exit = True
                    for task in tasks[1:]:
                        await cancel(task)
                    with suppress(asyncio.CancelledError):
                        await tasks[0]
        finally:
            await store.close()
            await reader.close()
            await access.close()


def application(desk: Desk, intake: Intake) -> Litestar:
    """Everything that the hub answers: webhooks, pages."""
    return Litestar(
        [*intake_handlers(intake), *control_room(desk)],
        state=State({"desk": desk}),
        csrf_config=CSRFConfig(secret=desk.access.secret, cookie_name="tieline_csrf", cookie_samesite="lax"),
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
