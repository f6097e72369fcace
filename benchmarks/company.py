"""The example company on loopback with deals to win, and what its systems' own request logs say afterwards.

The stage is that of the demonstration; a fresh one for every contender, so that all win the same deals.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from benchmarks.programs import OURS, group
from tieline.app.demo.deals import Deal, load, make_sales
from tieline.app.demo.director import OPENS_ON
from tieline.app.demo.world import RECURRING, SECRETS, SERVICES, SUBSIDIARIES, USAGE, Sandboxes, furnish

VENDORS = ("salesforce", "zuora", "netsuite", "kantata")
LARGEST_WITHOUT_APPROVAL = Decimal(250_000)
AT_ONCE = 50
ZUORA_CLIENT = "00000000-0000-0000-0000-00000tieline"
TERMS = ("Due on receipt", "Net 15", "Net 30", "Net 45", "Net 60")


class Call(NamedTuple):
    """One request in a vendor's log: seconds since the first, of the sandboxes' one clock."""

    vendor: str
    method: str
    path: str
    begins: float
    ends: float


class Company:
    """The running systems, and deals that wait to be won. No deal needs a person: that is not what is measured."""

    def __init__(
        self, pid: int, sandboxes: Sandboxes, deals: list[Deal], buyers: set[str], http: aiohttp.ClientSession
    ) -> None:
        self.pid, self.sandboxes, self.deals, self.buyers, self.won = pid, sandboxes, deals, buyers, 0
        self._http, self._token = http, ""
        self.own_calls = 0

    async def win(self, number: int) -> list[Deal]:
        """The next deals are won in Salesforce, fifty in one save."""
        chosen = self.deals[self.won : self.won + number]
        self.won += len(chosen)
        if not self._token:
            self._token = await self._log_in()
        for at in range(0, len(chosen), AT_ONCE):
            group = chosen[at : at + AT_ONCE]
            records = [
                {"attributes": {"type": "Opportunity"}, "Id": d.opportunity_id, "StageName": "Closed Won"}
                for d in group
            ]
            url = f"{self.sandboxes.urls['salesforce']}/services/data/v62.0/composite/sobjects"
            headers = {"Authorization": f"Bearer {self._token}"}
            body = {"allOrNone": False, "records": records}
            async with self._http.patch(url, json=body, headers=headers) as answer:
                answer.raise_for_status()
            self.own_calls += 1
        return chosen

    async def _log_in(self) -> str:
        form = {"grant_type": "client_credentials", "client_id": "tieline"}
        form["client_secret"] = SECRETS["TIELINE_SALESFORCE_SECRET"]
        async with self._http.post(f"{self.sandboxes.urls['salesforce']}/services/oauth2/token", data=form) as answer:
            return str((await answer.json())["access_token"])

    async def requests(self) -> dict[str, int]:
        """How many requests each system has seen."""
        return {v: int((await self.sandboxes.get(v, "/health"))["requests"]) for v in VENDORS}

    async def calls(self, since: dict[str, int], last: int = 5_000) -> list[Call]:
        """The requests after those counts (the `last` ones of each system), tokens left out, in their order."""
        found = []
        for vendor, before in since.items():
            log = await self.sandboxes.get(vendor, f"/requests?last={last}")
            new = int(log["count"]) - before
            found += [_call(vendor, entry) for entry in log["requests"][-new:] if new]
        return sorted((c for c in found if "token" not in c.path), key=lambda c: c.begins)

    async def finished(self, deals: Sequence[Deal]) -> int:
        """How many of these deals the CRM shows as ordered and posted."""
        records = await self.sandboxes.documents("salesforce", "Opportunity")
        shown = {r["Id"]: r.get("Tieline_Status__c") for r in records}
        return sum(1 for d in deals if shown[d.opportunity_id] == ("Project opened" if d.services else "Order posted"))

    async def judge(self, deals: Sequence[Deal]) -> dict[str, int]:
        """What stands for these deals, by business identity: documents, lost, doubled, wrong amounts."""
        orders = await self.sandboxes.documents("netsuite", "salesOrder")
        subscriptions = await self.sandboxes.documents("zuora", "subscriptions")
        accounts = await self.sandboxes.documents("zuora", "accounts")
        customers = await self.sandboxes.documents("netsuite", "customer")
        projects = await self.sandboxes.documents("kantata", "workspaces")
        posted = Counter(str(o.get("custbody_crm_opportunity")) for o in orders)
        totals = {str(o.get("custbody_crm_opportunity")): Decimal(str(o["total"])) for o in orders}
        opened = Counter(str(p["title"]).removesuffix(" - implementation") for p in projects)
        services = [d for d in deals if d.services]
        ordered = Counter(str(s["name"]).removeprefix("S-") for s in subscriptions)
        doubled = sum(n - 1 for counts in (posted, opened, ordered) for n in counts.values())
        # some customers stood there twice before the first deal: those are not ours to count
        customers = [c for c in customers if c["companyName"] in self.buyers]
        for name, found in (("crmId", accounts), ("companyName", customers)):
            doubled += sum(n - 1 for n in Counter(str(f.get(name)) for f in found).values())
        lost = sum((not posted[d.opportunity_id]) + (not ordered[d.opportunity_id]) for d in deals)
        lost += sum(1 for d in services if not opened[d.name])
        wrong = sum(1 for d in deals if posted[d.opportunity_id] and totals[d.opportunity_id] != d.value)
        documents = len(orders) + len(subscriptions) + len(accounts) + len(customers) + len(projects)
        return {"documents": documents, "lost": lost, "doubled": doubled, "wrong_amount": wrong}

    def settings(self, name: str, folder: Path, port: int) -> dict[str, Any]:
        """The configuration a contender is started with (docs/proof.md, "contenders")."""
        secret = {name.removeprefix("TIELINE_").lower(): value for name, value in SECRETS.items()}
        netsuite = ("consumer_key", "consumer_secret", "token_id", "token_secret")
        systems: dict[str, dict[str, str]] = {
            "salesforce": {"client_id": "tieline", "client_secret": secret["salesforce_secret"]},
            "zuora": {"client_id": ZUORA_CLIENT, "client_secret": secret["zuora_secret"]},
            "netsuite": {"account": "TIELINE_SB1", **{name: secret[f"netsuite_{name}"] for name in netsuite}},
            "kantata": {"token": secret["kantata_token"]},
        }
        return {
            "protocol": 1,
            "name": name,
            "listen": {"host": "127.0.0.1", "port": port},
            "folder": str(folder),
            "timeout_s": 30.0,
            "systems": {vendor: {"url": url, **systems[vendor]} for vendor, url in self.sandboxes.urls.items()},
            "products": {p: _product(p) for p in (*RECURRING, *SERVICES, *USAGE, "ROUNDING")},
            "subsidiaries": {"US01": SUBSIDIARIES[0]["name"], "DE01": SUBSIDIARIES[1]["name"]},
            "terms": {term: term for term in TERMS},
        }


def _product(name: str) -> dict[str, str]:
    code = name.upper().replace(" ", "-")
    return {"zuora_rate_plan": f"PRP-{code}", "zuora_charge": f"PRPC-{code}", "netsuite_item": name}


def _call(vendor: str, entry: dict[str, Any]) -> Call:
    begins = datetime.fromisoformat(entry["at"]).timestamp()
    return Call(vendor, entry["method"], entry["path"], begins, begins + float(entry["ms"]) / 1000)


@asynccontextmanager
async def company(folder: Path, number: int, hub_url: str) -> AsyncIterator[Company]:
    """The systems with at least `number` deals that need nobody's decision, webhooks pointed at `hub_url`."""
    command = [str(OURS), "-m", "tieline_sandbox", "--port", "0", "--seed", "1"]
    command += ["--start-date", f"{OPENS_ON.isoformat()}T09:00:00+00:00"]
    with group(command, folder / "sandbox.log") as process:
        first = await asyncio.to_thread(process.stdout.readline)  # type: ignore[union-attr]
        if not first:
            raise SystemExit(f"the sandboxes did not start; see {folder}/sandbox.log")
        sandboxes = Sandboxes(json.loads(first))
        async with aiohttp.ClientSession() as http:
            try:
                await furnish(sandboxes, hub_url)
                # what the vendor takes to activate is not what is compared
                await sandboxes.post("zuora", "/configure", {"activation_delay_s": 0.0})
                sales = make_sales(number * 2, 5, OPENS_ON)
                await load(sandboxes, sales)
                deals = [d for d in sales.deals if _plain(d, sales.accounts)][:number]
                buyers = {str(sales.accounts[d.account]["Name"]) for d in deals}
                yield Company(process.pid, sandboxes, deals, buyers, http)
            finally:
                await sandboxes.close()


def _plain(deal: Deal, accounts: list[dict[str, Any]]) -> bool:
    account = accounts[deal.account]
    alone = account["_parent"] is None and not account.get("_ambiguous")
    return not deal.trouble and alone and deal.value <= LARGEST_WITHOUT_APPROVAL


async def until(condition: Any, within_s: float, every_s: float = 0.1) -> bool:
    """Wait until an async condition holds; False when it does not in time."""
    end = asyncio.get_running_loop().time() + within_s
    while not await condition():
        if asyncio.get_running_loop().time() > end:
            return False
        await asyncio.sleep(every_s)
    return True
