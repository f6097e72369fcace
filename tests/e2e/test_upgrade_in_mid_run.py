"""A deal waits for an approval while its process is replaced: it finishes on what it began with, the next one does not.

The process is the shipped one, through the whole hub: first as a project's own copy of it, then the shipped again.
"""

from __future__ import annotations

import inspect
import sys
from decimal import Decimal
from pathlib import Path

from tests.e2e.test_one_deal import OPPORTUNITY, line, seed, win
from tests.support.company import Company, eventually, hub, sandboxes

from tieline.app.cases import decide
from tieline.app.demo.world import furnish
from tieline.app.principal import local_principal
from tieline.app.template import make_project
from tieline.app.versions import plan_moves
from tieline.engine.records import CaseState
from tieline.processes import quote_to_cash as shipped

SECOND = "006000000000002AAA"
OTHERS = '"tieline.processes.intake", "tieline.processes.posting", "tieline.processes.deal_status"'
PROJECT_OPENED = "opened = await run.ensure(parties.psa, project)"
OWN = inspect.getsource(shipped).replace(
    PROJECT_OPENED, f"return  # the projects are opened by hand\n        {PROJECT_OPENED}"
)


def use_own(folder: Path) -> None:
    settings = folder / "tieline.toml"
    settings.write_text(settings.read_text().replace("[project]\n", f"[project]\nprocesses = [{OTHERS}]\n"))
    (folder / "processes" / "quote_to_cash.py").write_text(OWN)


def use_shipped(folder: Path) -> None:
    settings = folder / "tieline.toml"
    settings.write_text(settings.read_text().replace(f"processes = [{OTHERS}]\n", ""))
    (folder / "processes" / "quote_to_cash.py").unlink()
    for name in [name for name in sys.modules if name.startswith("project_processes.quote_to_cash@")]:
        del sys.modules[name]


async def win_second(c: Company) -> None:
    lines = [line(3, "GTX Pro", "Recurring", "900.00"), line(4, "Implementation", "One-Time", "300.00")]
    await c.sandboxes.seed("salesforce", "Opportunity", [{**OPPORTUNITY, "Id": SECOND, "Name": "Acme second"}])
    await c.sandboxes.seed("salesforce", "OpportunityLineItem", [{**one, "OpportunityId": SECOND} for one in lines])
    await win(c, SECOND)


async def test_a_deal_that_waits_for_approval_outlives_an_upgrade_of_its_process(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    async with sandboxes() as boxes:
        make_project(folder, urls=boxes.urls, poll_s=0.2)
        use_own(folder)
        async with hub(folder, boxes) as c:
            await furnish(boxes, c.hub_url)
            discounted = line(1, "GTX Pro", "Recurring", "500.00", ListPrice=Decimal("1000.00"), Discount=Decimal(50))
            await seed(c, discounted, line(2, "Implementation", "One-Time", "500.00"))
            await win(c)

            async def asked() -> bool:
                return bool(await c.worker.store.cases(states=[CaseState.OPEN], case_class="approval"))

            await eventually(asked)
        use_shipped(folder)
        async with hub(folder, boxes) as c:
            (first,) = await c.worker.store.runs(process="quote-to-cash")
            await win_second(c)
            plan = await plan_moves(c.project, c.worker.store, process="quote-to-cash")
            assert [(m.run, m.fits) for m in plan.moves] == [(first.id, True)]
            (approval,) = await c.worker.store.cases(states=[CaseState.OPEN], case_class="approval")
            await decide(c.worker.store, [approval], "approve", by=local_principal("ada"))

            async def both_done() -> bool:
                rows = await c.worker.store.runs(process="quote-to-cash")
                return len(rows) == 2 and all(row.state.ended for row in rows)

            await eventually(both_done)
            old, new = await c.worker.store.runs(process="quote-to-cash")
            assert (old.version, new.version) == (first.version, shipped.quote_to_cash.version)
            assert old.version != new.version
            projects = await c.worker.store.effects(kind="project")
            assert [effect.run_id for effect in projects] == [new.id], "only the new version opens projects"
            assert len(await boxes.documents("netsuite", "salesOrder")) == 2
