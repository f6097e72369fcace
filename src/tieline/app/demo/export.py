"""A CRM export in CSV, loaded into the Salesforce sandbox; what its columns mean is said by mapping tables."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from tieline.app.demo.judge import Sold
from tieline.app.demo.world import Sandboxes
from tieline.errors import ConfigurationError, TranslationError
from tieline.mapping import MappingSet, ProblemsFound

Record = dict[str, Any]
SHIPPED = Path(__file__).parent / "exports"
DEAL, ACCOUNT = "crm_export.deal -> salesforce.Opportunity", "crm_export.account -> salesforce.Account"
LINE = "crm_export.deal -> salesforce.OpportunityLineItem"


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """The three files, and a folder of tables that replace the shipped ones by name."""

    deals: Path
    accounts: Path
    products: Path
    mappings: Path | None = None


class Row(msgspec.Struct, frozen=True):
    """A row and where it stands."""

    file: Path
    line: int
    values: Record


class Loaded(msgspec.Struct, frozen=True):
    """What the export held, as Salesforce records, and the truth about what was won."""

    accounts: list[Record]
    opportunities: list[Record]
    lines: list[Record | None]
    products: list[str]
    latest_close: date


def read_export(export: Export) -> Loaded:
    """Read and translate the files. Raises ConfigurationError naming file and line of every row that cannot be used."""
    tables = _tables(export)
    account_rows, product_rows = _rows(export.accounts), _rows(export.products)
    offices = {r.values["account"]: r.values.get("office_location") for r in account_rows}
    prices = {r.values["product"]: r.values.get("sales_price") for r in product_rows}
    problems: list[str] = []

    def made(table: str, row: Row) -> Record:
        try:
            return tables.mapping(table).run(row.values)
        except TranslationError as error:
            problems.append(f"{row.file.name}:{row.line}: {error}")
            return {}

    accounts = [
        made(ACCOUNT, row) | {"_name": row.values["account"], "_parent": row.values.get("subsidiary_of")}
        for row in account_rows
    ]
    deals = [_joined(row, offices, prices) for row in _rows(export.deals)]
    opportunities = [made(DEAL, row) | {"_account": row.values.get("account")} for row in deals]
    lines = [made(LINE, row) if row.values.get("close_value") else None for row in deals]
    if problems:
        more = f"\n… and {len(problems) - 20} more" if len(problems) > 20 else ""
        raise ConfigurationError("the export cannot be loaded:\n" + "\n".join(problems[:20]) + more)
    codes = dict.fromkeys([*prices, *(line["_ProductCode"] for line in lines if line)])
    closed = [date.fromisoformat(r.values["close_date"]) for r in deals if r.values.get("close_date")]
    return Loaded(accounts, opportunities, lines, list(codes), max(closed))


async def load_export(sandboxes: Sandboxes, loaded: Loaded) -> list[Sold]:
    """Put everything into Salesforce; returns what was won."""
    present = {p["ProductCode"] for p in await sandboxes.documents("salesforce", "Product2")}
    missing = [c for c in loaded.products if c not in present]
    await sandboxes.seed(
        "salesforce", "Product2", [{"Name": code, "ProductCode": code, "IsActive": True} for code in missing]
    )
    ids = await _load_accounts(sandboxes, loaded.accounts)
    records = [
        {name: value for name, value in o.items() if name != "_account"} | _account_of(o, ids)
        for o in loaded.opportunities
    ]
    stored = await sandboxes.seed("salesforce", "Opportunity", records)
    lines = [
        {**line, "OpportunityId": opportunity["Id"]}
        for opportunity, line in zip(stored, loaded.lines, strict=True)
        if line
    ]
    await sandboxes.seed("salesforce", "OpportunityLineItem", lines)
    return [
        Sold(
            opportunity_id=opportunity["Id"],
            account_id=opportunity["AccountId"],
            currency=opportunity["CurrencyIsoCode"],
            value=Decimal(str(line["TotalPrice"])) if line else Decimal(0),
        )
        for opportunity, line in zip(stored, loaded.lines, strict=True)
        if opportunity["StageName"] == "Closed Won"
    ]


async def _load_accounts(sandboxes: Sandboxes, accounts: Sequence[Record]) -> dict[str, str]:
    """Roots first, then each generation; returns name → id."""
    ids: dict[str, str] = {}
    left = list(accounts)
    while left:
        ready = [a for a in left if not a["_parent"] or a["_parent"] in ids]
        if not ready:
            raise ConfigurationError(f"accounts whose parent is unknown or a circle: {[a['_name'] for a in left]}")
        records = [
            {name: value for name, value in a.items() if not name.startswith("_")}
            | ({"ParentId": ids[a["_parent"]]} if a["_parent"] else {})
            for a in ready
        ]
        for account, stored in zip(ready, await sandboxes.seed("salesforce", "Account", records), strict=True):
            ids[account["_name"]] = stored["Id"]
        left = [a for a in left if a["_name"] not in ids]
    return ids


def _account_of(opportunity: Record, ids: dict[str, str]) -> Record:
    account = opportunity["_account"]
    return {"AccountId": ids[account]} if account in ids else {}


def _joined(row: Row, offices: dict[Any, Any], prices: dict[Any, Any]) -> Row:
    """The row with what its account and price list say, as a report in the CRM would join them."""
    values = {
        **row.values,
        "office_location": offices.get(row.values.get("account")),
        "sales_price": prices.get(row.values.get("product")),
    }
    return Row(row.file, row.line, values)


def _tables(export: Export) -> MappingSet:
    folders = [SHIPPED, *([export.mappings] if export.mappings else [])]
    tables = MappingSet.load(*folders)
    if tables.problems:
        raise ProblemsFound(tables.problems)
    return tables


def _rows(path: Path) -> list[Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows = [
                Row(path, reader.line_num, {k: (v.strip() or None) if v else None for k, v in row.items()})
                for row in reader
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{path}: this CSV file cannot be read: {error}") from error
    if not rows:
        raise ConfigurationError(f"{path}: this CSV file has no rows")
    return rows
