"""What every store promises of its lists: cases, deals, tables of rules, and pages of all of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from msgspec.structs import replace
from tests.support.engine import NOW, notified
from tests.support.rows import case_row, effect, listed, rule_version, run_row

from tieline.engine.ports import Batch, Store
from tieline.engine.records import (
    CaseFilter,
    CaseState,
    CauseGroup,
    DealFilter,
    EffectState,
    EntityRow,
    RunState,
)


class ListsContract:
    """A part of StoreContract."""

    async def test_open_and_overdue_cases_are_counted(self, store: Store) -> None:
        later = NOW + timedelta(hours=8)
        rows = [case_row(1, due_at=later), case_row(2, escalated_at=NOW), case_row(3)]
        rows += [case_row(4, state=CaseState.CLOSED), case_row(5, case_class="approval", due_at=later)]
        await store.commit(Batch(cases=rows))
        counted = await store.count_open_cases(NOW + timedelta(hours=1))
        assert counted.by_class == {"unknown-product": 3, "approval": 1}
        assert (counted.overdue, counted.overdue_of) == (2, {"revops": 2})

    async def test_cases_are_grouped_by_cause(self, store: Store) -> None:
        """With what a group holds: how many, since when, whose, how many overdue, and its money by currency."""
        day = timedelta(days=1)
        rows = [
            case_row(1, amount="0.10 USD", opened_at=NOW + day, due_at=NOW + 2 * day),
            case_row(2, amount="100000000000.20 USD", owner="ada", due_at=NOW),
            case_row(3, amount="7.00 EUR", opened_at=NOW + day, due_at=NOW + 2 * day),
            case_row(4, cause="other", case_class="approval", owner="finance"),
            case_row(5, state=CaseState.CLOSED, amount="1.00 USD"),
        ]
        await store.commit(Batch(cases=rows))
        large, small = await store.case_groups(CaseFilter(), NOW)
        assert large == CauseGroup(
            cause="unknown-product:GTXPro", case_class="unknown-product", count=3, overdue=1, owner="ada", owners=2,
            oldest_at=NOW, due_at=NOW, example="C-2",
            money={"EUR": Decimal(7), "USD": Decimal("100000000000.3")},
        )  # fmt: skip
        assert (small.cause, small.example, small.money) == ("other", "C-4", {})
        assert await store.case_groups(CaseFilter(), NOW, limit=1) == [large]
        assert [g.count for g in await store.case_groups(CaseFilter(owner="revops", due_by=NOW + 2 * day), NOW)] == [2]
        assert [g.example for g in await store.case_groups(CaseFilter(case_class="approval"), NOW)] == ["C-4"]
        assert [g.count for g in await store.case_groups(CaseFilter(state=CaseState.CLOSED), NOW)] == [1]
        assert await store.count_cases_of("unknown-product:GTXPro") == {CaseState.OPEN: 3, CaseState.CLOSED: 1}

    async def test_cases_are_listed_in_pages_both_ways(self, store: Store) -> None:
        rows = [case_row(n, opened_at=NOW + timedelta(n // 2), owner="a" if n < 4 else "b") for n in range(1, 6)]
        await store.commit(Batch(cases=[*rows, case_row(9, state=CaseState.DECIDED)]))

        async def pages(wanted: CaseFilter, newest: bool) -> list[list[str]]:
            after, found = None, []
            while page := await store.case_page(wanted, after=after, limit=2, newest=newest):
                after = (page[-1].opened_at, page[-1].id)
                found.append([case.id for case in page])
            return found

        assert await pages(CaseFilter(), False) == [["C-1", "C-2"], ["C-3", "C-4"], ["C-5"]]
        assert await pages(CaseFilter(), True) == [["C-5", "C-4"], ["C-3", "C-2"], ["C-1"]]
        assert await pages(CaseFilter(owner="b", cause=rows[0].cause), False) == [["C-4", "C-5"]]
        assert await pages(CaseFilter(state=CaseState.DECIDED), False) == [["C-9"]]

    async def test_open_cases_are_told_in_brief(self, store: Store) -> None:
        """Without documents: a hundred thousand of them are looked through at once."""
        rows = [case_row(1), case_row(2, opened_at=NOW - timedelta(days=1), escalated_at=NOW)]
        await store.commit(Batch(cases=[*rows, case_row(3, state=CaseState.DECIDED)]))
        first, second = await store.open_cases()
        assert (first.id, first.escalated_at, second.id, second.escalated_at) == (rows[1].id, NOW, rows[0].id, None)
        assert (second.owner, second.due_at) == (rows[0].owner, rows[0].due_at)

    async def test_pages_go_backwards_without_a_gap(self, store: Store) -> None:
        """Newest first, each page before the one that was seen: of events and of runs, whatever their state."""
        for number in range(1, 6):
            state = RunState.WAITING if number == 2 else RunState.DONE
            await store.commit(Batch(events=[notified(str(number))], runs=[run_row(number, state=state)]))
        assert [e.seq for e in await store.events(before_seq=4, limit=2, newest=True)] == [2, 3]
        assert [e.seq for e in await store.events(after_seq=1, before_seq=3)] == [2]
        last = await store.runs(limit=2, newest=True)
        page = await store.runs(before=(last[0].event_seq, last[0].id), limit=2, newest=True)
        assert [r.event_seq for r in (*page, *last)] == [2, 3, 4, 5]
        for state, expected in ((RunState.WAITING, [2]), (RunState.DONE, [3, 4])):
            found = await store.runs(
                process=page[0].process, states=[state], before=(5, last[1].id), limit=2, newest=True
            )
            assert [r.event_seq for r in found] == expected

    async def test_the_newest_rows_come_in_order_too(self, store: Store) -> None:
        """A tail is the end of the list, still oldest first."""
        later = [effect(n, EffectState.APPLIED, intended_at=NOW + timedelta(seconds=n)) for n in range(1, 6)]
        await store.commit(
            Batch(events=[notified(str(n)) for n in range(5)], runs=[run_row(n) for n in range(1, 6)], effects=later)
        )
        assert [e.seq for e in await store.events(limit=2, newest=True)] == [4, 5]
        assert [r.event_seq for r in await store.runs(limit=2, newest=True)] == [4, 5]
        assert [e.revision for e in await store.effects(limit=2, newest=True)] == [4, 5]
        assert len(await store.events(limit=50, newest=True)) == 5

    async def test_effects_are_paged_though_many_were_meant_at_one_moment(self, store: Store) -> None:
        """Page by page, each once, and what is added meanwhile comes at the end."""
        await store.commit(Batch(effects=[effect(n, EffectState.APPLIED) for n in range(1, 6)]))
        first = await store.effects(connection="erp", limit=3)
        await store.commit(Batch(effects=[effect(6, EffectState.APPLIED, intended_at=NOW + timedelta(seconds=1))]))
        rest = await store.effects(connection="erp", after=(first[-1].key, first[-1].revision))
        assert [e.revision for e in [*first, *rest]] == [1, 2, 3, 4, 5, 6]

    async def test_cases_are_paged_though_many_were_opened_at_one_moment(self, store: Store) -> None:
        await store.commit(Batch(cases=[case_row(n) for n in (3, 1, 2)]))
        first = await store.cases(states=[CaseState.OPEN], limit=2)
        rest = await store.cases(states=[CaseState.OPEN], after=(first[-1].opened_at, first[-1].id))
        assert [c.id for c in [*first, *rest]] == ["C-1", "C-2", "C-3"]

    async def test_entities_of_a_kind_are_paged_by_id(self, store: Store) -> None:
        rows = [EntityRow(kind=k, id=i, content_hash="h", content=b"{}", updated_at=NOW) for k in "ab" for i in "312"]
        await store.commit(Batch(entities=rows))
        assert [row.id for row in await store.entities("a", limit=2)] == ["1", "2"]
        assert [(row.kind, row.id) for row in await store.entities("a", after="2")] == [("a", "3")]

    async def test_effects_are_counted_by_system_kind_and_state(self, store: Store) -> None:
        await store.commit(Batch(effects=[effect(1, EffectState.APPLIED), effect(2, EffectState.IN_DOUBT)]))
        assert await store.count_effects() == {
            ("erp", "invoice", "applied"): 1,
            ("erp", "invoice", "in_doubt"): 1,
        }

    async def test_a_table_of_rules_is_kept_once_and_may_come_into_force_again(self, store: Store) -> None:
        """What was kept first stays; only the moment moves on, and the last moment says what is in force."""
        first, second = rule_version("map v1 (a)", 0), rule_version("map v2 (b)", 1)
        other = rule_version("order v1 (c)", 0, name="order")
        await store.commit(Batch(rules=[first, other]))
        await store.commit(Batch(rules=[second]))
        assert [r.label for r in await store.rules_in_force()] == ["map v2 (b)", "order v1 (c)"]
        again = rule_version("map v1 (a)", 2, text="other", first_seen_at=NOW + timedelta(2))
        await store.commit(Batch(rules=[again]))
        assert await store.rules_in_force() == [replace(first, in_force_at=NOW + timedelta(2)), other]
        assert [r.label for r in await store.rule_versions("map")] == ["map v1 (a)", "map v2 (b)"]
        assert await store.rule_versions("map", before=NOW + timedelta(2)) == [second]
        assert await store.rule_version("map", "map v3 (d)") is None

    async def test_effects_are_found_and_counted_by_the_table_that_made_them(self, store: Store) -> None:
        made = [(f"i{n}", f"order v{n % 2}", NOW + timedelta(n)) for n in range(5)]
        rows = [effect(canonical_id=ident, mapping=mapping, intended_at=at) for ident, mapping, at in made]
        await store.commit(Batch(effects=rows))
        assert [e.canonical_id for e in await store.effects(mapping="order v0", newest=True)] == ["i0", "i2", "i4"]
        assert await store.count_made_with(["order v0", "order v1"], 100) == 5
        assert await store.count_made_with(["order v1"], 1) == 1

    async def test_deals_are_listed_newest_first_page_by_page(self, store: Store) -> None:
        await store.commit(Batch(deals=[listed(seq) for seq in (3, 1, 2)]))
        assert [deal.seq for deal in await store.deals(limit=2)] == [3, 2]
        assert [deal.seq for deal in await store.deals(before=2)] == [1]
        await store.commit(Batch(deals=[listed(2, status="Paid")]))
        assert [deal.status for deal in await store.listed_deals(["crm-2", "crm-9"])] == ["Paid"]
        assert await store.count_deals() == {("Invoiced", "EUR"): 2, ("Paid", "EUR"): 1}

    async def test_deals_are_found_by_what_a_filter_says(self, store: Store) -> None:
        deals = [
            listed(1),
            listed(2, "Acme HP Ltd", "250.00", currency="USD", won_on="2026-02-01"),
            listed(3, "HP Inc", "99.99", status="Paid"),
        ]
        await store.commit(Batch(deals=deals))

        async def found(**wanted: Any) -> list[int]:
            deals = await store.deals(DealFilter(**wanted))
            shown = await store.deals(DealFilter(**wanted), before=3)
            assert [deal.seq for deal in shown] == [deal.seq for deal in deals if deal.seq < 3]
            return [deal.seq for deal in deals]

        assert await found(words="ler & soh") == [1]
        assert await found(words="n-2") == [2]
        assert await found(words='no "such"') == []
        assert await found(words="hp") == [3], "two letters are how a name begins"
        assert await found(words="hp ", currency="USD") == [2]
        assert await found(customer="crm-hp inc") == [3]
        assert await found(status="Invoiced", currency="EUR") == [1]
        assert await found(amount_from=1_000_000, amount_to=2_500_000) == [2, 1]
        assert await found(won_from="2026-01-06", won_to="2026-02-01") == [2]

    async def test_a_deal_stays_to_be_listed_until_what_changed_is_listed(self, store: Store) -> None:
        later = datetime.now(UTC) + timedelta(minutes=1)
        await store.commit(Batch(effects=[effect()], runs=[run_row(1, correlation_id="deal-2")]))
        read = {changed.deal: changed.changes for changed in await store.changed_deals(later)}
        assert set(read) == {"deal-1", "deal-2"}
        await store.commit(Batch(effects=[effect(state=EffectState.APPLIED)]))
        await store.commit(Batch(deals_listed=list(read.items())))
        assert [changed.deal for changed in await store.changed_deals(later)] == ["deal-1"]
        assert await store.count_changed_deals() == 1

    async def test_all_deals_can_be_listed_anew(self, store: Store) -> None:
        contract = EntityRow(kind="contract", id="crm-1", content_hash="h", content=b"{}", updated_at=NOW)
        await store.commit(Batch(entities=[contract]))
        await store.commit(Batch(list_anew=True))
        assert [c.deal for c in await store.changed_deals(datetime.now(UTC) + timedelta(minutes=1))] == ["crm-1"]
