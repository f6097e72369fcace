"""`/object-query` and ZOQL. Both read the same tables; both may be made to lag behind, as searches do."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from tieline_sandbox.kernel.app import encode_json
from tieline_sandbox.zuora.dates import stamp
from tieline_sandbox.zuora.errors import Category, Refusal, Resource, not_found
from tieline_sandbox.zuora.model import Tenant
from tieline_sandbox.zuora.store import Record, Table

PAGE_SIZE, PAGE_SIZE_MAX = 10, 99
KINDS = {
    "accounts", "orders", "subscriptions", "invoices", "credit-memos", "payments", "refunds", "products",
    "product-rate-plans", "product-rate-plan-charges", "usages", "invoice-items", "credit-memo-items",
    "rate-plans", "rate-plan-charges", "contacts", "debit-memos", "debit-memo-items",
}  # fmt: skip
_FILTER = re.compile(r"^(\w+)\.(EQ|NE|LT|LE|GT|GE|SW|IN):(.*)$", re.DOTALL)
Parameters = list[tuple[str, str]]


def bad(message: str) -> Refusal:
    return Refusal(Resource.UNKNOWN, Category.INVALID_PARAMETER, message, 400)


def hidden_after(t: Tenant, seconds: float) -> str:
    """Records created later than this are not found yet (the `slow_object_query` fault)."""
    return stamp(t.world.now() - timedelta(seconds=seconds))


def one(t: Tenant, kind: str, key: str, parameters: Parameters, horizon: str | None) -> Record:
    """GET /object-query/{kind}/{key}. Raises Refusal with status 404."""
    record = t.tables[kind].find(key)
    if record is None or (horizon is not None and record["createdDate"] >= horizon):
        refusal = not_found(key)
        refusal.status = 404
        raise refusal
    return _shown(t, kind, record, parameters, PAGE_SIZE_MAX)


def many(t: Tenant, kind: str, parameters: Parameters, horizon: str | None) -> Record:
    """GET /object-query/{kind}: filters combined with AND, one sort, pages by cursor. Raises Refusal (400)."""
    table = t.tables[kind]
    size = _page_size(parameters)
    field, descending = _sort(table, parameters)
    found, start = _found(t, table, parameters, field, descending, horizon)
    page = found[start : start + size]
    answer: Record = {"data": [_shown(t, kind, r, parameters, size) for r in page]}
    if len(found) > start + size:
        answer["nextPage"] = _cursor(page[-1], field)
    return answer


def _found(
    t: Tenant, table: Table, parameters: Parameters, field: str, descending: bool, horizon: str | None
) -> tuple[list[Record], int]:
    """All that matches, sorted, and where the page begins. Later pages of an unchanged table reuse the first's work."""
    cursor = _value(parameters, "cursor")
    key = (tuple(p for p in parameters if p[0] != "cursor"), horizon, table.version)
    cached = t.pages.get(table.kind)
    if cursor and cached and cached[0] == key:
        position = cached[2].get(_read_cursor(cursor)[1])
        if position is not None:
            return cached[1], position + 1
    filters = [_filter(table, f) for name, f in parameters if name in ("filter[]", "filter")]
    found = [r for r in _candidates(table, filters) if all(test(r) for _, _, _, test in filters)]
    if horizon is not None:
        found = [r for r in found if r["createdDate"] < horizon]
    # `id` breaks ties, so that no page repeats or skips a record.
    found.sort(key=lambda r: (_orderable(r.get(field)), r["id"]), reverse=descending)
    if len(found) > PAGE_SIZE_MAX:
        t.pages[table.kind] = (key, found, {r["id"]: n for n, r in enumerate(found)})
    return (_after(found, cursor, field, descending), 0) if cursor else (found, 0)


def _value(parameters: Parameters, name: str) -> str | None:
    return next((v for k, v in parameters if k == name), None)


def _page_size(parameters: Parameters) -> int:
    text = _value(parameters, "pageSize")
    # Documented: an unspecified or invalid page size becomes 10, and 99 is the most.
    if text is None or not text.isdigit() or int(text) < 1:
        return PAGE_SIZE
    return min(int(text), PAGE_SIZE_MAX)


def _field(table: Table, name: str) -> str:
    """The record's own spelling of a field named in any case. Raises Refusal (400) for an unknown one."""
    if not table.rows or name.endswith("__c"):
        return name
    folded = name.casefold()
    sample = next(iter(table.rows.values()))
    for field in sample:
        if field.casefold() == folded and field not in _PRIVATE.get(table.kind, ()):
            return field
    raise bad(f"The field '{name}' is not filterable or sortable on {table.kind}.")


def _filter(table: Table, text: str) -> tuple[str, str, list[str], Callable[[Record], bool]]:
    match = _FILTER.match(text)
    if match is None:
        raise bad(f"Invalid filter expression: '{text}'")
    field, operator, raw = _field(table, match[1]), match[2], match[3]
    values = [v.strip() for v in raw.strip("[]").split(",")] if operator == "IN" else [raw]
    return field, operator, values, _test(field, operator, values)


def _test(field: str, operator: str, values: list[str]) -> Callable[[Record], bool]:
    folded = {v.casefold() for v in values}
    if operator in ("EQ", "IN"):
        return lambda r: text_of(r.get(field)).casefold() in folded or _same_number(r.get(field), values)
    if operator == "NE":
        return lambda r: text_of(r.get(field)).casefold() not in folded
    if operator == "SW":
        return lambda r: text_of(r.get(field)).casefold().startswith(values[0].casefold())
    compare: dict[str, Callable[[Any, Any], bool]] = {
        "LT": lambda a, b: a < b,
        "LE": lambda a, b: a <= b,
        "GT": lambda a, b: a > b,
        "GE": lambda a, b: a >= b,
    }
    order = compare[operator]

    def ordered(r: Record) -> bool:
        value = r.get(field)
        if value is None:
            return False
        if isinstance(value, int | Decimal):
            return order(value, number_of(values[0]))
        return order(str(value), values[0])

    return ordered


def text_of(value: Any) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _same_number(value: Any, wanted: list[str]) -> bool:
    return isinstance(value, Decimal) and any(value == number_of(w) for w in wanted)


def number_of(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise bad(f"'{text}' is not a number") from error


def _candidates(table: Table, filters: list[tuple[str, str, list[str], Any]]) -> Iterable[Record]:
    """As few records as the indexes allow; the filters still decide."""
    for field, operator, values, _ in filters:
        if operator in ("EQ", "IN") and field in ("id", table.number):
            # An index holds the exact spelling; EQ ignores case, so a miss falls through to the scan.
            found = [r for v in values if (r := table.find(v)) is not None]
            if len(found) == len(values):
                return found
        if operator == "EQ" and field in table.links and field.endswith("Id") and values[0] != "null":
            return table.where(field, values[0])
        if operator in ("GE", "GT") and field == "updatedDate":
            return _updated_since(table, values[0])
    return table.rows.values()


def _updated_since(table: Table, since: str) -> list[Record]:
    found = []
    for record in table.latest_first():
        if record["updatedDate"] < since:
            break
        found.append(record)
    return found


def _sort(table: Table, parameters: Parameters) -> tuple[str, bool]:
    text = _value(parameters, "sort[]") or _value(parameters, "sort")
    if text is None:
        return "id", False
    name, _, direction = text.partition(".")
    if direction not in ("", "ASC", "DESC"):
        raise bad(f"Invalid sort expression: '{text}'")
    return _field(table, name), direction == "DESC"


def _orderable(value: Any) -> tuple[int, Any]:
    if value is None:
        return 0, ""
    return (1, value) if isinstance(value, int | Decimal) else (2, str(value))


def _cursor(record: Record, field: str) -> str:
    return base64.urlsafe_b64encode(encode_json([text_of(record.get(field)), record["id"]])).decode()


def _read_cursor(cursor: str) -> tuple[str, str]:
    try:
        text, last_id = msgspec.json.decode(base64.urlsafe_b64decode(cursor))
    except (ValueError, TypeError, msgspec.DecodeError) as error:
        raise bad("Invalid cursor") from error
    return text, last_id


def _after(found: list[Record], cursor: str, field: str, descending: bool) -> list[Record]:
    text, last_id = _read_cursor(cursor)
    for n, record in enumerate(found):
        if record["id"] == last_id and text_of(record.get(field)) == text:
            return found[n + 1 :]
    # The record moved since (it was updated): go on behind the place where it stood.
    return [r for r in found if ((text_of(r.get(field)), r["id"]) < (text, last_id)) == descending]


_EXPAND: dict[str, dict[str, tuple[str, str, str]]] = {
    # kind: expand name → (field in the answer, table, how): "@x" follows the id in x, "x" finds rows whose x is this id
    "accounts": {
        "billto": ("billTo", "contacts", "@billToId"),
        "soldto": ("soldTo", "contacts", "@soldToId"),
        "subscriptions": ("subscriptions", "subscriptions", "accountId"),
        "invoices": ("invoices", "invoices", "accountId"),
        "payments": ("payments", "payments", "accountId"),
        "creditmemos": ("creditMemos", "credit-memos", "accountId"),
        "usages": ("usages", "usages", "accountId"),
        "refunds": ("refunds", "refunds", "accountId"),
    },
    "orders": {"account": ("account", "accounts", "@accountId")},
    "subscriptions": {
        "account": ("account", "accounts", "@accountId"),
        "order": ("order", "orders", "@orderId"),
        "rateplans": ("ratePlans", "rate-plans", "subscriptionId"),
        "invoiceitems": ("invoiceItems", "invoice-items", "subscriptionId"),
    },
    "rate-plans": {
        "rateplancharges": ("ratePlanCharges", "rate-plan-charges", "ratePlanId"),
        "productrateplan": ("productRatePlan", "product-rate-plans", "@productRatePlanId"),
    },
    "invoices": {
        "account": ("account", "accounts", "@accountId"),
        "invoiceitems": ("invoiceItems", "invoice-items", "invoiceId"),
        "paymentparts": ("paymentParts", "payment-parts", "invoiceId"),
        "creditmemoparts": ("creditMemoParts", "credit-memo-parts", "invoiceId"),
    },
    "credit-memos": {
        "account": ("account", "accounts", "@accountId"),
        "creditmemoitems": ("creditMemoItems", "credit-memo-items", "creditMemoId"),
        "creditmemoapplications": ("creditMemoApplications", "credit-memo-parts", "creditMemoId"),
    },
    "payments": {
        "account": ("account", "accounts", "@accountId"),
        "paymentapplications": ("paymentApplications", "payment-parts", "paymentId"),
    },
    "debit-memos": {
        "account": ("account", "accounts", "@accountId"),
        "debitmemoitems": ("debitMemoItems", "debit-memo-items", "debitMemoId"),
        "paymentparts": ("paymentParts", "payment-parts", "debitMemoId"),
        "creditmemoparts": ("creditMemoParts", "credit-memo-parts", "debitMemoId"),
    },
    "refunds": {
        "account": ("account", "accounts", "@accountId"),
        "refundapplications": ("refundApplications", "refund-parts", "refundId"),
    },
    "products": {"productrateplans": ("productRatePlans", "product-rate-plans", "productId")},
    "product-rate-plans": {
        "product": ("product", "products", "@productId"),
        "productrateplancharges": ("productRatePlanCharges", "product-rate-plan-charges", "productRatePlanId"),
    },
    "product-rate-plan-charges": {"productrateplan": ("productRatePlan", "product-rate-plans", "@productRatePlanId")},
    "usages": {"account": ("account", "accounts", "@accountId")},
}
# What the tenant keeps for itself: the published models of these objects do not name it, so no client may read it.
_PRIVATE: dict[str, set[str]] = {
    "contacts": {"accountNumber", "contactDescription", "nickname"},
    "subscriptions": {"orderIds", "totalContractedValue"},
    "rate-plan-charges": {
        "anchorDate",
        "includedUnits",
        "overagePrice",
        "price",
        "productRatePlanChargeNumber",
        "tiers",
    },
    "invoices": {"accountNumber", "billRunId", "discount"},
    "invoice-items": {"creditedAmount", "chargeType", "productName"},
    "credit-memos": {"accountNumber"},
    "credit-memo-items": {"creditedAmount", "comment", "skuName"},
    "payments": {"accountNumber"},
    "debit-memos": {"accountNumber", "paymentAmount", "creditMemoAmount", "sourceId"},
    "debit-memo-items": {"comment", "skuName"},
    "refunds": {"paymentId", "paymentNumber", "creditMemoId"},
    "usages": {"chargeNumber"},
    "product-rate-plans": {"externallyManagedPlanIds"},
    "product-rate-plan-charges": {"price", "overagePrice"},
}


def _shown(t: Tenant, kind: str, record: Record, parameters: Parameters, size: int) -> Record:
    wanted = {v.casefold() for name, text in parameters if name in ("expand[]", "expand") for v in text.split(",")}
    nulls = _value(parameters, "includeNullFields") == "true"
    shown = _expanded(t, kind, record, wanted, size, nulls)
    fields = _value(parameters, "fields[]") or _value(parameters, f"{kind[:-1].replace('-', '')}.fields[]")
    if fields:
        kept = {f.casefold() for f in fields.split(",")} | {
            _EXPAND[kind][w][0].casefold() for w in wanted if w in _EXPAND[kind]
        }
        shown = {k: v for k, v in shown.items() if k.casefold() in kept}
    return shown


def _expanded(t: Tenant, kind: str, record: Record, wanted: set[str], size: int, nulls: bool) -> Record:
    private = _PRIVATE.get(kind, ())
    shown = {k: v for k, v in record.items() if (nulls or v is not None) and k not in private}
    for name, (field, table_name, how) in _EXPAND.get(kind, {}).items():
        if name not in wanted:
            continue
        table = t.tables[table_name]
        if how.startswith("@"):
            target = table.rows.get(record[how[1:]])
            shown[field] = _expanded(t, table_name, target, set(), size, nulls) if target else None
        else:
            rows = table.where(how, record["id"])[:size]
            shown[field] = [
                _expanded(t, table_name, _renamed(field, r), wanted - {"account"}, size, nulls) for r in rows
            ]
    return shown


def _renamed(field: str, row: Record) -> Record:
    """The parts of a payment are called applications here, with a word of their own for the amount."""
    if field in ("paymentApplications", "refundApplications"):
        return {("applyAmount" if name == "amount" else name): value for name, value in row.items()}
    return row
