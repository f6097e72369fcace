"""SuiteQL texts: headers of many records, what changed since, and customers that may be the one looked for.

SuiteQL tells and takes lastmodifieddate on the company's wall clock, in practice to the minute: streams therefore page
by id inside a window and never compare a stamp for equality.
"""

from __future__ import annotations

from collections.abc import Iterable

from tieline.connectors.netsuite.records import RecordType

_STAMP_SQL = "YYYY-MM-DD HH24:MI:SS"
_IN_LIST = 900
"""Oracle takes at most 1,000 expressions in one IN list."""

_STAMP_COLUMN = f"TO_CHAR(t.lastmodifieddate, '{_STAMP_SQL}') AS lastmodified"
_PARTY_COLUMNS = "t.id AS id, t.externalid AS externalid, t.entityid AS entityid, t.email AS email, t.phone AS phone, "
_COLUMNS = {
    "transaction": (
        "t.id AS id, t.externalid AS externalid, t.tranid AS tranid, t.entity AS entity, "
        "TO_CHAR(t.trandate, 'YYYY-MM-DD') AS trandate, TO_CHAR(t.duedate, 'YYYY-MM-DD') AS duedate, "
        "c.id AS currency, c.symbol AS currencysymbol, t.foreigntotal AS foreigntotal, "
        "t.foreignamountunpaid AS foreignamountunpaid, t.postingperiod AS postingperiod, "
        "t.otherrefnum AS otherrefnum, t.memo AS memo, t.status AS status, "
    ),
    "customer": _PARTY_COLUMNS + "t.companyname AS companyname, t.vatregnumber AS vatregnumber, c.id AS currency, "
    "c.symbol AS currencysymbol, t.isinactive AS isinactive, ",
    "contact": _PARTY_COLUMNS + "t.company AS company, t.isinactive AS isinactive, ",
    "job": _PARTY_COLUMNS + "t.companyname AS companyname, t.isinactive AS isinactive, ",
}
"""SuiteQL table → the columns of its headers."""
_WITH_CURRENCY = frozenset({"transaction", "customer"})


def quoted(text: str) -> str:
    """A SuiteQL text literal."""
    return "'" + text.replace("'", "''") + "'"


def chunks(ids: Iterable[str]) -> list[list[str]]:
    """Internal ids (digits; others cannot exist) in lists that one query takes."""
    known = sorted({one for one in ids if one.isascii() and one.isdigit()}, key=int)
    return [known[at : at + _IN_LIST] for at in range(0, len(known), _IN_LIST)]


def headers(record: RecordType, ids: list[str]) -> str:
    """Header fields of records by internal id; amounts in the document's own currency."""
    join = "LEFT JOIN currency c ON c.id = t.currency " if record.table in _WITH_CURRENCY else ""
    return (
        f"SELECT {_COLUMNS[record.table]}{_STAMP_COLUMN} FROM {record.table} t {join}"
        f"WHERE {_of_type(record)}t.id IN ({', '.join(ids)}) ORDER BY t.id"
    )


def changed(record: RecordType, since: str, after_id: str) -> str:
    """Ids and stamps of records changed at or after `since` (wall clock, "" for ever), above an id, by id."""
    window = f"t.lastmodifieddate >= TO_TIMESTAMP({quoted(since)}, '{_STAMP_SQL}') AND " if since else ""
    return (
        f"SELECT t.id AS id, TO_CHAR(t.lastmodifieddate, '{_STAMP_SQL}') AS lastmodified FROM {record.table} t "
        f"WHERE {_of_type(record)}{window}t.id > {int(after_id or 0)} ORDER BY t.id"
    )


def latest(record: RecordType) -> str:
    """The newest stamp of a record type."""
    condition = _of_type(record).removesuffix(" AND ")
    where = f" WHERE {condition}" if condition else ""
    return f"SELECT TO_CHAR(MAX(t.lastmodifieddate), '{_STAMP_SQL}') AS lastmodified FROM {record.table} t{where}"


def customers_like(external_id: str, tax_numbers: list[str], name_part: str) -> str:
    """Active customers with this external id, one of these tax numbers (letters and digits only, upper case), or a
    company name that holds `name_part`. The caller looks closer.
    """
    conditions = [f"externalid = {quoted(external_id)}"] if external_id else []
    if tax_numbers:
        bare = "UPPER(REPLACE(REPLACE(REPLACE(vatregnumber, ' ', ''), '.', ''), '-', ''))"
        conditions.append(f"{bare} IN ({', '.join(quoted(number) for number in tax_numbers)})")
    if name_part:
        conditions.append(f"UPPER(companyname) LIKE {quoted(f'%{name_part.upper()}%')}")
    return (
        "SELECT id, entityid, companyname, vatregnumber, externalid FROM customer "
        f"WHERE isinactive = 'F' AND ({' OR '.join(conditions)}) ORDER BY id"
    )


def _of_type(record: RecordType) -> str:
    return f"t.type = {quoted(record.query_type)} AND " if record.query_type else ""
