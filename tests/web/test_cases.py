"""The pages of cases: found by cause, understood, decided with a preview before, and followed to their end."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from msgspec.structs import replace
from tests.support.company import Company, company, eventually
from tests.support.room import signed_in, text_of
from tests.support.salesforce_org import account, line, opportunity, seed, win

from tieline.app.principal import Role
from tieline.app.replay.decision import preview_decision
from tieline.engine.records import CaseRow, CaseState

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

TYPO = "unknown-product:GTXPro"


async def open_cases(hub: Company, case_class: str, number: int) -> list[CaseRow]:
    """The open cases of a class, once there are so many."""

    async def opened() -> bool:
        found = await hub.worker.store.cases(states=[CaseState.OPEN], case_class=case_class)
        return len(found) == number

    await eventually(opened)
    return await hub.worker.store.cases(states=[CaseState.OPEN], case_class=case_class)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Company]:
    """Three deals with a mistyped product, one whose customer stands twice in NetSuite."""
    async with company(tmp_path_factory.mktemp("cases") / "project") as running:
        double = {
            "companyName": "Customer 4 Corporation",
            "subsidiary": "Example Inc",
            "currency": "USD",
            "addressBook": {
                "items": [
                    {
                        "defaultBilling": True,
                        "addressBookAddress": {"city": "Springfield", "zip": "62701", "country": {"id": "US"}},
                    }
                ]
            },
        }
        await running.sandboxes.seed("netsuite", "customer", [double, double])
        for deal in (1, 2, 3, 4):
            product = "GTX Pro" if deal == 4 else "GTXPro"
            await seed(running, [account(deal)], [opportunity(deal)], [line(deal, 1, product, "100.00")])
            await win(running, deal)
        await open_cases(running, "unknown-product", 3)
        await open_cases(running, "ambiguous-customer", 1)
        yield running


async def test_cases_are_shown_by_cause_with_what_is_at_stake(hub: Company) -> None:
    async with signed_in(hub, Role.VIEWER, name="vic") as vic:
        shown = text_of((await vic.get("/cases")).text)
        assert "Product GTXPro on line 1 has no NetSuite item; nearest: GTX Pro" in shown
        assert "300.00 USD" in shown
        assert "decide all of them" not in shown
        each = (await vic.get("/cases?view=each&class=unknown-product")).text
        assert len(re.findall(r'href="/cases/C-', each)) == 3
        assert "No open case fits" in (await vic.get("/cases?overdue=1")).text
        assert "No open case fits" in (await vic.get("/cases?owner=vic")).text
        assert (await vic.get("/cases/C-NONE")).status_code == 404


async def test_a_viewer_may_look_and_nothing_else(hub: Company) -> None:
    case = (await open_cases(hub, "unknown-product", 3))[0]
    async with signed_in(hub, Role.VIEWER, name="vic") as vic:
        page = await vic.get(f"/cases/{case.id}")
        assert page.status_code == 200
        assert "Give it away" not in page.text
        assert "An operator, a steward or an admin can decide it" in page.text
        for path, fields in (
            ("decide", {"action": "retry"}),
            ("comment", {"text": "hello"}),
            ("assign", {"owner": "vic"}),
            ("correct-map", {"like": "GTX Pro", "reason": "typo"}),
        ):
            assert (await vic.post_form(f"/cases/{case.id}/{path}", fields)).status_code == 403
        assert (await vic.post_form("/cases/bulk", cause=case.cause, action="cancel")).status_code == 403
        assert (await vic.get(f"/cases/{case.id}/decide?action=retry")).status_code == 403
    held = await hub.worker.store.case(case.id)
    assert held == case


async def test_a_case_is_talked_about_and_given_away(hub: Company) -> None:
    case = (await open_cases(hub, "ambiguous-customer", 1))[0]
    async with signed_in(hub, Role.OPERATOR, name="ada") as ada:
        assert (await ada.post_form(f"/cases/{case.id}/comment", text="asked <the> customer")).status_code == 303
        given = await ada.post_form(f"/cases/{case.id}/assign", owner="bob", reason="on leave")
        assert given.headers["location"] == f"/cases/{case.id}?done=assign"
        assert (await ada.post_form(f"/cases/{case.id}/comment", text=" ")).status_code == 422
        page = text_of((await ada.get(f"/cases/{case.id}")).text)
        assert f"ada on {case.id}: &#34;asked &lt;the&gt; customer&#34;" in page
        assert f"ada gave {case.id} to bob: &#34;on leave&#34;" in page
        assert case.id in (await ada.get("/cases?view=each&owner=bob")).text


async def test_one_candidate_is_chosen_and_linked(hub: Company) -> None:
    """Side by side with what differs; what follows is shown before; then the deal goes on with it."""
    case = (await open_cases(hub, "ambiguous-customer", 1))[0]
    chosen = case.details["candidates"][0]["external_id"]
    async with signed_in(hub, Role.OPERATOR, name="ada") as ada:
        page = text_of((await ada.get(f"/cases/{case.id}")).text)
        assert "Which one is meant?" in page
        assert f"This one: link {chosen}" in page
        asked = await ada.get(f"/cases/{case.id}/decide?action=link&external_id={chosen}")
        foreseen = text_of(asked.text)
        assert f"to the record {chosen}" in foreseen
        assert re.search(
            rf"update NetSuite customer Customer 4 Corporation \S* ?it is linked to the record {chosen}", foreseen
        )
        assert "create Zuora subscription order" in foreseen
        assert "Then the process goes on to: order" in foreseen
        answer = await ada.post_form(
            f"/cases/{case.id}/decide", action="link", external_id=chosen, reason="same tax number"
        )
        assert answer.headers["location"] == f"/cases/{case.id}?done=link"

        async def carried_out() -> bool:
            return "It is carried out" in (await ada.get(f"/cases/{case.id}/next")).text

        await eventually(carried_out)
        late = await ada.post_form(f"/cases/{case.id}/decide", action="create")
        assert late.status_code == 422
        assert "closed already: link by ada" in text_of(late.text)
    known = await hub.worker.store.referenced(chosen, "netsuite")
    assert [reference.canonical_id for reference in known] == ["salesforce-001000000000004AAA"]


@pytest.mark.parametrize(
    ("action", "arguments", "said"),
    [
        ("link", {"external_id": "42"}, ("link", "to the record 42", "")),
        ("skip", {}, ("nothing", "left out by this decision", "")),
        ("correct", {"payment_terms": "Net 60"}, ("update", "its content differs", "")),
        ("correct", {"charges": "none"}, ("", "", "the corrected document would not be understood")),
        ("cancel", {}, ("decide", "", "")),
    ],
)
async def test_what_a_decision_about_a_document_would_do_is_foreseen(
    hub: Company, action: str, arguments: dict[str, str], said: tuple[str, str, str]
) -> None:
    """And nothing is written by looking."""
    store, view = hub.worker.store, hub.desk.view
    run = (await store.runs(process="quote-to-cash", key="salesforce-006000000000004AAA"))[0]

    async def ordered() -> bool:
        return bool(await store.effects(correlation_id=run.correlation_id, kind="order"))

    await eventually(ordered)
    effect = (await store.effects(correlation_id=run.correlation_id, kind="subscription_order"))[0]
    closed = (await store.cases(correlation_id=run.correlation_id))[0]
    case = replace(closed, id="C-X", case_class="subscription_order-rejected", details={"effect": str(effect.key)})
    preview = await preview_decision(hub.project, view, case, action, arguments, "ada")
    done, why, unforeseen = said
    about = [one for one in preview.actions if one.kind == "subscription order" or "the run ends" in one.what]
    assert [one.action for one in about] == ([done] if done else [])
    assert not about or why in about[0].why
    assert unforeseen in preview.unforeseen
    assert await store.effects(correlation_id=run.correlation_id, kind="subscription_order") == [effect]


async def test_an_operator_may_not_correct_a_map(hub: Company) -> None:
    case = (await open_cases(hub, "unknown-product", 3))[0]
    async with signed_in(hub, Role.OPERATOR, name="ada") as ada:
        page = text_of((await ada.get(f"/cases/{case.id}")).text)
        assert "A steward can correct the map products, which releases all 3 cases" in page
        refused = await ada.post_form(f"/cases/{case.id}/correct-map", like="GTX Pro", reason="typo")
        assert refused.status_code == 403
        around = await ada.post_form(f"/cases/{case.id}/decide", action="correct-map")
        assert (around.status_code, "the value map itself" in around.text) == (422, True)
    assert await hub.worker.store.events(type="ValueMapCorrected") == []
    assert await hub.worker.store.case(case.id) == case


async def test_a_cause_is_previewed_before_it_is_decided(hub: Company) -> None:
    async with signed_in(hub, Role.OPERATOR, name="ada") as ada:
        page = text_of((await ada.get(f"/cases/bulk?cause={TYPO}&action=cancel")).text)
        assert "Decide 3 cases of one cause" in page
        assert "the run ends; nothing more is written for it" in page
        assert "Cancel the run: 3 cases" in page
        wrong = await ada.post_form("/cases/bulk", cause=TYPO, action="link")
        assert wrong.status_code == 422
        seen = {"cause": TYPO, "class": "unknown-product", "action": "cancel", "reason": "off"}
        for shown in ("2", ""):  # a case that nobody was shown is not decided along with the others
            late = await ada.post_form("/cases/bulk", seen, shown=shown)
            assert (late.status_code, "3 cases of this cause are open by now" in late.text) == (409, True)
        tried = await ada.post_form("/cases/bulk", {**seen, "action": "retry"}, shown="3")
        assert tried.status_code == 303
        assert "3 cases released" in (await ada.get(tried.headers["location"])).text
    await open_cases(hub, "unknown-product", 3)


async def test_one_entry_of_a_map_releases_a_whole_cause(hub: Company) -> None:
    """The nearest word is proposed; what it releases is shown, then released and followed to its end."""
    case = (await open_cases(hub, "unknown-product", 3))[0]
    async with signed_in(hub, Role.STEWARD, name="rita") as rita:
        assert '<option value="GTX Pro">GTX Pro (nearest)</option>' in (await rita.get(f"/cases/{case.id}")).text
        plan = text_of((await rita.get(f"/cases/{case.id}/correct-map?like=GTX+Pro")).text)
        assert "3 open cases are tried again at once" in plan
        assert "At stake with them: 300.00 USD" in plan
        assert re.search(r"create Zuora subscription order", plan)
        answer = await rita.post_form(f"/cases/{case.id}/correct-map", like="GTX Pro", reason="mistyped")
        assert answer.status_code == 303
        progress = answer.headers["location"]
        assert "3 cases released" in text_of((await rita.get(progress)).text)

        async def released() -> bool:
            part = await rita.get(progress, headers={"hx-request": "true"})
            return "All 3 carried out" in text_of(part.text)

        await eventually(released)
        assert "No case of this cause is open any more" in (await rita.get(progress)).text
        closed = text_of((await rita.get(f"/cases?view=each&state=closed&cause={TYPO}")).text)
        assert closed.count("correct-map by rita") == 3
