"""The intake endpoint: POST /intake/{connection}. 2xx only after the events are durable."""

from __future__ import annotations

from typing import Protocol

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from tieline.app.intake import UnknownConnection
from tieline.errors import InvalidMessage, TielineError

MOST_BYTES = 2_000_000


class Receives(Protocol):
    """What the endpoint asks of the application."""

    async def receive(
        self, connection: str, headers: dict[str, str], body: bytes, query: dict[str, str]
    ) -> tuple[int, str, bytes]: ...


def intake_handlers(intake: Receives) -> list[HTTPRouteHandler]:
    """What the hub answers to everybody: webhooks, which prove themselves, and whether it is there."""

    @post("/intake/{connection:str}", status_code=200, exclude_from_csrf=True, request_max_body_size=MOST_BYTES)
    async def receive(connection: FromPath[str], request: Request[None, None, State]) -> Response[bytes]:
        """Take a webhook of a connection."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            status, media_type, answer = await intake.receive(
                connection, headers, await request.body(), dict(request.query_params)
            )
        except InvalidMessage as error:
            return _problem(400, "The message was refused", str(error))
        except UnknownConnection as error:
            return _problem(404, "There is no such connection", str(error))
        except TielineError as error:
            return _problem(503, "The message was not taken", str(error))
        return Response(answer, status_code=status, media_type=media_type)

    @get("/health")
    async def health() -> dict[str, str]:
        """Whether the hub answers."""
        return {"status": "ok"}

    return [receive, health]


def _problem(status: int, title: str, detail: str) -> Response[bytes]:
    body = msgspec.json.encode({"type": "about:blank", "title": title, "status": status, "detail": detail})
    return Response(body, status_code=status, media_type="application/problem+json")
