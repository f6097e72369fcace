"""The demonstration as a user runs it: separate processes, faults, a kill -9, and a count in the systems themselves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

WANTED = {
    "deals_won", "customers", "subscriptions", "orders", "projects", "invoices", "payments", "booked", "billed",
    "posted", "lost", "doubled", "cases_open", "kills", "seconds",
}  # fmt: skip


def demo(*arguments: str) -> tuple[int, dict[str, Any], str]:
    done = subprocess.run(
        [sys.executable, "-m", "tieline", "demo", "--json", *arguments],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.stdout, done.stderr[-2000:]
    return done.returncode, json.loads(done.stdout), done.stderr


@pytest.mark.timeout(120)
def test_it_ties_out_under_faults_and_a_kill(tmp_path: Path) -> None:
    """Every deal is either complete in all systems, once and to the cent, or in a named case."""
    code, seen, _ = demo("--deals", "30", "--seed", "7", "--folder", str(tmp_path / "demo"))
    assert code == 0
    assert seen.keys() >= WANTED
    assert (seen["deals_won"], seen["kills"]) == (30, 1)
    assert (seen["lost"], seen["doubled"], seen["unequal"], seen["status_wrong"]) == (0, 0, 0, 0), seen["findings"]
    assert seen["booked"] == seen["billed"] == seen["posted"]
    assert seen["booked"]
    assert seen["deals_complete"] + seen["deals_cancelled"] + seen["deals_in_cases"] == 30
    assert {c["class"] for c in seen["cases"]} <= {"unknown-product", "ambiguous-customer"}
    assert all(c["owner"] and c["next_step"] for c in seen["cases"])


@pytest.mark.timeout(120)
def test_an_export_runs_through_and_one_correction_releases_its_class(tmp_path: Path) -> None:
    """A company's own CSV: the mistyped product is one class of case, one map entry posts every deal behind it."""
    products = ["GTX Pro", "GTXPro", "MG Special"]
    deals = ["opportunity_id,sales_agent,product,account,deal_stage,engage_date,close_date,close_value"]
    deals += [
        f"D{n},Ada,{products[n % 3]},Acme {n % 4},Won,2017-01-02,2017-03-{n + 1:02d},{100 + n}" for n in range(12)
    ]
    deals += ["L1,Ada,MG Special,Acme 1,Lost,2017-01-02,2017-03-01,0", "E1,Ada,MG Special,,Engaging,2017-01-02,,"]
    accounts = ["account,sector,year_established,revenue,employees,office_location,subsidiary_of"]
    accounts += [f"Acme {n},retail,1999,1.5,10,United States,{'Acme 0' if n == 3 else ''}" for n in range(4)]
    files = {
        "deals": deals,
        "accounts": accounts,
        "products": ["product,series,sales_price", "GTX Pro,GTX,4821", "MG Special,MG,55"],
    }
    options = ["--folder", str(tmp_path / "demo")]
    for name, lines in files.items():
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
        options += [f"--{name}-csv", str(tmp_path / f"{name}.csv")]
    code, seen, _ = demo(*options)
    assert code == 0, seen["findings"]
    assert (seen["deals_won"], seen["deals_complete"], seen["cases_open"]) == (12, 12, 0)
    assert (seen["lost"], seen["doubled"], seen["unequal"]) == (0, 0, 0)
    assert [(c["key"], c["like"], c["cases"]) for c in seen["corrections"]] == [("GTXPro", "GTX Pro", 4)]
    assert seen["booked"] == seen["billed"] == seen["posted"] == {"USD": "1266.00"}


def test_a_row_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """File and line of the row, the field, and why; nothing is started."""
    (tmp_path / "deals.csv").write_text(
        "opportunity_id,sales_agent,product,account,deal_stage,engage_date,close_date,close_value\n"
        "D1,Ada,GTX Pro,Acme,Won,2017-01-02,2017-03-01,12.3.4\n"
    )
    (tmp_path / "accounts.csv").write_text("account,office_location,subsidiary_of\nAcme,United States,\n")
    (tmp_path / "products.csv").write_text("product,series,sales_price\nGTX Pro,GTX,4821\n")
    options = [part for n in ("deals", "accounts", "products") for part in (f"--{n}-csv", str(tmp_path / f"{n}.csv"))]
    done = subprocess.run(
        [sys.executable, "-m", "tieline", "demo", *options], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "deals.csv:2" in done.stderr
    assert "12.3.4" in done.stderr


@pytest.mark.skipif(not Path("../shared/data/sales_pipeline.csv").exists(), reason="../shared/data is not there")
def test_the_public_export_is_read_whole() -> None:
    """8,800 opportunities, 4,238 of them won, and the product that only the deals know."""
    from tieline.app.demo.export import Export, read_export

    data = Path("../shared/data")
    loaded = read_export(
        Export(deals=data / "sales_pipeline.csv", accounts=data / "accounts.csv", products=data / "products.csv")
    )
    stages = [o["StageName"] for o in loaded.opportunities]
    assert (len(stages), stages.count("Closed Won")) == (8800, 4238)
    assert "GTXPro" in loaded.products
