"""RESTlets: two scripts that this account has deployed, and how NetSuite answers for scripts that fail.

`customscript_files` keeps the file cabinet: GET `folder` or `id`, POST {name, folder, contents}, DELETE `id`.
`customscript_save` saves a list of records of one type: POST {type, records}.
A script has 5,000 units to spend. One that runs out is stopped where it stands: what it has saved stays saved.
Errors are 400 with {"error": {"code", "message"}}, the concurrency limit included; a caught one is a 200.
Sources: Oracle help "SuiteScript 2.x RESTlet Error Handling" (section_4634920277), "SuiteScript Governance and Limits"
(a transaction costs 20 units to save, any other record 10, a file 20).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from tieline_sandbox.kernel.app import json_response
from tieline_sandbox.netsuite.errors import NetSuiteError, request_limit_as_400
from tieline_sandbox.netsuite.fields import SPECS
from tieline_sandbox.netsuite.requests import json_body
from tieline_sandbox.netsuite.store import Record

if TYPE_CHECKING:
    from tieline_sandbox.netsuite.model import Account

PATH = "/app/site/hosting/restlet.nl"
FOLDERS = {"-15": "SuiteScripts", "-10": "Attachments Received", "1": "Integration"}
_FILE_UNITS = 20
_KEPT_STATUSES = frozenset({401, 403, 404, 405, 415, 503})
Script = Callable[[Request, "Meter"], Awaitable[Any]]


class Meter:
    """The units one execution may spend."""

    def __init__(self, units: int) -> None:
        self.left = units

    def spend(self, units: int) -> None:
        self.left -= units
        if self.left < 0:
            raise NetSuiteError(400, "SSS_USAGE_LIMIT_EXCEEDED", "Script Execution Usage Limit Exceeded")


class Restlets:
    """The account's deployed scripts and its file cabinet."""

    def __init__(self, account: Callable[[], Account]) -> None:
        self._account = account
        self._scripts: dict[str, Script] = {"customscript_files": self._files, "customscript_save": self._save}
        self.reset()

    def reset(self) -> None:
        self.files: dict[str, Record] = {}

    async def handle(self, request: Request) -> Response:
        script = self._scripts.get(request.query_params.get("script", ""))
        if script is None or not request.query_params.get("deploy"):
            detail = "That Suitelet is invalid, disabled, or no longer exists."
            raise NetSuiteError(404, "SSS_INVALID_SCRIPTLET_ID", detail)
        if request.method == "GET" and await request.body():
            raise NetSuiteError(400, "INVALID_RETURN_DATA_FORMAT", "A GET request must not have a body.")
        return json_response(await script(request, Meter(self._account().settings.restlet_units)))

    async def _files(self, request: Request, meter: Meter) -> Any:
        meter.spend(_FILE_UNITS)
        query = request.query_params
        if request.method == "POST":
            return self._put(await json_body(request))
        if request.method == "DELETE":
            return {"deleted": self._file(query.get("id", ""), pop=True)["id"]}
        if folder := query.get("folder"):
            inside = [file for file in self.files.values() if file["folder"] == folder]
            return [{name: file[name] for name in ("id", "name", "size")} for file in inside]
        return self._file(query.get("id", ""))

    def _put(self, body: Any) -> Record:
        if not isinstance(body, dict) or not body.get("name"):
            raise NetSuiteError(400, "SSS_MISSING_REQD_ARGUMENT", "file.create: Missing a required argument: name")
        folder = str(body.get("folder", ""))
        if folder not in FOLDERS:
            raise NetSuiteError(400, "INVALID_KEY_OR_REF", f"Invalid folder reference key {folder}.")
        contents = str(body.get("contents", ""))
        # A file that is saved under a name its folder holds already takes that file's place, and its id.
        held = next((f for f in self.files.values() if (f["folder"], f["name"]) == (folder, body["name"])), None)
        file_id = held["id"] if held else str(1000 + len(self.files))
        self.files[file_id] = {"id": file_id, "name": str(body["name"]), "folder": folder, "contents": contents}
        self.files[file_id]["size"] = len(contents.encode())
        return {"id": file_id}

    def _file(self, file_id: str, *, pop: bool = False) -> Record:
        if file_id not in self.files:
            raise NetSuiteError(400, "RCRD_DSNT_EXIST", "That record does not exist.")
        return self.files.pop(file_id) if pop else self.files[file_id]

    async def _save(self, request: Request, meter: Meter) -> Any:
        body = await json_body(request) if request.method == "POST" else None
        given = body if isinstance(body, dict) else {}
        kind, records = str(given.get("type")), given.get("records")
        if kind not in SPECS or not isinstance(records, list):
            raise NetSuiteError(400, "SSS_MISSING_REQD_ARGUMENT", "record.create: Missing a required argument: type")
        ids = []
        for record in records:
            meter.spend(20 if SPECS[kind].family == "transaction" else 10)
            ids.append(self._account().create(kind, record)[0].id)
        return {"ids": ids, "unitsLeft": meter.left}


def as_restlet(refusal: NetSuiteError) -> Response:
    """The same refusal as a RESTlet says it: nearly everything is a 400."""
    if refusal.status == 429:
        refusal = request_limit_as_400()
    status = refusal.status if refusal.status in _KEPT_STATUSES else 400
    message = refusal.detail.removeprefix("Error while accessing a resource. ")
    return json_response({"error": {"code": refusal.code, "message": message}}, status, refusal.headers)
