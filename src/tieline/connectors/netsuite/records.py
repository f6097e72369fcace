"""Which of our documents is which record type, and how NetSuite's query language names it."""

from __future__ import annotations

import msgspec

from tieline.errors import ConfigurationError


class RecordType(msgspec.Struct, frozen=True, kw_only=True):
    """`name`: in REST paths; `label`: in sentences; `replace`: the sublists that an update replaces as a whole;
    `table`, `query_type`: in SuiteQL; `number`: the field that people know a record by.
    """

    name: str
    label: str
    replace: str = ""
    table: str = "transaction"
    query_type: str = ""
    number: str = "tranId"


RECORDS: dict[str, RecordType] = {
    "customer": RecordType(name="customer", label="customer", table="customer", number="entityId"),
    "order": RecordType(name="salesOrder", label="sales order", replace="item", query_type="SalesOrd"),
    "invoice": RecordType(name="invoice", label="invoice", replace="item", query_type="CustInvc"),
    "credit_note": RecordType(name="creditMemo", label="credit memo", replace="item", query_type="CustCred"),
    "payment": RecordType(name="customerPayment", label="customer payment", query_type="CustPymt"),
    "deposit": RecordType(name="customerDeposit", label="customer deposit", query_type="CustDep"),
    "journal_entry": RecordType(name="journalEntry", label="journal entry", replace="line", query_type="Journal"),
    "contact": RecordType(name="contact", label="contact", table="contact", number="entityId"),
    "project": RecordType(name="job", label="project", table="job", number="entityId"),
}
"""Kind → record type. Without `replace`, item lines that are sent again are appended (source: "Updating a Sublist");
lines of `apply` are known by their document and updated (source: "Customer Payment", REST web services).
"""

SWEPT = ("customer", "order", "invoice", "credit_note", "payment")
"""The kinds whose changes are looked for where a connection does not say otherwise."""

CATALOGUES: dict[str, tuple[str, tuple[str, ...]]] = {
    "item": (
        "SELECT id, itemid, fullname, displayname, isinactive, itemtype FROM item ORDER BY id",
        ("itemid", "fullname"),
    ),
    "subsidiary": (
        "SELECT id, name, fullname, country, currency, isinactive FROM subsidiary ORDER BY id",
        ("name", "fullname"),
    ),
    "currency": (
        "SELECT id, symbol, name, isinactive FROM currency ORDER BY id",
        ("symbol", "name"),
    ),
    "term": (
        "SELECT id, name, daysuntilnetdue, isinactive FROM term ORDER BY id",
        ("name",),
    ),
    "billingschedule": (
        "SELECT id, name, isinactive FROM billingschedule ORDER BY id",
        ("name",),
    ),
    "account": (
        "SELECT id, acctnumber, accountsearchdisplayname, isinactive FROM account ORDER BY id",
        ("acctnumber", "accountsearchdisplayname"),
    ),
    "accountingperiod": (
        (
            "SELECT id, periodname, TO_CHAR(startdate, 'YYYY-MM-DD') AS startdate, "
            "TO_CHAR(enddate, 'YYYY-MM-DD') AS enddate, closed, alllocked, arlocked, isadjust, isquarter, isyear "
            "FROM accountingperiod ORDER BY id"
        ),
        ("periodname",),
    ),
}
"""Reference list → its query, and the columns by which people name an entry."""

REFERENCE_FIELDS: dict[str, str] = {
    "item": "item",
    "subsidiary": "subsidiary",
    "currency": "currency",
    "terms": "term",
    "billingSchedule": "billingschedule",
    "account": "account",
    "postingPeriod": "accountingperiod",
}
"""Field of a record → the list its `refName` is looked up in."""


def record_type(kind: str) -> RecordType:
    """Raises ConfigurationError for a kind that NetSuite does not hold for us."""
    try:
        return RECORDS[kind]
    except KeyError:
        raise ConfigurationError(f"NetSuite holds no {kind!r}; it holds {', '.join(RECORDS)}") from None
