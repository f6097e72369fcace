"""The pages of approvals, through real HTTP on the running company: who may say yes, and what follows from it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.support.company import Company, company, eventually
from tests.support.room import signed_in, text_of
from tests.support.salesforce_org import account, line, opportunity, seed, win

from tieline.app.demo.world import SALESPEOPLE
from tieline.app.principal import Role
from tieline.engine.records import CaseRow, CaseState

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

DEALS = range(1, 7)
MISTYPED = 2
TWO_RULES = 3


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Company]:
    """Six deals of Ada's with a discount that finance must see; one has a mistyped product, one long terms, too."""
    async with company(tmp_path_factory.mktemp("approvals") / "project") as running:
        ada = SALESPEOPLE[0]["Id"]
        terms = {TWO_RULES: {"Payment_Terms__c": "Net 60"}}
        deals = [opportunity(n, OwnerId=ada, **terms.get(n, {})) for n in DEALS]
        lines = [line(n, 1, "GTXPro" if n == MISTYPED else "GTX Pro", f"{n}000.00", Discount=40) for n in DEALS]
        await seed(running, [account(n) for n in DEALS], deals, lines)
        for deal in DEALS:
            await win(running, deal)

        async def all_wait() -> bool:
            return len(await running.worker.store.cases(states=[CaseState.OPEN])) == len(DEALS)

        await eventually(all_wait)
        yield running


async def waiting(hub: Company, deal: int) -> list[CaseRow]:
    """What the deal waits for, approvals only."""
    return await hub.worker.store.cases(
        states=[CaseState.OPEN], case_class="approval", correlation_id=f"salesforce-00600000000000{deal}AAA"
    )


async def written(hub: Company, deal: int) -> list[str]:
    """To billing, the ERP and so on; the status that the CRM shows says only where the deal stands."""
    effects = await hub.worker.store.effects(correlation_id=f"salesforce-00600000000000{deal}AAA")
    return [effect.kind for effect in effects if effect.kind != "deal_status"]


async def test_what_waits_says_why_it_is_asked_and_who_sold_it(hub: Company) -> None:
    """The numbers beside the formula; a viewer sees all of it and no button."""
    (case,) = await waiting(hub, 1)
    async with signed_in(hub, Role.VIEWER, name="vic") as vic:
        page = (await vic.get("/approvals")).text
        shown = text_of(page)
        for words in (
            "Deal 1",
            "1,000.00 USD",
            "Discount 40 % , more than 30 % (line 1)",
            "deep-discount",
            "Ada Sales",
        ):
            assert words in shown, words
        assert "Approve or refuse" not in page
        one = (await vic.get(f"/approvals/{case.id}")).text
        assert "it needs the right" in one
        assert "<button name" not in one
        answer = await vic.post_form("/approvals/decide", case=case.id, action="approve")
        assert answer.status_code == 403
        assert (await vic.get("/approvals/C-NOTHING")).status_code == 404
    assert len(await waiting(hub, 1)) == 1


async def test_whoever_sold_it_is_told_why_not_and_nothing_changes(hub: Company) -> None:
    """Ada is an admin here, known to the CRM by her address. What she may do is say why."""
    (case,) = await waiting(hub, 1)
    async with signed_in(hub, Role.ADMIN, name="ada.sales") as ada:
        assert "ada.sales owns this deal in the CRM" in (await ada.get("/approvals")).text
        one = (await ada.get(f"/approvals/{case.id}")).text
        assert "Not yours to decide" in one
        assert "<button name" not in one
        assert "None of these is yours" in (await ada.get(f"/approvals/several?case={case.id}")).text
        for action in ("approve", "refuse"):
            answer = await ada.post_form("/approvals/decide", case=case.id, action=action, reason="mine")
            assert answer.status_code == 403
            assert "owns this deal in the CRM" in answer.text
        said = await ada.post_form(f"/cases/{case.id}/comment", text="they buy for all of their plants")
        assert said.status_code == 303
        assert "they buy for all of their plants" in (await ada.get(f"/approvals/{case.id}")).text
    assert len(await waiting(hub, 1)) == 1
    assert await written(hub, 1) == []


async def test_an_approval_lets_the_deal_go_on(hub: Company) -> None:
    """The page says who decided and why; a second decision is told that there is one."""
    (case,) = await waiting(hub, 1)
    async with signed_in(hub, Role.APPROVER, name="fiona") as fiona:
        assert 'value="approve"' in (await fiona.get(f"/approvals/{case.id}")).text
        answer = await fiona.post_form("/approvals/decide", case=case.id, action="approve", reason="a launch customer")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/approvals/{case.id}")
        decided = text_of((await fiona.get(f"/approvals/{case.id}")).text)
        assert "Approved by fiona" in decided
        assert "a launch customer" in decided
        late = await fiona.post_form("/approvals/decide", case=case.id, action="refuse", reason="no")
        assert late.status_code == 422
        assert "already" in late.text
        assert "a launch customer" in (await fiona.get("/approvals/mine")).text

    async def goes_on() -> bool:
        return "subscription_order" in await written(hub, 1)

    await eventually(goes_on)


async def test_who_corrected_the_product_may_not_approve_the_deal_it_released(hub: Company) -> None:
    async with signed_in(hub, Role.STEWARD, Role.APPROVER, name="rita") as rita:
        entry = {
            "key": "GTXPro",
            "cell.netsuite_item": "GTX Pro",
            "cell.zuora_charge": "PRPC-GTX-PRO",
            "cell.zuora_rate_plan": "PRP-GTX-PRO",
            "reason": "typo",
        }
        assert (await rita.post_form("/rules/products/correct", entry)).status_code == 303

        async def asked() -> bool:
            return len(await waiting(hub, MISTYPED)) == 1

        await eventually(asked)
        (case,) = await waiting(hub, MISTYPED)
        words = "rita corrected the value map products for this deal"
        assert words in (await rita.get(f"/approvals/{case.id}")).text
        answer = await rita.post_form("/approvals/decide", case=case.id, action="approve")
        assert answer.status_code == 403
        assert words in answer.text
    async with signed_in(hub, Role.APPROVER, name="fiona") as fiona:
        assert (await fiona.post_form("/approvals/decide", case=case.id, action="approve")).status_code == 303


async def test_a_refusal_says_why_and_nothing_is_written(hub: Company) -> None:
    (case,) = await waiting(hub, 4)
    async with signed_in(hub, Role.APPROVER, name="fiona") as fiona:
        answer = await fiona.post_form("/approvals/decide", case=case.id, action="refuse", reason=" ")
        assert answer.status_code == 422
        assert "a refusal needs a reason" in answer.text
        assert 'value="refuse"' in answer.text  # the form stands there still
        assert len(await waiting(hub, 4)) == 1
        answer = await fiona.post_form("/approvals/decide", case=case.id, action="refuse", reason="too cheap")
        assert answer.status_code == 303

    async def ended() -> bool:
        held = await hub.worker.store.case(case.id)
        return held is not None and held.state is CaseState.CLOSED

    await eventually(ended)
    assert await written(hub, 4) == []


async def test_several_are_shown_with_their_total_and_decided_at_once(hub: Company) -> None:
    """Both questions about the third deal are the same person's to answer: the second is asked after the first."""
    ids = [(await waiting(hub, n))[0].id for n in (TWO_RULES, 5, 6)]
    async with signed_in(hub, Role.APPROVER, name="fiona") as fiona:
        shown = text_of((await fiona.get("/approvals/several?" + "&".join(f"case={each}" for each in ids))).text)
        assert "Decide 3 approvals together?" in shown
        assert "Together in USD 14,000.00 USD" in shown
        refused = await fiona.post_form("/approvals/decide", {"case": ids, "action": "refuse"})
        assert (refused.status_code, "a refusal needs a reason" in refused.text) == (422, True)
        answer = await fiona.post_form("/approvals/decide", {"case": ids, "action": "approve"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/approvals?done=approved&number=3")

        async def asked_again() -> bool:
            return [case.id for case in await waiting(hub, TWO_RULES)] not in ([], [ids[0]])

        await eventually(asked_again)
        (second,) = await waiting(hub, TWO_RULES)
        assert "Payment terms <strong>Net 60</strong>" in (await fiona.get(f"/approvals/{second.id}")).text
        assert (await fiona.post_form("/approvals/decide", case=second.id, action="approve")).status_code == 303
        assert (await fiona.get("/approvals/mine")).text.count(">approved<") == 6
        assert (await fiona.get("/approvals/several")).status_code == 422
