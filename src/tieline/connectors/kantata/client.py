"""Kantata OX's REST API: projects by id and by external reference, time entries.

Returns wire types; knows no canonical entity.

Source: Kantata OX API 1.0.0, "Response Format": `{"count", "results": [{"key", "id"}], "workspaces": {id: {…}}}`,
where `results` holds the order and the keyed objects the content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from tieline.connectors.kantata import errors
from tieline.connectors.kantata.settings import MAX_PAGE, KantataSettings
from tieline.connectors.kantata.wire import SERVICE_MODEL, SERVICE_NAME, ExternalReference, TimeEntry, Workspace
from tieline.connectors.sdk import Answer, Session, TokenAuth, every, parts
from tieline.errors import OutcomeUnknown, VendorUnavailable

PATH = "/api/v1/workspaces"
TIME_PATH = "/api/v1/time_entries"
MAX_IDS = 100
_INCLUDE = {"include": "external_references"}


class KantataClient:
    """One account. Reads raise VendorUnavailable where a write would leave its outcome unknown."""

    def __init__(self, settings: KantataSettings) -> None:
        self._session = Session(
            settings.url, TokenAuth(settings.token), errors.from_answer, timeout_s=settings.timeout_s
        )
        self.usage = self._session.usage
        self.recent = self._session.recent

    async def close(self) -> None:
        await self._session.close()

    # reading

    async def by_ids(self, ids: Sequence[str]) -> dict[str, Workspace]:
        """Projects by id, archived ones too."""
        found: dict[str, Workspace] = {}
        for some in parts((i for i in ids if i.isdigit()), MAX_IDS):
            for workspace in await self._all({"only": ",".join(some)}):
                found[workspace["id"]] = workspace
        return found

    async def by_references(self, references: Sequence[str]) -> dict[str, list[Workspace]]:
        """Projects by our external reference, oldest first; more than one where somebody copied a reference."""
        found: dict[str, list[Workspace]] = {reference: [] for reference in references}
        for some in parts(references, MAX_IDS):
            params = {
                "external_reference_service_name": SERVICE_NAME,
                "external_reference_service_model": SERVICE_MODEL,
                "external_reference_service_model_refs": ",".join(some),
            }
            for workspace in await self._all(params):
                # a filter that the vendor passes over in silence must not make every project ours
                for reference in our_references(workspace):
                    if reference in found:
                        found[reference].append(workspace)
        return found

    async def time_by_ids(self, ids: Sequence[str]) -> dict[str, TimeEntry]:
        found: dict[str, TimeEntry] = {}
        for some in parts((i for i in ids if i.isdigit()), MAX_IDS):
            page = await self._page({"only": ",".join(some), "per_page": str(MAX_PAGE)}, TIME_PATH)
            found |= {entry["id"]: entry for entry in _time_entries(page)}
        return found

    async def time_changed(self, since: str, page: int, size: int) -> tuple[list[TimeEntry], bool]:
        """A page of the entries changed after `since` ("" for all), oldest change first, and whether there is more."""
        query = {"order": "updated_at:asc", "per_page": str(size), "page": str(page)}
        told = await self._page(query | ({"updated_after": since} if since else {}), TIME_PATH)
        entries = _time_entries(told)
        more = (page - 1) * size + len(entries) < told["count"]
        if more and not entries:
            raise VendorUnavailable("Kantata answered with an empty page and says that there is more")
        return entries, more

    async def count(self) -> int:
        """How many projects the token's user sees."""
        return int((await self._page({"per_page": "1"}))["count"])

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
        query = {**params, **_INCLUDE, "include_archived": "true", "order": "created_at:asc"}

        async def read(place: tuple[int, int]) -> tuple[list[Workspace], tuple[int, int] | None]:
            number, before = place
            page = await self._page({**query, "per_page": str(MAX_PAGE), "page": str(number)})
            workspaces = _workspaces(page)
            so_far = before + len(workspaces)
            return workspaces, (number + 1, so_far) if workspaces and so_far < page["count"] else None

        return await every("Kantata", (1, 0), read)

    async def _page(self, params: Mapping[str, str], path: str = PATH) -> dict[str, Any]:
        try:
            page = _decoded(await self._session.request("GET", path, writes=False, params=params))
        except OutcomeUnknown as error:
            raise VendorUnavailable(str(error)) from error
        if not isinstance(page.get("results"), list) or not isinstance(page.get("count"), int):
            # an answer without results is not "no results": a project would be opened a second time
            raise VendorUnavailable("Kantata answered a query without results")
        return page


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


def _time_entries(body: Mapping[str, Any]) -> list[TimeEntry]:
    """In the order of `results`."""
    keyed = body.get("time_entries") or {}
    return [cast("TimeEntry", keyed[one["id"]]) for one in body["results"] if one.get("id") in keyed]
