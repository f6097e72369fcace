"""ZOQL: `select … from … where …`, in batches with a locator for the next. Reads the tables that object query reads."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from tieline_sandbox.zuora.catalog import pascal
from tieline_sandbox.zuora.model import Tenant
from tieline_sandbox.zuora.query import number_of, text_of
from tieline_sandbox.zuora.store import Record, Table

ZOQL_BATCH = 2000
_ZOQL = re.compile(r"^\s*select\s+(.+?)\s+from\s+(\w+)(?:\s+where\s+(.+?))?\s*;?\s*$", re.IGNORECASE | re.DOTALL)
_TEXT = re.compile(r"'(?:[^'\\]|\\.)*'")
_CLAUSE = re.compile(r"\s*(\w+)\s*(=|!=|<>|<=|>=|<|>|like)\s*('\d+'|[\w.:+-]+)\s*", re.IGNORECASE)
_OBJECTS = {
    "account": "accounts", "contact": "contacts", "subscription": "subscriptions", "invoice": "invoices",
    "invoiceitem": "invoice-items", "payment": "payments", "creditmemo": "credit-memos", "product": "products",
    "productrateplan": "product-rate-plans", "productrateplancharge": "product-rate-plan-charges", "usage": "usages",
    "rateplan": "rate-plans", "rateplancharge": "rate-plan-charges", "refund": "refunds", "orders": "orders",
    "debitmemo": "debit-memos", "debitmemoitem": "debit-memo-items", "import": "imports",
}  # fmt: skip


class MalformedQuery(ValueError):
    """A ZOQL statement that cannot be parsed, or that names something unknown."""


def select(t: Tenant, statement: str, horizon: str | None, batch: int | None = None) -> Record:
    """POST /v1/action/query. Raises MalformedQuery."""
    return _batch(t, rows(t, statement, horizon), min(batch or ZOQL_BATCH, ZOQL_BATCH))


def rows(t: Tenant, statement: str, horizon: str | None = None) -> list[Record]:
    """What a ZOQL statement selects. AND binds tighter than OR. Raises MalformedQuery."""
    match = _ZOQL.match(statement)
    if match is None:
        raise MalformedQuery(f"There is an error in the query: {statement}")
    kind = _OBJECTS.get(match[2].casefold())
    if kind is None:
        raise MalformedQuery(f"invalid type: {match[2]}")
    fields = [f.strip() for f in match[1].split(",")]
    table = t.tables[kind]
    groups = _groups(match[3]) if match[3] else []
    records = []
    for record in _zoql_candidates(table, groups):
        if horizon is not None and record["createdDate"] >= horizon:
            continue
        row = pascal(record)
        folded = {k.casefold(): v for k, v in row.items()}
        if not groups or any(all(_holds(folded, clause) for clause in group) for group in groups):
            records.append({"Id": record["id"], **{f: folded[f.casefold()] for f in fields if f.casefold() in folded}})
    return records


def more(t: Tenant, locator: str) -> Record:
    """POST /v1/action/queryMore. Raises MalformedQuery on an unknown locator."""
    records = t.locators.pop(locator, None)
    if records is None:
        raise MalformedQuery("The query locator is invalid or has expired.")
    return _batch(t, records, ZOQL_BATCH)


def _batch(t: Tenant, records: list[Record], size: int) -> Record:
    answer: Record = {"size": len(records), "done": len(records) <= size, "records": records[:size]}
    if not answer["done"]:
        locator = f"{t.new_id()}-{size}"
        t.locators[locator] = records[size:]
        answer["queryLocator"] = locator
    return answer


def _groups(where: str) -> list[list[tuple[str, str, str]]]:
    texts: list[str] = []

    def numbered(match: re.Match[str]) -> str:
        texts.append(re.sub(r"\\(.)", r"\1", match[0][1:-1]))
        return f"'{len(texts) - 1}'"

    # Texts stand aside while the words between them are split: an "or" inside one, or a quote, is no word.
    words = _TEXT.sub(numbered, where)
    return [
        [_clause(part, texts) for part in re.split(r"\s+and\s+", group, flags=re.IGNORECASE)]
        for group in re.split(r"\s+or\s+", words, flags=re.IGNORECASE)
    ]


def _clause(part: str, texts: list[str]) -> tuple[str, str, str]:
    match = _CLAUSE.fullmatch(part)
    if match is None:
        raise MalformedQuery(f"There is an error in the query: {part}")
    value = texts[int(match[3][1:-1])] if match[3][0] == "'" else match[3]
    return match[1].casefold(), match[2].lower(), value


def _zoql_candidates(table: Table, groups: list[list[tuple[str, str, str]]]) -> Iterable[Record]:
    number = (table.number or "id").casefold()
    for field, operator, value in groups[0] if len(groups) == 1 else []:
        if operator == "=" and field in ("id", number):
            record = table.find(value)
            return [record] if record else []
        if operator == "=" and field in table.links:
            return table.where(field, value)
    return list(table.rows.values())


def _holds(row: Record, clause: tuple[str, str, str]) -> bool:
    field, operator, wanted = clause
    value = row.get(field)
    if wanted.lower() == "null":
        return (value is None) == (operator == "=")
    if value is None:
        return operator in ("!=", "<>")
    left: Any = value if isinstance(value, int | Decimal) and not isinstance(value, bool) else text_of(value)
    right: Any = number_of(wanted) if not isinstance(left, str) else wanted
    if operator == "like":
        pattern = ".*".join(re.escape(p) for p in wanted.split("%"))
        return re.fullmatch(pattern, str(left), re.IGNORECASE) is not None
    if operator in ("=", "!=", "<>"):
        return bool((left == right) == (operator == "="))
    return bool({"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[operator])
