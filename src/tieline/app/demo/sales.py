"""What sales does in Salesforce, over its public API: close deals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tieline.app.demo.stage import Stage
from tieline.app.demo.world import SECRETS
from tieline.errors import TielineError

MOST_TRIES = 3


class SalesTeam:
    """Sales representatives; logs in again when the session has expired."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self._url = stage, stage.sandboxes.urls["salesforce"]
        self._token = ""

    async def win(self, opportunity_ids: Sequence[str]) -> None:
        """One save in Salesforce for several deals, as a list view does it."""
        await self.save("Opportunity", [{"Id": each, "StageName": "Closed Won"} for each in opportunity_ids])

    async def save(self, kind: str, records: Sequence[dict[str, Any]]) -> None:
        """Change records in one call, and again those that were refused. Raises TielineError when some stay so."""
        left = [{"attributes": {"type": kind}, **record} for record in records]
        for _ in range(MOST_TRIES):
            headers = {"Authorization": f"Bearer {self._token or await self._log_in()}"}
            url = f"{self._url}/services/data/v62.0/composite/sobjects"
            body = {"allOrNone": False, "records": left}
            async with self._stage.http.patch(url, json=body, headers=headers) as answer:
                if answer.status == 401:
                    self._token = ""
                    continue
                answer.raise_for_status()
                results = await answer.json()
            left = [record for record, result in zip(left, results, strict=True) if not result["success"]]
            if not left:
                return
        raise TielineError(f"the sales team could not save {len(left)} records of {kind} in Salesforce")

    async def _log_in(self) -> str:
        form = {
            "grant_type": "client_credentials",
            "client_id": "tieline",
            "client_secret": SECRETS["TIELINE_SALESFORCE_SECRET"],
        }
        async with self._stage.http.post(f"{self._url}/services/oauth2/token", data=form) as answer:
            answer.raise_for_status()
            self._token = str((await answer.json())["access_token"])
        return self._token
