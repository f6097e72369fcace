"""Kantata OX's REST API: projects by id and by external reference. Returns wire types; knows no canonical entity.

Source: Kantata OX API 1.0.0, "Response Format": `{"count", "results": [{"key", "id"}], "workspaces": {id: {…}}}`,
where `results` holds the order and the keyed objects the content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from tieline.connectors.kantata import errors
from tieline.connectors.kantata.settings import KantataSettings
from tieline.connectors.kantata.wire import SERVICE_MODEL, SERVICE_NAME, ExternalReference, Workspace
from tieline.connectors.sdk import Answer, Session, TokenAuth
from tieline.errors import OutcomeUnknown, VendorUnavailable

PATH = "/api/v1/workspaces"
MAX_PAGE = 200
MAX_IDS = 100
_INCLUDE = {"include": "external_references"}


class KantataClient:
    """One account. Reads raise VendorUnavailable where a write would leave its outcome unknown."""

    def __init__(self, settings: KantataSettings) -> None:
        self._session = Session(
            settings.url, TokenAuth(settings.token), errors.from_answer, timeout_s=settings.timeout_s
        )

    async def close(self) -> None:
        await self._session.close()

    # reading

    async def by_ids(self, ids: Sequence[str]) -> dict[str, Workspace]:
        """Projects by id, archived ones too."""
        known = [i for i in dict.fromkeys(ids) if i.isdigit()]
        found: dict[str, Workspace] = {}
        for start in range(0, len(known), MAX_IDS):
            for workspace in await self._all({"only": ",".join(known[start : start + MAX_IDS])}):
                found[workspace["id"]] = workspace
        return found

    async def by_references(self, references: Sequence[str]) -> dict[str, list[Workspace]]:
        """Projects by our external reference, oldest first; more than one where somebody copied a reference."""
        wanted = list(dict.fromkeys(references))
        found: dict[str, list[Workspace]] = {reference: [] for reference in wanted}
        for start in range(0, len(wanted), MAX_IDS):
            params = {
                "external_reference_service_name": SERVICE_NAME,
                "external_reference_service_model": SERVICE_MODEL,
                "external_reference_service_model_refs": ",".join(wanted[start : start + MAX_IDS]),
            }
            for workspace in await self._all(params):
                # a filter that the vendor passes over in silence must not make every project ours
                for reference in our_references(workspace):
                    if reference in found:
                        found[reference].append(workspace)
        return found

    async def count(self) -> int:
        """How many projects the token's user sees."""
        return int((await self._page({"per_page": "1"})).get("count", 0))

    # writing

    async def create(self, workspace: Mapping[str, Any]) -> Workspace:
        """A new project with its external reference, in one call. A repetition makes a second one."""
        return await self._write("POST", PATH, workspace)

    async def update(self, workspace_id: str, workspace: Mapping[str, Any]) -> Workspace:
        return await self._write("PUT", f"{PATH}/{workspace_id}", workspace)

    # inside

    async def _write(self, method: str, path: str, workspace: Mapping[str, Any]) -> Workspace:
        answer = await self._session.request(
            method, path, writes=True, params=_INCLUDE, json={"workspace": dict(workspace)}
        )
        saved = _workspaces(_decoded(answer))
        if len(saved) != 1:
            raise OutcomeUnknown(f"Kantata answered with {len(saved)} projects instead of one")
        return saved[0]

    async def _all(self, params: Mapping[str, str]) -> list[Workspace]:
        found: list[Workspace] = []
        query = {**params, **_INCLUDE, "include_archived": "true", "order": "created_at:asc"}
        for number in range(1, 1_000):
            page = await self._page({**query, "per_page": str(MAX_PAGE), "page": str(number)})
            workspaces = _workspaces(page)
            found += workspaces
            if not workspaces or len(found) >= int(page.get("count", 0)):
                return found
        raise VendorUnavailable("Kantata answered with pages without end")

    async def _page(self, params: Mapping[str, str]) -> dict[str, Any]:
        try:
            return _decoded(await self._session.request("GET", PATH, writes=False, params=params))
        except OutcomeUnknown as error:
            raise VendorUnavailable(str(error)) from error


def our_references(workspace: Workspace) -> list[str]:
    """The canonical ids this project is tied to."""
    return [
        str(reference.get("service_model_ref"))
        for reference in workspace.get("external_references") or []
        if (reference.get("service_name"), reference.get("service_model")) == (SERVICE_NAME, SERVICE_MODEL)
    ]


def _decoded(answer: Answer) -> dict[str, Any]:
    try:
        body = answer.json()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise OutcomeUnknown("Kantata answered with something else than JSON") from error
    if not isinstance(body, dict):
        raise OutcomeUnknown("Kantata answered with something else than an object")
    return body


def _workspaces(body: Mapping[str, Any]) -> list[Workspace]:
    """The projects in the order of `results`, each with its references in place of their ids."""
    keyed, references = body.get("workspaces") or {}, body.get("external_references") or {}
    found = []
    for result in body.get("results") or []:
        if result.get("key") == "workspaces" and result.get("id") in keyed:
            workspace = dict(keyed[result["id"]])
            ids = workspace.get("external_reference_ids") or []
            workspace["external_references"] = [
                cast("ExternalReference", references[i]) for i in ids if i in references
            ]
            found.append(cast("Workspace", workspace))
    return found
