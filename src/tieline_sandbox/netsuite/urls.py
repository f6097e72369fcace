"""The paths of the account: /services/rest, and the one of RESTlets. The host is the same for both here."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tieline_sandbox.netsuite.auth import TOKEN_PATH
from tieline_sandbox.netsuite.errors import NetSuiteError
from tieline_sandbox.netsuite.handlers import Handlers
from tieline_sandbox.netsuite.jobs import JOBS
from tieline_sandbox.netsuite.metadata import CATALOG, catalog
from tieline_sandbox.netsuite.render import RECORDS
from tieline_sandbox.netsuite.restlets import PATH as RESTLET

EVERY_METHOD = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def routes(handlers: Handlers) -> list[BaseRoute]:
    governed = handlers.governed
    metadata = catalog(handlers.account)
    record = f"{RECORDS}/{{kind}}/{{id}}"
    return [
        Route(TOKEN_PATH, handlers.token, methods=["POST"]),
        Route(CATALOG, governed(metadata), methods=["GET"]),
        Route(f"{CATALOG}/{{kind}}", governed(metadata), methods=["GET"]),
        Route(f"{RECORDS}/{{kind}}", governed(handlers.collection), methods=EVERY_METHOD),
        Route(f"{record}/!transform/{{target}}", governed(handlers.transform), methods=["POST"]),
        Route(record, governed(handlers.record), methods=["GET", "PUT", "PATCH", "DELETE"]),
        Route(f"{record}/{{sublist}}", governed(handlers.sublist), methods=["GET"]),
        Route(f"{record}/{{sublist}}/{{line:int}}", governed(handlers.sublist), methods=["GET"]),
        Route("/services/rest/query/v1/suiteql", governed(handlers.suiteql), methods=["POST"]),
        Route(f"{JOBS}/{{job}}", governed(handlers.job), methods=["GET"]),
        Route(f"{JOBS}/{{job}}/task", governed(handlers.tasks), methods=["GET"]),
        Route(f"{JOBS}/{{job}}/task/", governed(handlers.tasks), methods=["GET"]),
        Route(f"{JOBS}/{{job}}/task/{{task}}", governed(handlers.task), methods=["GET"]),
        Route(f"{JOBS}/{{job}}/task/{{task}}/result", governed(handlers.result), methods=["GET"]),
        Route("/services/rest/system/v1/governanceLimits", governed(handlers.governance_limits), methods=["GET"]),
        Route(RESTLET, handlers.restlet(), methods=["GET", "POST", "PUT", "DELETE"]),
        Route("/services/{rest:path}", governed(nowhere), methods=EVERY_METHOD),
    ]


async def nowhere(request: Request) -> Response:
    """A path or method that the account does not know."""
    known = any(part in request.url.path for part in (f"{RECORDS}/", "/query/v1/suiteql", JOBS))
    if known:
        raise NetSuiteError(405, "METHOD_NOT_ALLOWED", f"The {request.method} method is not allowed for this resource.")
    raise NetSuiteError(404, "NONEXISTENT_ID", "Resource not found.", where={"o:errorUrl": request.url.path})
