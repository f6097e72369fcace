"""The pages of the rules, through real HTTP on the running company."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.support.company import Company, company, eventually
from tests.support.room import signed_in
from tests.support.salesforce_org import account, deal_in_crm, line, opportunity, seed, win

from tieline.app.principal import Role
from tieline.engine.records import CaseState

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

ORDER = "/rules/order%20-%3E%20netsuite.salesOrder"
ENTRY = {
    "key": "GTXPro",
    "cell.netsuite_item": "GTX Pro",
    "cell.zuora_charge": "PRPC-GTX-PRO",
    "cell.zuora_rate_plan": "PRP-GTX-PRO",
    "reason": "typo",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rules") / "project"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub(folder: Path) -> AsyncIterator[Company]:
    """With a deal that waits for a product nobody mapped."""
    async with company(folder) as running:
        await seed(running, [account(1)], [opportunity(1)], [line(1, 1, "GTXPro", "100.00")])
        await win(running, 1)

        async def stopped() -> bool:
            return bool(await running.worker.store.cases(states=[CaseState.OPEN]))

        await eventually(stopped)
        yield running


async def test_every_kind_of_table_reads_in_words(hub: Company) -> None:
    async with signed_in(hub, Role.VIEWER, name="vera") as vera:
        everything = (await vera.get("/rules")).text
        for words in ("Order to NetSuite sales order", "Payment terms", "Validation rules", "Approval rules"):
            assert words in everything
        only = (await vera.get("/rules?kind=value_map&q=product")).text
        assert "Products" in only
        assert "Approval rules" not in only
        assert "looked up in products, column netsuite_item" in (await vera.get(ORDER)).text
        assert "250000" in (await vera.get("/rules/approvals?q=large")).text
        assert "known_legal_entity" in (await vera.get("/rules/validation")).text
        for name in ("routes", "catalogue", "salesforce.account%20-%3E%20customer", "products/history", "export"):
            assert (await vera.get(f"/rules/{name}")).status_code == 200, name


async def test_what_is_not_there_is_said_with_what_is_near(hub: Company) -> None:
    async with signed_in(hub, Role.VIEWER, name="vera") as vera:
        answer = await vera.get("/rules/product")
        assert answer.status_code == 404
        assert "nearest: &#39;products&#39;" in answer.text
        assert (await vera.get("/rules/products?version=products+v9")).status_code == 404
        assert (await vera.get("/rules?q=nothing-says-this")).text.count("No table fits") == 1


async def test_who_may_not_correct_sees_no_button_and_is_refused(hub: Company) -> None:
    async with signed_in(hub, Role.OPERATOR, name="otto") as otto:
        assert "/rules/products/correct" not in (await otto.get("/rules/products")).text
        assert (await otto.get("/rules/products/correct?key=GTXPro")).status_code == 403
        assert (await otto.post_form("/rules/products/correct", ENTRY)).status_code == 403
        assert (await otto.post_form("/rules/export")).status_code == 403


async def test_a_form_with_a_mistake_comes_back_with_what_was_typed(hub: Company) -> None:
    async with signed_in(hub, Role.STEWARD, name="stella") as stella:
        half = {**ENTRY, "cell.zuora_charge": ""}
        for answer in (
            await stella.get("/rules/products/correct", params=half),
            await stella.post_form("/rules/products/correct", half),
        ):
            assert answer.status_code == 422
            assert "needs a value for zuora_charge" in answer.text
            assert 'value="PRP-GTX-PRO"' in answer.text
        assert (await stella.post_form("/rules/products/correct", {**ENTRY, "reason": ""})).status_code == 422


async def test_a_correction_from_preview_to_the_file_and_back(hub: Company, folder: Path) -> None:
    """A steward sees what it would release, records it, sees the version it made, exports it, and takes it back."""
    async with signed_in(hub, Role.STEWARD, name="stella") as stella:
        preview = (await stella.get("/rules/products/correct", params=ENTRY)).text
        assert "1 open case" in preview
        assert "is tried again at once" in preview
        done = await stella.post_form("/rules/products/correct", ENTRY)
        assert (done.status_code, "released=1" in done.headers["location"]) == (303, True)

        async def posted() -> bool:
            return bool((await deal_in_crm(hub, 1))["Tieline_Status__c"] == "Order posted")

        await eventually(posted)
        page = (await stella.get(done.headers["location"])).text
        assert "not in the file yet" in page
        assert "1 case is tried again" in page

        new, old = await hub.desk.view.store.rule_versions("products")
        compared = await stella.get("/rules/products/compare", params={"before": old.label, "after": new.label})
        assert compared.text.count("added") == 1
        (order,) = await hub.desk.view.store.effects(connection="netsuite", kind="order")
        made_with = (await stella.get(ORDER, params={"version": order.mapping})).text
        assert f'href="/deals/{order.correlation_id}"' in made_with

        assert "GTXPro" in (await stella.get("/rules/export")).text
        assert (await stella.post_form("/rules/export")).status_code == 303
        assert "GTXPro: {zuora_rate_plan: PRP-GTX-PRO" in (folder / "value_maps" / "products.yaml").read_text()
        assert "nothing to export" in (await stella.get("/rules/export?done=1")).text

        assert "it is taken out" in (await stella.get(f"/rules/products/undo?seq={new.seq}")).text
        assert (await stella.post_form("/rules/products/undo", seq="x", reason="typo")).status_code == 422
        back = await stella.post_form("/rules/products/undo", seq=new.seq, reason="renamed in the CRM")
        assert back.status_code == 303
        assert "GTXPro" not in (await stella.get(back.headers["location"])).text
        history = (await stella.get("/rules/products/history?key=GTXPro")).text
        assert history.index("renamed in the CRM") < history.index("typo")
