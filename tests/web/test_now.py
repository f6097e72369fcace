"""The first page, its stream and /metrics, through real HTTP beside a hub at work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families
from tests.support.company import Company, company, eventually
from tests.support.engine import until_idle
from tests.support.room import Visitor, bearer, signed_in
from tests.support.salesforce_org import account, line, opportunity, seed, win

from tieline.api.metrics import METRICS
from tieline.app.hub import GOODBYE_S
from tieline.app.principal import Permission, Role
from tieline.engine.records import EffectState

pytestmark = pytest.mark.asyncio(loop_scope="module")

FOREIGN = {"x-forwarded-for": "203.0.113.9"}
"""What a proxy on this machine adds for somebody elsewhere."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Company]:
    """A company that won one deal."""
    async with company(tmp_path_factory.mktemp("now")) as running:
        await seed(running, [account(1)], [opportunity(1)], [line(1, 1, "GTX Pro", "1200.00")])
        await win(running, 1)

        async def ordered() -> bool:
            effects = await running.worker.store.effects(kind="order", state=EffectState.APPLIED)
            return bool(effects)

        await eventually(ordered)
        await until_idle(running.worker)
        yield running


@asynccontextmanager
async def following(who: Visitor) -> AsyncIterator[AsyncIterator[tuple[str, str]]]:
    """The messages of the stream: (name, data)."""

    async def messages(answer: httpx.Response) -> AsyncIterator[tuple[str, str]]:
        name, data = "", list[str]()
        async for text in answer.aiter_lines():
            field, _, value = text.partition(": ")
            name = value if field == "event" else name
            data += [value] if field == "data" else []
            if not text and (name or data):
                yield name, "\n".join(data)
                name, data = "", []

    async with who.stream("GET", "/now/live") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield messages(answer)


async def test_the_page_shows_systems_runs_and_the_money_of_today(hub: Company) -> None:
    async with signed_in(hub, Role.VIEWER) as viewer:
        page = (await viewer.get("/")).text
    assert "1,200.00 USD" in page
    assert "quote-to-cash" in page
    for name in ("Salesforce", "Zuora", "NetSuite", "Kantata"):
        assert name in page


async def test_the_page_needs_no_script(hub: Company) -> None:
    """Everything that the stream brings stands in the page at once, and the numbers of the lines too."""
    async with signed_in(hub, Role.VIEWER) as viewer:
        page = (await viewer.get("/")).text
    assert page.count("<h2") >= 5
    assert "Events in, documents out, minute by minute" in page
    assert "style=" not in page
    assert " onclick" not in page


async def test_who_is_not_signed_in_sees_neither_page_nor_stream(hub: Company) -> None:
    async with httpx.AsyncClient(base_url=hub.hub_url) as stranger:
        for path in ("/", "/now/live", "/now/figures"):
            assert (await stranger.get(path)).status_code == 303


async def test_the_lines_of_the_last_hour_come_as_numbers(hub: Company) -> None:
    async with signed_in(hub, Role.VIEWER) as viewer:
        hour = msgspec.json.decode((await viewer.get("/now/figures")).content)
    assert [chart["name"] for chart in hour["charts"]] == ["flow", "calls", "vendor"]
    assert {len(line["values"]) for chart in hour["charts"] for line in chart["lines"]} == {len(hour["minutes"])}


async def test_the_stream_brings_what_changed_without_asking(hub: Company) -> None:
    async with signed_in(hub, Role.OPERATOR, name="ada") as ada, following(ada) as messages:
        assert "month end" not in (await anext(messages))[1]
        await ada.post_form("/systems/kantata/pause", reason="month end")
        told = ""
        async for _, told in messages:
            if "month end" in told:
                break
        assert "month end" in told
        await ada.post_form("/systems/kantata/resume")


async def test_however_many_look_the_hub_looks_once(hub: Company) -> None:
    views = await asyncio.gather(*(hub.desk.board.look() for _ in range(20)))
    assert len({id(view) for view in views}) == 1


async def test_the_stream_ends_with_its_session(hub: Company) -> None:
    async with signed_in(hub, Role.VIEWER, name="leaver") as viewer, following(viewer) as messages:
        await anext(messages)
        await hub.desk.access.sessions.end_others("leaver")
        rest = [name async for name, _ in messages]
    assert rest[-1] == "ended"


async def test_an_open_page_is_no_use_of_a_session(hub: Company) -> None:
    async with signed_in(hub, Role.VIEWER, name="asleep") as viewer:
        before = hub.desk.access.sessions.list("asleep")
        async with following(viewer) as messages:
            await anext(messages)
            await anext(messages)
        assert hub.desk.access.sessions.list("asleep") == before


async def test_a_hub_stops_at_once_though_somebody_looks(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as hub_of_its_own:
        fresh = await hub_of_its_own.enter_async_context(company(tmp_path))
        async with signed_in(fresh, Role.VIEWER) as viewer, following(viewer) as messages:
            assert "Nothing has happened here yet" in (await anext(messages))[1]
            begun = loop.time()
            await hub_of_its_own.aclose()
            assert loop.time() - begun < GOODBYE_S
            assert "sign in" not in "".join([data async for _, data in messages])


# --- /metrics ---------------------------------------------------------------------------------------------------------


async def scraped(hub: Company, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=hub.hub_url) as prometheus:
        return await prometheus.get("/metrics", headers=headers)


async def test_prometheus_reads_what_the_page_shows(hub: Company) -> None:
    families = {family.name: family for family in text_string_to_metric_families((await scraped(hub)).text)}
    described = {metric.name.removesuffix("_total") for metric in METRICS}
    assert set(families) == described
    booked = [s for s in families["tieline_money_today"].samples if s.labels == {"stage": "booked", "currency": "USD"}]
    assert [sample.value for sample in booked] == [1200.0]
    calls = {s.labels["system"]: s.value for s in families["tieline_calls"].samples}
    assert calls == {name: hub.worker.connection(name).lane.calls for name in calls}
    assert calls["zuora"] > 0
    took = [s for s in families["tieline_call_seconds"].samples if s.name.endswith("_count")]
    assert {s.labels["system"]: s.value for s in took} == calls


async def test_labels_are_few_and_name_nobody(hub: Company) -> None:
    text = (await scraped(hub)).text
    known = {label for metric in METRICS for label in metric.labels} | {"le"}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        assert {name for sample in family.samples for name in sample.labels} <= known
    for personal in ("Customer 1", "customer-1.example", "Deal 1", "00600000000000", "Main St"):
        assert personal not in text


async def test_from_elsewhere_metrics_need_a_token_that_may_read(hub: Company) -> None:
    refused = await scraped(hub, **FOREIGN)
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert (await scraped(hub, **FOREIGN, authorization="Bearer tl_nonsense")).status_code == 401
    wrong = await bearer(hub, Permission.OPERATE)
    assert (await scraped(hub, **FOREIGN, authorization=f"Bearer {wrong}")).status_code == 403
    right = await bearer(hub, Permission.READ)
    assert (await scraped(hub, **FOREIGN, authorization=f"Bearer {right}")).status_code == 200


async def test_a_strangers_name_for_this_machine_is_not_this_machine(hub: Company) -> None:
    """A page elsewhere that lets its own name point here (DNS rebinding) reads nothing."""
    assert (await scraped(hub, host="rebound.example")).status_code == 401
