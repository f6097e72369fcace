"""What an operator sees of a deal that ran through the whole company: trace, lineage, lists, status, replay."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.e2e.test_one_deal import OPPORTUNITY, pay_one_deal
from tests.support.company import Company, company, eventually
from tests.support.engine import until_idle
from typer.testing import CliRunner

from tieline.app.views.explain import FieldLineage, Lineage, explain_document
from tieline.app.views.reading import reading
from tieline.app.views.resolve import NothingFound, resolve
from tieline.cli.main import app
from tieline.engine.records import RunState
from tieline.errors import ConfigurationError

NATIVE = str(OPPORTUNITY["Id"])
DEAL = f"salesforce-{NATIVE}"


class Played(msgspec.Struct):
    """The folder of the company's project, and what was counted around a replay of its deal."""

    folder: Path
    before: dict[str, Any]
    after: dict[str, Any]
    planned: list[str]
    replays: list[str]
    working: dict[str, Any]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """One company for the whole module: a deal is won, billed and paid, then replayed."""
    return asyncio.run(_play(tmp_path_factory.mktemp("company") / "project"))


async def _play(folder: Path) -> Played:
    async with company(folder) as c:
        await pay_one_deal(c)
        return await _replayed(c, folder)


async def _replayed(c: Company, folder: Path) -> Played:
    """The command runs beside the hub, as a second writer of its database; the hub finds the request by itself."""
    before = await _counts(c)
    asked = await asyncio.to_thread(_json, folder, "replay", "--deal", NATIVE, "--yes", "--by", "ada")

    async def done() -> bool:
        rows = [await c.worker.store.run(run_id) for run_id in asked["requested"]]
        return all(row is not None and row.state.ended for row in rows)

    await eventually(done)
    await until_idle(c.worker)
    status = await asyncio.to_thread(_json, folder, "status")
    planned = [action["action"] for one in asked["runs"] for action in one["actions"]]
    return Played(folder, before, await _counts(c), planned, asked["requested"], status)


async def _counts(c: Company) -> dict[str, Any]:
    """Every write of the ledger, every document in the systems, and every fact told in the log but the requests."""
    kinds = [("netsuite", k) for k in ("customer", "salesOrder", "invoice", "customerPayment")]
    kinds += [("kantata", "workspaces"), ("salesforce", "Opportunity")]
    documents = {f"{vendor} {kind}": await c.sandboxes.documents(vendor, kind) for vendor, kind in kinds}
    told = Counter(e.type for e in await c.worker.store.events(limit=10_000) if "ReplayRequested" not in e.type)
    return {"documents": documents, "told": told, "effects": await c.worker.store.count_effects()}


def _run(folder: Path, *arguments: str) -> str:
    result = CliRunner().invoke(app, [*arguments, "--project", str(folder)], env={"COLUMNS": "100"})
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def _json(folder: Path, *arguments: str) -> Any:
    return msgspec.json.decode(_run(folder, *arguments, "--json"))


async def _explained(played: Played, *arguments: str) -> Lineage:
    async with reading(played.folder, tables=True) as view:
        return await explain_document(view, *arguments)


# --- trace ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ident",
    [
        NATIVE,
        NATIVE[:15],
        "00k000000000002AAA",
        "C-00k000000000001AAA-R",
        f"O-{NATIVE}",
        f"S-{NATIVE}",
        "INV00000002",
        "P-00000003",
        "zuora-INV00000004",
        "netsuite/invoice/3",
        "#8",
        "post-invoice:17",
    ],
)
async def test_ids_of_every_system_lead_to_the_deal(played: Played, ident: str) -> None:
    if ident.startswith("post-invoice"):
        ident = next(
            r["id"] for r in await asyncio.to_thread(_json, played.folder, "runs") if "post-invoice" in r["id"]
        )
    async with reading(played.folder) as view:
        assert (await resolve(view, ident)).deal == DEAL


def test_a_trace_is_one_json_document(played: Played) -> None:
    """Amounts are texts, the timeline is in order, every effect says how its outcome is known."""
    found = _json(played.folder, "trace", NATIVE)
    assert found["deal"] == DEAL
    assert found["status"] == "Paid"
    assert [Decimal(found["money"][k]) for k in ("booked", "billed", "posted", "paid")] == [Decimal("1500.01")] * 4
    times = [entry["at"] for entry in found["timeline"]]
    assert times == sorted(times)
    effects = [entry["effect"] for entry in found["timeline"] if entry["effect"]]
    assert Counter((e["connection"], e["kind"]) for e in effects)["netsuite", "invoice"] == 4
    assert {e["settled_by"] for e in effects} == {"answer"}


def test_a_trace_fits_a_screen_of_100_columns(played: Played) -> None:
    text = _run(played.folder, "trace", NATIVE)
    assert max(map(len, text.splitlines())) <= 100
    assert "Paid" in text
    assert "waits for nothing" in text
    assert "InvoicePosted" not in text
    assert "InvoicePosted" in _run(played.folder, "trace", NATIVE, "--all")


def test_an_unknown_id_is_refused_in_words(played: Played) -> None:
    result = CliRunner().invoke(app, ["trace", "nobody", "--project", str(played.folder)])
    assert isinstance(result.exception, NothingFound)


# --- explain ----------------------------------------------------------------------------------------------------------


def _sources(field: FieldLineage) -> list[str]:
    return [step.what for step in field.steps]


async def test_an_invoice_amount_leads_back_to_the_line_that_was_sold(played: Played) -> None:
    """ERP line ← table ← invoice item ← charge ← contract line ← the CRM line's total price, each with its rule."""
    found = await _explained(played, "netsuite", "invoice", "INV00000001", "amount")
    assert found.same_version
    assert [f.value for f in found.fields] == [Decimal("250.00"), Decimal("0.01"), Decimal("500.00")]
    assert _sources(found.fields[0]) == [
        "sent to netsuite",
        "read from zuora",
        "billed by zuora",
        "read from salesforce",
    ]
    sent, read, billed, sold = found.fields[0].steps
    assert (sent.owner, Path(sent.file).name) == ("finance", "invoice.yaml")
    assert read.reads == ["invoiceItems[0].chargeAmount of invoice INV00000001"]
    assert billed.value == "250.00 USD each quarter, 2026-01-10 to 2027-01-09"
    assert sold.value == Decimal("1000.01")
    assert sold.reads == [
        f"OpportunityLineItems.records[0].TotalPrice of opportunity line 00k000000000001AAA of opportunity {NATIVE}"
    ]


async def test_a_rounding_line_says_whose_rounding_it_is(played: Played) -> None:
    found = await _explained(played, "netsuite", "invoice", "2", "item.items[1].amount")
    billed = next(step for step in found.fields[0].steps if step.what == "billed by zuora")
    assert (billed.value[:13], billed.note) == ("0.01 USD once", "Rounding of line 1 over 4 periods")


@pytest.mark.parametrize(
    ("system", "document", "ident", "field", "value", "last"),
    [
        ("netsuite", "salesOrder", "1", "custcol_rev_end", "2027-01-09", "lines[0].ends_on"),
        ("netsuite", "order", f"O-{NATIVE}"[2:], "date", "2026-01-05", "won_on"),
        ("netsuite", "customer", DEAL.replace("006", "001", 1), "companyName", "Acme Corporation", "name"),
        ("zuora", "subscription_order", f"O-{NATIVE}", "paymentTerm", "Net 30", "payment_terms"),
        ("netsuite", "payment", "P-00000002", "payment", Decimal("250.00"), "amount.amount"),
        ("kantata", "project", DEAL, "title", "Acme platform - implementation", "name"),
    ],
)
async def test_documents_are_explained_to_their_source(
    played: Played, system: str, document: str, ident: str, field: str, value: object, last: str
) -> None:
    """By our name of the document or the system's, by its id there, its number or its canonical id."""
    found = await _explained(played, system, document, ident, field)
    assert found.fields[0].value == value
    assert found.fields[0].steps[-1].field == last
    assert found.fields[0].steps[-1].what.startswith("read from ")


async def test_every_field_that_was_sent_is_explained(played: Played) -> None:
    found = await _explained(played, "netsuite", "invoice", "zuora-INV00000003")
    assert all(field.steps and not field.remark for field in found.fields)
    assert {"tranDate", "entity.id", "item.items[0].custcol_crm_line"} <= {f.field for f in found.fields}


async def test_what_the_process_set_is_not_blamed_on_a_table(played: Played) -> None:
    """The deal of an invoice is found by the process: the table of the invoice leaves it blank."""
    found = await _explained(played, "netsuite", "invoice", "INV00000001", "custbody_crm_opportunity")
    assert found.fields[0].steps[1].what in ("set by post-invoice", "set by read-invoice")


async def test_a_table_changed_since_is_said_plainly(played: Played) -> None:
    """An own table overrides the shipped one: the versions differ, and so do the values it would make."""
    shipped = (await _explained(played, "netsuite", "invoice", "2", "amount")).fields[0].steps[0].file
    own = played.folder / "mappings"
    own.mkdir(exist_ok=True)
    try:
        _change(Path(shipped), own / "invoice.yaml")
        found = await _explained(played, "netsuite", "invoice", "2", "amount")
        assert not found.same_version
        assert found.recorded != found.in_force
        assert found.fields[0].value == Decimal("250.00")
        assert found.fields[0].remark == "today's table would make 7 of it"
    finally:
        (own / "invoice.yaml").unlink()


def _change(shipped: Path, own: Path) -> None:
    text = shipped.read_text(encoding="utf-8").replace("from: net.amount, as: decimal", "const: 7")
    own.write_text(text, encoding="utf-8")


async def test_a_wrong_question_is_answered_with_the_right_ones(played: Played) -> None:
    for arguments, error, words in (
        (("sap", "invoice", "1"), ConfigurationError, "netsuite"),
        (("netsuite", "quote", "1"), ConfigurationError, "salesOrder"),
        (("netsuite", "invoice", "999"), NothingFound, "wrote no invoice '999'"),
        (("netsuite", "invoice", "2", "colour"), ConfigurationError, "tranDate"),
    ):
        with pytest.raises(error, match=words):
            await _explained(played, *arguments)


def test_an_explanation_is_one_json_document_and_fits_a_screen(played: Played) -> None:
    found = _json(played.folder, "explain", "netsuite", "invoice", "INV00000001", "amount")
    assert found["fields"][0]["steps"][0]["line"] > 0
    for field in ("amount", ""):
        text = _run(played.folder, "explain", "netsuite", "invoice", "INV00000001", *([field] if field else []))
        assert max(map(len, text.splitlines())) <= 100


# --- lists and status -------------------------------------------------------------------------------------------------


def test_lists_print_json(played: Played) -> None:
    assert [e["type"] for e in _json(played.folder, "events", "--type", "OrderPosted")] == ["OrderPosted"]
    assert {e["state"] for e in _json(played.folder, "effects", "--kind", "invoice")} == {"applied"}
    assert len(_json(played.folder, "runs", "--process", "quote-to-cash")) == 2
    line = _run(played.folder, "events", "--cloudevents", "--limit", "1").strip()
    assert msgspec.json.decode(line)["specversion"] == "1.0"


def test_the_status_knew_that_the_hub_worked_and_knows_that_it_stopped(played: Played) -> None:
    assert (played.working["hub"]["state"], played.working["hub"]["behind"]) == ("working", 0)
    assert played.working["oldest"] is None
    assert _json(played.folder, "status")["hub"]["state"] == "stopped"
    assert "stopped" in _run(played.folder, "status")


def test_a_changed_row_of_the_log_is_found(played: Played, tmp_path: Path) -> None:
    """Somebody edits an amount in a copy of the database; the check names the row and fails."""
    assert _json(played.folder, "events", "--verify")["ok"]
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in ("tieline.toml", "tieline.db"):
        (copy / file).write_bytes((played.folder / file).read_bytes())
    with sqlite3.connect(copy / "tieline.db") as connection:
        connection.execute("UPDATE event SET data = replace(data, '250.00', '950.00') WHERE seq = 20")
    connection.close()
    result = CliRunner().invoke(app, ["events", "--verify", "--json", "--project", str(copy)])
    assert result.exit_code == 1
    assert msgspec.json.decode(result.stdout)["broken_at"] == 20


# --- replay -----------------------------------------------------------------------------------------------------------


def test_a_replay_of_a_finished_deal_sends_nothing_to_any_system(played: Played) -> None:
    """Every run of the deal ran again; ledger, systems and the told facts are as they were."""
    assert set(played.planned) == {"nothing"}
    assert len(played.replays) > 8
    assert played.after == played.before
    states = {r["id"]: r["state"] for r in _json(played.folder, "runs", "--limit", "500")}
    assert {states.get(run_id) for run_id in played.replays} <= {RunState.DONE.value}


def test_a_replay_shows_first_and_asks_only_with_yes(played: Played) -> None:
    found = _json(played.folder, "replay", "--event", "2")
    assert (found["sends"], found["requested"]) == (0, [])
    assert "nothing would be sent" in _run(played.folder, "replay", "--run", "quote-to-cash:2")
