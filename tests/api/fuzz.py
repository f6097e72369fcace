"""schemathesis over the whole API of a hub that has data: `python -m tests.api.fuzz`, or `make api-fuzz`.

Requests that fit the document and requests that do not go to every operation, with ids that are there and ids that are
not. What is answered must be in the document, wrong requests must be refused, and nothing may break.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.e2e.test_one_deal import pay_one_deal
from tests.support.company import Company, company, eventually
from tests.support.room import make_user
from tests.support.salesforce_org import account, line, opportunity, seed, win

from tieline.app.access import new_token
from tieline.app.principal import Permission, Role

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
ALWAYS = ("--checks", "all", "--no-shrink", "--warnings", "off", "--no-color")
MANY = 10_000_000
"""Requests a minute: the quota has tests of its own."""


async def with_data(c: Company) -> None:
    """A deal that was paid, and two that wait for a person."""
    await pay_one_deal(c)
    lines = [line(2, 1, "GTXPro", "50.00"), line(3, 1, "GTX Pro", "60.00", Discount=40)]
    await seed(c, [account(2), account(3)], [opportunity(2), opportunity(3)], lines)
    await win(c, 2)
    await win(c, 3)

    async def waiting() -> bool:
        return len(await c.worker.store.cases()) == 2

    await eventually(waiting)


async def fuzz(c: Company, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run schemathesis against the hub of a company; `arguments` are its own."""
    config = folder / "schemathesis.toml"
    config.write_text(await _config(c), encoding="utf-8")
    command = [SCHEMATHESIS, "--config-file", config, "run", f"{c.hub_url}/api/schema/openapi.json"]
    return await asyncio.to_thread(
        subprocess.run,
        [*map(str, command), "--header", f"Authorization:Bearer {await _token(c)}", *ALWAYS, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )


async def _token(c: Company) -> str:
    await make_user(c.desk.access, "robot", *Role)
    now = datetime.now(UTC)
    token, secret = new_token("robot", "fuzz", tuple(Permission), MANY, now, now + timedelta(days=1))
    await c.desk.access.tokens.add(token, secret)
    return secret


async def _config(c: Company) -> str:
    """Ids that are there, half of the time; and what else may be answered to a request that fits the document."""
    store, desk = c.worker.store, c.desk
    effects, runs = await store.effects(limit=20), await store.runs(limit=10)
    known = {
        "path.canonical_id": {e.canonical_id for e in effects},
        "path.kind": {e.kind for e in effects},
        "path.connection": set(desk.view.vendors),
        "path.ident": {e.external_id for e in effects if e.external_id},
        "path.run_id": {run.id for run in runs},
        "path.name": {*desk.view.mappings.tables, *desk.view.mappings.value_maps},
        "path.case_id": {case.id for case in await store.cases()},
        "query.id": {e.external_id for e in effects if e.external_id},
        "query.deal": {e.correlation_id for e in effects if e.correlation_id},
        "query.connection": set(desk.view.vendors),
    }
    lines = ['[checks.positive_data_acceptance]\nexpected-statuses = ["2xx", "400", "404", "409", "422"]\n']
    for number, (parameter, values) in enumerate(known.items()):
        listed = ", ".join(f"'{value}'" for value in sorted(values))
        lines.append(f"[dictionaries.d{number}]\nvalues = [{listed}]\n")
        lines.append(f'[parameters."{parameter}"]\ndictionary = "d{number}"\nprobability = 0.5\n')
    return "\n".join(lines)


async def main(arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        async with company(Path(folder) / "project") as c:
            await with_data(c)
            done = await fuzz(c, Path(folder), *arguments)
    sys.stdout.write(done.stdout + done.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
