"""Rules as they are kept, corrected, and brought into the files: a project on its own, without a hub's systems."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from tests.support.engine import NOW

from tieline.app import rules
from tieline.app.demo.world import SECRETS
from tieline.app.principal import NotAllowed, Principal, Role
from tieline.app.project import Project, load_project
from tieline.app.rulebook import Rulebook, RuleKind
from tieline.app.settings import load_settings
from tieline.app.template import make_project
from tieline.app.views import rules_read
from tieline.app.views.rules_read import CHANGED, RulesView
from tieline.app.views.rules_sheet import differences, sheet_of
from tieline.app.wiring import make_resources, open_store, replay_corrections
from tieline.cli import rules as commands
from tieline.engine.cases import CORRECT_MAP
from tieline.engine.ports import Batch, Operation, Safety, Store
from tieline.engine.records import CaseRow, CaseState, Effect
from tieline.errors import ConcurrencyConflict
from tieline.mapping import MappingSet, load_value_map
from tieline.mapping.corrections import Standing
from tieline.processes.resources import Resources

ORDER = "order -> netsuite.salesOrder"
RITA = Principal(name="rita", roles=frozenset({Role.STEWARD}))
NEW = {"zuora_rate_plan": "PRP", "zuora_charge": "PRPC", "netsuite_item": "GTX Pro"}


class Life:
    """One life of a hub, as far as rules go."""

    def __init__(self, view: RulesView, store: Store, resources: Resources) -> None:
        self._view, self.store, self._resources = view, store, resources

    @property
    def view(self) -> RulesView:
        return msgspec.structs.replace(self._view, mappings=self._resources.mappings)

    async def correct(self, key: str, cells: dict[str, str], by: Principal = RITA, reason: str = "typo") -> list[str]:
        released = await rules.correct(self.view, self.store, "products", key, cells, by=by, reason=reason)
        await self.hear()
        return released

    async def hear(self) -> None:
        """What the worker does with news of the log."""
        for event in await self.store.events_after(self._resources.corrections.seen):
            self._resources.observe(event)

    async def labels(self, name: str = "products") -> list[str]:
        return [version.label.rpartition(" (")[0] for version in await self.store.rule_versions(name)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Loaded once: all that a life below changes are value maps and policies."""
    root = tmp_path_factory.mktemp("base") / "p"
    make_project(root)
    return load_project(load_settings(root, environ=SECRETS))


class Home(msgspec.Struct):
    """A project's folder, in which a hub lives again and again."""

    folder: Path
    base: Project

    def project(self) -> Project:
        """As its files stand now, with one mapping table."""
        own = [load_value_map(path) for path in (self.folder / "value_maps").glob("*.yaml")]
        shipped = self.base.mappings
        maps = shipped.value_maps | {value_map.name: value_map for value_map in own}
        mappings = MappingSet({ORDER: shipped.tables[ORDER]}, maps, shipped.functions)
        settings = load_settings(self.folder, environ=SECRETS)
        return msgspec.structs.replace(self.base, settings=settings, mappings=mappings)

    @asynccontextmanager
    async def life(self) -> AsyncIterator[Life]:
        project = self.project()
        store = open_store(project)
        resources = make_resources(project, {})
        await replay_corrections(store, resources)
        book = Rulebook(store, project, resources)
        await book.open()
        order = Operation(kind="order", safety=Safety.UPSERT, mapping=ORDER)
        view = RulesView(
            project=project,
            store=store,
            mappings=resources.mappings,
            corrections=resources.corrections,
            operations={("netsuite", "order", "ensure"): order},
        )
        try:
            yield Life(view, store, resources)
        finally:
            await book.close()
            await store.close()


@pytest.fixture
def home(tmp_path: Path, base: Project) -> Home:
    make_project(tmp_path / "p")
    return Home(tmp_path / "p", base)


def waiting(number: int, cause: str) -> CaseRow:
    return CaseRow(
        id=f"C-{number}",
        case_class="unknown-product",
        cause=cause,
        owner="revops",
        message="m",
        actions=[CORRECT_MAP],
        run_id=f"r{number}",
        position=1,
        correlation_id="deal",
        opened_at=NOW,
        due_at=NOW + timedelta(1),
    )


async def test_every_table_of_a_project_is_kept_once_with_its_text(home: Home) -> None:
    async with home.life() as first:
        lines = await rules_read.list_rules(first.view)
        assert {line.kind for line in lines} == set(RuleKind) - {RuleKind.OWNERSHIP}
        assert all(line.problems == [] for line in lines)
        kept = await first.store.rules_in_force()
    async with home.life() as second:
        assert await second.store.rules_in_force() == kept


async def test_the_label_of_an_effect_leads_to_the_table_that_made_it(home: Home) -> None:
    async with home.life() as hub:
        label = hub.view.mappings.mapping(ORDER).label
        made = Effect(
            connection="netsuite",
            kind="order",
            canonical_id="o1",
            content_hash="h",
            content=b"{}",
            mapping=label,
            intended_at=NOW,
        )
        await hub.store.commit(Batch(effects=[made]))
        page = await rules_read.read_rule(hub.view, ORDER, label=label)
        assert [effect.canonical_id for effect in page.documents] == ["o1"]
        assert page.used == rules_read.Used(1)
        products = await rules_read.read_rule(hub.view, "products")
        assert products.used == rules_read.Used(1)


async def test_a_correction_made_while_no_hub_ran_is_a_version_too(home: Home) -> None:
    async with home.life() as hub:
        await hub.correct("GTX Pro", {"netsuite_item": "GTX Pro 2"})
        await hub.correct("GTX Pro", {"netsuite_item": "GTX Pro 3"})
        assert await hub.labels() == ["products v1"]
    async with home.life() as hub:
        assert await hub.labels() == ["products v3", "products v2", "products v1"]
        last = (await hub.store.rule_versions("products"))[0]
        assert (last.made_by, last.reason) == ("rita", "typo")
        v2, v3 = [(await hub.store.rule_versions("products"))[at].label for at in (1, 0)]
        changes = (await rules_read.compare_versions(hub.view, "products", v2, v3)).changes
        assert [(c.key, c.what, c.cells) for c in changes] == [
            ("GTX Pro", "changed", {"netsuite_item": ("GTX Pro 2", "GTX Pro 3")})
        ]


async def test_exported_corrections_are_not_applied_again(home: Home) -> None:
    async with home.life() as hub:
        await hub.correct("GTXPro", NEW)
    async with home.life() as hub:
        (plan,) = await rules.export(hub.view, hub.store, by=RITA)
        assert list(plan.changed) == ["GTXPro"]
        assert rules.plan_export(hub.view) == []
        before = hub.view.mappings.value_map("products").label
    async with home.life() as hub:
        assert hub.view.mappings.value_map("products").label == before
        assert await hub.labels() == ["products v2", "products v1"]
        assert (await rules_read.read_rule(hub.view, "products")).line.problems == []


async def test_an_export_never_overwrites_what_the_file_says_meanwhile(home: Home) -> None:
    path = home.folder / "value_maps" / "products.yaml"
    async with home.life() as hub:
        await hub.correct("GTX Pro", {"netsuite_item": "GTX Pro 2"})
        path.write_text(path.read_text().replace("netsuite_item: GTX Pro}", "netsuite_item: GTX Pro 9}"))
        (plan,) = await rules.export(hub.view, hub.store, by=RITA)
        assert plan.changed == {}
        assert plan.conflicts["GTX Pro"]["netsuite_item"] == "GTX Pro 9"
        assert "GTX Pro 9" in path.read_text()
        page = await rules_read.read_rule(hub.view, "products", search="GTX Pro 2")
        assert [entry.standing for entry in page.entries] == [Standing.CONFLICT]


async def test_a_shipped_map_is_exported_into_the_projects_own_folder(home: Home) -> None:
    async with home.life() as hub:
        name = "netsuite_billing_schedules"
        key = next(iter(hub.view.mappings.value_map(name).entries))
        await rules.correct(hub.view, hub.store, name, key, {"value": "Other"}, by=RITA, reason="renamed")
        await hub.hear()
        (plan,) = await rules.export(hub.view, hub.store, by=RITA)
        assert plan.file == home.folder / "value_maps" / f"{name}.yaml"
        assert rules.plan_export(hub.view) == []
    async with home.life() as hub:
        assert hub.view.mappings.value_map(name).cells(key) == {"value": "Other"}


async def test_a_correction_releases_what_waits_for_it_whatever_missed_it(home: Home) -> None:
    """A validation rule and a mapping table name the same missing entry under causes of their own."""
    async with home.life() as hub:
        causes = ["unknown-product:GTXPro", "unmapped:products:GTXPro", "unknown-product:Other"]
        await hub.store.commit(Batch(cases=[waiting(at, cause) for at, cause in enumerate(causes)]))
        plan = await rules.preview_correction(hub.view, "products", "GTXPro", NEW)
        assert sorted(case.id for case in plan.cases) == ["C-0", "C-1"]
        assert sorted(await hub.correct("GTXPro", NEW)) == ["C-0", "C-1"]
        assert [case.id for case in await hub.store.cases(states=[CaseState.OPEN])] == ["C-2"]


async def test_a_correction_is_taken_back_by_another_one(home: Home) -> None:
    async with home.life() as hub:
        await hub.correct("GTXPro", NEW)
        (made,) = rules_read.history_of(hub.view, "products")
        await rules.undo(hub.view, hub.store, "products", made.seq, by=RITA, reason="it was right")
        await hub.hear()
        assert "GTXPro" not in hub.view.mappings.value_map("products").entries
        assert [c.value for c in rules_read.history_of(hub.view, "products", "GTXPro")] == [{}, NEW]
        assert rules.plan_export(hub.view) == []


async def test_who_looked_at_an_entry_that_is_another_by_now_overwrites_nothing(home: Home) -> None:
    async with home.life() as hub:
        seen = hub.view.mappings.value_map("products").cells("GTX Pro")
        await hub.correct("GTX Pro", {"netsuite_item": "GTX Pro 2"})
        with pytest.raises(ConcurrencyConflict, match="'GTX Pro' was set to something else meanwhile"):
            await rules.correct(
                hub.view, hub.store, "products", "GTX Pro", {"netsuite_item": "X"}, by=RITA, reason="r", seen=seen
            )


@pytest.mark.parametrize(
    ("key", "cells", "says"),
    [
        ("", NEW, "name the key"),
        ("X", {"netsuite_item": "y"}, "needs a value for zuora_rate_plan, zuora_charge"),
        ("X", {**NEW, "netsuit_item": "y"}, "nearest: 'netsuite_item'"),
        ("GTX Pro", {"netsuite_item": "GTX Pro"}, "is that already"),
        ("X", {}, "has no entry 'X'"),
    ],
)
async def test_what_a_map_cannot_take_is_refused_with_a_sentence(
    home: Home, key: str, cells: dict[str, str], says: str
) -> None:
    async with home.life() as hub:
        with pytest.raises(rules.CannotCorrect, match=says):
            await rules.correct(hub.view, hub.store, "products", key, cells, by=RITA, reason="r")


async def test_only_who_may_corrects_and_never_without_a_reason(home: Home) -> None:
    async with home.life() as hub:
        operator = Principal(name="otto", roles=frozenset({Role.OPERATOR}))
        with pytest.raises(NotAllowed, match="steward or admin"):
            await hub.correct("GTXPro", NEW, by=operator)
        with pytest.raises(rules.CannotCorrect, match="say why"):
            await hub.correct("GTXPro", NEW, reason=" ")
        with pytest.raises(NotAllowed):
            await rules.export(hub.view, hub.store, by=operator)


async def test_a_table_changed_on_disk_is_said_to_wait_for_the_next_start(home: Home) -> None:
    """Remarks are no change."""
    path = home.folder / "policies" / "approvals.yaml"
    async with home.life() as hub:
        path.write_text("# a remark\n" + path.read_text())
        assert (await rules_read.read_rule(hub.view, "approvals")).line.problems == []
        path.write_text(path.read_text().replace("250000", "300000"))
        assert (await rules_read.read_rule(hub.view, "approvals")).line.problems == [CHANGED]
    async with home.life() as hub:
        new, old = (v.label for v in await hub.store.rule_versions("approvals"))
        found = await rules_read.compare_versions(hub.view, "approvals", old, new)
        assert [(c.key, c.cells) for c in found.changes] == [
            ("large-deal", {"asked when": ("`contract.value.amount > 250000`", "`contract.value.amount > 300000`")})
        ]
        assert [line[0] for line in found.lines].count("+") == 2


def test_ownership_and_routes_read_as_a_matrix() -> None:
    owned = sheet_of(
        "ownership",
        "ownership:\n  customer:\n    name: salesforce\n    '*': {system: netsuite, otherwise: case}\n"
        "sync:\n  - {from: salesforce, to: netsuite, entity: customer, fields: [name]}\n",
    )
    assert list(owned.rows) == ["customer: name", "customer: every other field", "customer: salesforce to netsuite"]
    assert owned.rows["customer: every other field"]["a change elsewhere"] == "case"
    routes = 'routes:\n  - {role: erp, to: a, when: "x == 1", until_date: 2026-12-31}\n  - {role: erp, to: b}\n'
    sheet = sheet_of("routes", routes)
    assert [row["when"] for row in sheet.rows.values()] == ["`x == 1`", "always"]
    assert [change.what for change in differences(sheet_of("routes", "routes: []\n"), sheet)] == ["added", "added"]


def test_the_commands_say_the_same_and_export_only_when_told(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    async def past() -> None:
        async with home.life() as hub:
            await hub.correct("GTXPro", NEW)
        async with home.life():
            pass

    asyncio.run(past())
    folder, file = home.folder, home.folder / "value_maps" / "products.yaml"

    commands.diff("products", folder=folder)
    assert "GTXPro" in capsys.readouterr().out
    commands.export(folder=folder)
    assert "GTXPro" not in file.read_text()
    commands.export(yes=True, by="rita", folder=folder)
    assert "GTXPro: {zuora_rate_plan: PRP, zuora_charge: PRPC, netsuite_item: GTX Pro}" in file.read_text()
