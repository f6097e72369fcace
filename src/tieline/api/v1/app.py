"""The REST API as one application, mounted at /api: its operations, what they are given, and its OpenAPI document.

The invariant: no operation is reached without a token, and none answers anything that the document does not describe.
"""

from __future__ import annotations

from typing import Any

from litestar import Litestar, Request, Router, asgi
from litestar.datastructures import State
from litestar.di import Provide
from litestar.enums import MediaType
from litestar.exceptions import HTTPException
from litestar.handlers import ASGIRouteHandler
from litestar.middleware import DefineMiddleware
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, License, SecurityScheme, Server
from litestar.types import Receive, Scope, Send

from tieline.api.v1 import cases, deals, entities, log, replays, rules, systems, work
from tieline.api.v1.answers import Answers, Once, answers_database
from tieline.api.v1.described import completed
from tieline.api.v1.operations import TOKEN, IdempotencyKey
from tieline.api.v1.problems import Refusal, address, answer
from tieline.api.v1.requests import check_request
from tieline.api.v1.tokens import Quotas, TokenAuthentication, before_send, may
from tieline.app.desk import Desk
from tieline.app.principal import Principal
from tieline.app.views.reading import View

MOUNTED_AT = "/api"
MODULES = (deals, entities, log, work, cases, replays, rules, systems)
_DESCRIPTION = """\
The use cases of the command line and the control room, for programs. Every call carries a token
(`Authorization: Bearer tl_…`); its scopes and the rights of the person it speaks for say what it may do.

Amounts are texts with a currency beside them, moments are RFC 3339 in UTC. Lists come in pages: `next` is the cursor
of the page behind. Every write takes an `Idempotency-Key`. What goes wrong is told as `application/problem+json`.
"""


def api_mount(desk: Desk) -> ASGIRouteHandler:
    """The API of a project, for the application of the hub."""
    answers = Answers(answers_database(desk.project.settings.database))
    application = _application(State({"desk": desk, "answers": answers, "quotas": Quotas()}))

    @asgi(MOUNTED_AT, is_mount=True, copy_scope=True, exclude_from_csrf=True)
    async def api(scope: Scope, receive: Receive, send: Send) -> None:
        await application(scope, receive, send)

    return api


def openapi() -> dict[str, Any]:
    """The OpenAPI document, without a project: it is the same for all."""
    application = _application(State({}))
    return completed(application, application.openapi_schema.to_schema())


def _application(state: State) -> Litestar:
    operations = Router(
        "/v1",
        route_handlers=[handler for module in MODULES for handler in module.HANDLERS],
        dependencies={
            "desk": Provide(_desk, sync_to_thread=False),
            "view": Provide(_view, sync_to_thread=False),
            "principal": Provide(_principal, sync_to_thread=False),
            "once": Provide(_once),
        },
        guards=[may],
        before_request=check_request,
        middleware=[DefineMiddleware(TokenAuthentication)],
    )
    return Litestar(
        [operations],
        state=state,
        exception_handlers={Refusal: answer, HTTPException: answer, Exception: answer},
        before_send=[before_send],
        openapi_config=_openapi_config(),
        logging_config=None,
    )


def _openapi_config() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Tieline",
        version="1",
        description=_DESCRIPTION,
        license=License(name="Apache-2.0", identifier="Apache-2.0"),
        servers=[Server(url=MOUNTED_AT)],
        components=Components(
            security_schemes={
                TOKEN: SecurityScheme(type="http", scheme="bearer", description="A token made in the control room.")
            }
        ),
        path="/schema",
        render_plugins=[_Document(path=["/", "/openapi.json"], media_type=MediaType.JSON)],
    )


class _Document(JsonRenderPlugin):
    """Serves the document with what Litestar leaves out of it; made once."""

    _made: bytes = b""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        self._made = self._made or self.render_json(request, completed(request.app, openapi_schema))
        return self._made


def _desk(state: State) -> Desk:
    desk: Desk = state.desk
    return desk


def _view(state: State) -> View:
    view: View = state.desk.view
    return view


def _principal(request: Request[Principal, str, State]) -> Principal:
    return request.user


async def _once(request: Request[Principal, str, State], state: State, idempotency_key: IdempotencyKey) -> Once:
    body = await request.body()
    return Once(state.answers, state.desk.store, request.auth, idempotency_key, address(request), body)
