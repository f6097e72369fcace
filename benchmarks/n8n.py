"""Quote to cash as an n8n workflow, beside Tieline: `make bench-n8n`. What a builder draws, imported and published.

One webhook, two Code nodes, and an HTTP Request node for every call, with the same keys that the peers send. n8n keeps
its defaults: SQLite, executions saved, the internal task runner; tokens come from OAuth2 credentials, which it caches.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.company import Company
from benchmarks.peers.servers import NODE_MODULES, free_port, fresh
from benchmarks.programs import PEERS, environment, group
from benchmarks.quote_to_cash import CONTENDERS, Contender, Told, main, telling

COMMAND = NODE_MODULES / "n8n" / "node_modules" / ".bin" / "n8n"
WORKFLOW = Path(__file__).parent / "peers" / "n8n"
IMPORT_WITHIN_S = 180
AT_ONCE = 10
"""Executions side by side: more of them only run into NetSuite's five slots."""

Json = dict[str, Any]


@asynccontextmanager
async def n8n(systems: Company, folder: Path, port: int) -> AsyncIterator[tuple[Told, list[int]]]:
    """n8n with the workflow published, told by its webhook."""
    home = fresh(folder / "n8n")
    settings = {
        "PATH": f"{PEERS.parent}:{environment()['PATH']}",
        "N8N_USER_FOLDER": str(home),
        "N8N_PORT": str(port),
        "N8N_LISTEN_ADDRESS": "127.0.0.1",
        "N8N_RUNNERS_BROKER_PORT": str(free_port()),
        "N8N_DIAGNOSTICS_ENABLED": "false",
        "N8N_VERSION_NOTIFICATIONS_ENABLED": "false",
        "N8N_TEMPLATES_ENABLED": "false",
        "N8N_LOG_LEVEL": "warn",
        "N8N_CONCURRENCY_PRODUCTION_LIMIT": str(AT_ONCE),
        "NODE_FUNCTION_ALLOW_BUILTIN": "crypto",
    }
    config = systems.settings("n8n", home, port)
    _command(settings, folder, "import:credentials", credentials(config))
    _command(settings, folder, "import:workflow", [workflow(config)])
    _run(settings, "publish:workflow", "--id=deals")
    log = folder / "n8n.log"
    with group([str(COMMAND), "start"], log, settings) as process:
        async with telling(f"http://127.0.0.1:{port}", "/webhook/deals", _published, log) as told:
            yield told, [process.pid]


async def _published(http: aiohttp.ClientSession) -> bool:
    """Whether the webhook answers: n8n says 404 to a GET in either case, and to a published one what it would take."""
    async with http.get("/webhook/deals") as answer:
        registered = "Did you mean" in await answer.text()
    if registered:
        await asyncio.sleep(2.0)  # seen: the method is known a moment before it is taken
    return registered


def _command(settings: dict[str, str], folder: Path, name: str, content: Sequence[Json]) -> None:
    path = folder / "import.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    _run(settings, name, f"--input={path}")


def _run(settings: dict[str, str], *arguments: str) -> None:
    """Raises SystemExit with the command's own words when it fails."""
    command = [str(COMMAND), *arguments]
    done = subprocess.run(
        command, env=environment(settings), capture_output=True, text=True, timeout=IMPORT_WITHIN_S, check=False
    )
    if done.returncode:
        raise SystemExit(f"n8n {arguments[0]} failed:\n{done.stdout[-1500:]}{done.stderr[-1500:]}")


def credentials(config: Json) -> list[Json]:
    """OAuth2 client credentials of the two systems that give tokens."""
    paths = {"salesforce": "/services/oauth2/token", "zuora": "/oauth/token"}
    return [
        {
            "id": name,
            "name": name,
            "type": "oAuth2Api",
            "data": {
                "grantType": "clientCredentials",
                "accessTokenUrl": config["systems"][name]["url"] + path,
                "clientId": config["systems"][name]["client_id"],
                "clientSecret": config["systems"][name]["client_secret"],
                "authentication": "body",
                "scope": "",
            },
        }
        for name, path in paths.items()
    ]


def workflow(config: Json) -> Json:
    """The workflow: webhook → read → prepare → each system in turn → status."""
    url = {name: system["url"] for name, system in config["systems"].items()}
    data = f"{url['salesforce']}/services/data/v62.0"
    rest = f"{url['netsuite']}/services/rest/record/v1"
    code = (WORKFLOW / "prepare.js").read_text(encoding="utf-8")
    code = code.replace("__CONFIG__", json.dumps({n: config[n] for n in ("systems", "products", "subsidiaries")}))
    prepared = "$('Prepare').item.json"
    kantata = [("Authorization", f"Bearer {config['systems']['kantata']['token']}")]
    nodes = [
        _webhook(),
        _http("Read deal", "GET", f"{data}/query", "salesforce", query="={{ $('Queries').item.json.deal }}"),
        _http("Read account", "GET", f"{data}/query", "salesforce", query="={{ $json.records[0] && " + ACCOUNT + " }}"),
        _code("Prepare", code),
        _http("Billing account", "POST", f"{url['zuora']}/v1/accounts", "zuora", body=f"{prepared}.account",
              headers=[("Idempotency-Key", f"={{{{ {prepared}.account.accountNumber }}}}")]),
        _http("ERP customer", "PUT", f"={rest}/customer/eid:{{{{ {prepared}.account.accountNumber }}}}",
              body=f"{prepared}.customer", headers=[("Authorization", f"={{{{ {prepared}.customer_signature }}}}")]),
        _http("Subscription", "POST", f"{url['zuora']}/v1/orders", "zuora", body=f"{prepared}.order",
              headers=[("Idempotency-Key", f"={{{{ {prepared}.order.orderNumber }}}}")]),
        _http("Sales order", "PUT", f"={rest}/salesOrder/eid:{{{{ {prepared}.order.orderNumber }}}}",
              body=f"{prepared}.sales_order",
              headers=[("Authorization", f"={{{{ {prepared}.sales_order_signature }}}}")]),
        _if("Services sold", f"={{{{ {prepared}.services }}}}"),
        _http("Project", "POST", f"{url['kantata']}/api/v1/workspaces", body=f"{prepared}.workspace", headers=kantata),
        _http("Status", "PATCH", f"={data}/sobjects/Opportunity/{{{{ {prepared}.opportunity }}}}", "salesforce",
              body=f"{prepared}.status"),
    ]  # fmt: skip
    nodes.insert(1, _code("Queries", (WORKFLOW / "queries.js").read_text(encoding="utf-8")))
    names = [node["name"] for node in nodes]
    links: Json = {a: {"main": [[_to(b)]]} for a, b in pairwise(names)}
    links["Services sold"] = {"main": [[_to("Project")], [_to("Status")]]}
    return {"id": "deals", "name": "Deals", "nodes": nodes, "connections": links, "active": False, "settings": {}}


ACCOUNT = "$('Queries').item.json.account.replace('?', $json.records[0].AccountId)"


def _to(name: str) -> Json:
    return {"node": name, "type": "main", "index": 0}


def _node(name: str, kind: str, version: float, parameters: Json) -> Json:
    return {
        "id": name,
        "name": name,
        "type": f"n8n-nodes-base.{kind}",
        "typeVersion": version,
        "position": [0, 0],
        "parameters": parameters,
    }


def _webhook() -> Json:
    parameters = {"httpMethod": "POST", "path": "deals", "responseMode": "onReceived", "options": {}}
    return _node("Won", "webhook", 2, parameters) | {"webhookId": "deals"}


def _code(name: str, text: str) -> Json:
    return _node(name, "code", 2, {"mode": "runOnceForEachItem", "jsCode": text})


def _if(name: str, condition: str) -> Json:
    operator = {"type": "boolean", "operation": "true", "singleValue": True}
    conditions = [{"id": "1", "leftValue": condition, "rightValue": "", "operator": operator}]
    options = {"caseSensitive": True, "typeValidation": "strict", "version": 2}
    return _node(name, "if", 2.2, {"conditions": {"options": options, "conditions": conditions, "combinator": "and"}})


def _http(
    name: str,
    method: str,
    url: str,
    credential: str = "",
    *,
    query: str = "",
    body: str = "",
    headers: Sequence[tuple[str, str]] = (),
) -> Json:
    """An HTTP Request node that tries five times."""
    parameters: Json = {"method": method, "url": url, "options": {}}
    if query:
        parameters |= {"sendQuery": True, "queryParameters": {"parameters": [{"name": "q", "value": query}]}}
    if body:
        parameters |= {"sendBody": True, "specifyBody": "json", "jsonBody": f"={{{{ JSON.stringify({body}) }}}}"}
    if headers:
        listed = [{"name": name, "value": value} for name, value in headers]
        parameters |= {"sendHeaders": True, "headerParameters": {"parameters": listed}}
    node = _node(name, "httpRequest", 4.2, parameters)
    node |= {"retryOnFail": True, "maxTries": 5, "waitBetweenTries": 500}
    if credential:
        parameters |= {"authentication": "genericCredentialType", "genericAuthType": "oAuth2Api"}
        node["credentials"] = {"oAuth2Api": {"id": credential, "name": credential}}
    return node


if __name__ == "__main__":
    main([CONTENDERS[0], Contender("n8n", n8n, share=0.05)], "quote_to_cash_n8n")
