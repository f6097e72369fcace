"""The protocol of contenders: other programs that move the same deals under the same schedule (docs/proof.md).

A contender is started as `COMMAND CONFIG.json` in a process group of its own. It answers `GET /health` with 200, takes
`POST /deals {"opportunity_id": …}` with 2xx once the deal is durably its own, says `{"pending": n}` on `GET /pending`,
keeps its state in the folder it is given, and is killed with SIGKILL, group and all, and started again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from tieline.app.demo.world import RECURRING, SECRETS, SERVICES, USAGE
from tieline.app.torture.schedule import TIMEOUT_S
from tieline.errors import ConfigurationError

PROTOCOL = 1
SERVES_WITHIN_S = 60.0
TAKES_WITHIN_S = 5.0
ENDS_WITHIN_S = 5.0


def configuration(folder: Path, name: str, seed: int, port: int, urls: Mapping[str, str]) -> Path:
    """Write what a contender is told, the same in every life."""
    state = folder / "state"
    state.mkdir(exist_ok=True)
    path = folder / "contender.json"
    document = {
        "protocol": PROTOCOL,
        "name": name,
        "seed": seed,
        "listen": {"host": "127.0.0.1", "port": port},
        "folder": str(state),
        "timeout_s": TIMEOUT_S,
        "systems": _systems(urls),
        "products": {product: _product(product) for product in (*RECURRING, *SERVICES, *USAGE)},
        "subsidiaries": {"US01": "Example Inc", "DE01": "Example GmbH"},
        "terms": {terms: terms for terms in ("Net 15", "Net 30", "Net 45", "Net 60")},
    }
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document)))
    return path


def _systems(urls: Mapping[str, str]) -> dict[str, dict[str, str]]:
    secrets: dict[str, dict[str, str]] = {
        "salesforce": {
            "client_id": "tieline",
            "client_secret": SECRETS["TIELINE_SALESFORCE_SECRET"],
            "api_version": "62.0",
        },
        "zuora": {
            "client_id": "00000000-0000-0000-0000-00000tieline",
            "client_secret": SECRETS["TIELINE_ZUORA_SECRET"],
        },
        "netsuite": {
            "account": "TIELINE_SB1",
            "consumer_key": SECRETS["TIELINE_NETSUITE_CONSUMER_KEY"],
            "consumer_secret": SECRETS["TIELINE_NETSUITE_CONSUMER_SECRET"],
            "token_id": SECRETS["TIELINE_NETSUITE_TOKEN_ID"],
            "token_secret": SECRETS["TIELINE_NETSUITE_TOKEN_SECRET"],
        },
        "kantata": {"token": SECRETS["TIELINE_KANTATA_TOKEN"]},
    }
    return {vendor: {"url": urls[vendor], **secret} for vendor, secret in secrets.items()}


def _product(name: str) -> dict[str, str]:
    code = name.upper().replace(" ", "-")
    kind = "One-Time" if name in SERVICES else "Usage" if name in USAGE else "Recurring"
    return {
        "zuora_rate_plan": f"PRP-{code}",
        "zuora_charge": f"PRPC-{code}",
        "netsuite_item": name,
        "charge_type": kind,
    }


class ContenderProcess:
    """A contender and everything it started, as one thing to be killed."""

    def __init__(self, command: list[str], config: Path, port: int, log: Path) -> None:
        self._command, self._config, self._log = command, config, log
        self._url = f"http://127.0.0.1:{port}"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start and wait until it serves. Raises ConfigurationError with the end of its log."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, str(self._config), stdout=log, stderr=log, start_new_session=True
            )
        end = time.monotonic() + SERVES_WITHIN_S
        while self.alive and time.monotonic() < end:
            if await self._ask("GET", "/health") is not None:
                return
            await asyncio.sleep(0.05)
        tail = self._log.read_text(encoding="utf-8", errors="replace")[-1500:]
        raise ConfigurationError(f"{' '.join(self._command)} does not answer /health; the end of {self._log}:\n{tail}")

    async def kill(self) -> None:
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        await self._end(signal.SIGTERM)

    async def tell(self, opportunity_id: str) -> bool:
        """Whether it took the deal."""
        return await self._ask("POST", "/deals", {"opportunity_id": opportunity_id}) is not None

    async def pending(self) -> int:
        """How many deals it still works on; -1 when it does not say."""
        answer = await self._ask("GET", "/pending")
        return int(answer["pending"]) if answer else -1

    def end_servers(self) -> None:
        """Servers that it started apart from itself, and named in FOLDER/pids."""
        pids = self._config.parent / "state" / "pids"
        for line in pids.read_text(encoding="utf-8").split() if pids.exists() else []:
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.kill(int(line), signal.SIGTERM)

    async def _end(self, number: int) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        try:
            await asyncio.wait_for(self._process.wait(), ENDS_WITHIN_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()

    async def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any] | None:
        """Its answer, or None when it did not answer with 2xx in time."""
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TAKES_WITHIN_S)) as http,
                http.request(method, self._url + path, json=body) as answer,
            ):
                if answer.status >= 300:
                    return None
                return dict(msgspec.json.decode(await answer.read() or b"{}"))
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError, TypeError, ValueError):
            return None
