"""Running a query: which records, in which order, and what of them is shown; and the cursors of long answers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from tieline_sandbox.salesforce import errors
from tieline_sandbox.salesforce.aggregates import Column, fits, grouped
from tieline_sandbox.salesforce.criteria import Criteria
from tieline_sandbox.salesforce.ids import mint
from tieline_sandbox.salesforce.model import Org
from tieline_sandbox.salesforce.schema import TEXT, Field, SObject
from tieline_sandbox.salesforce.showing import Json, Show, Shower, cell
from tieline_sandbox.salesforce.soql import parse
from tieline_sandbox.salesforce.soqltree import Name, Order, Query
from tieline_sandbox.salesforce.store import Record
from tieline_sandbox.salesforce.values import parsed_time

MAX_OFFSET = 2000
BATCH = 2000
SMALLEST_BATCH = 200
OPEN_CURSORS = 500
_STAMP_ORDERS = ([("systemmodstamp",)], [("systemmodstamp",), ("id",)])


class Queries:
    """Answers /query, /queryAll and /query/{locator}."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._cursors: OrderedDict[str, tuple[list[Record], Show]] = OrderedDict()
        self._opened = 0

    def run(self, text: str, version: str, *, batch: int = BATCH, deleted: bool = False) -> Json:
        """The first page of an answer. Raises ApiError MALFORMED_QUERY, INVALID_FIELD, INVALID_TYPE…"""
        plan = _Plan(self._org, parse(text), version, deleted=deleted)
        records = plan.records()
        if plan.query.count:
            return {"totalSize": len(records), "done": True, "records": []}
        if plan.query.aggregates or plan.query.group:
            rows = plan.grouped(records)
            return {"totalSize": len(rows), "done": True, "records": rows}
        if len(records) <= batch:
            return {"totalSize": len(records), "done": True, "records": [plan.show(r) for r in records]}
        self._opened += 1
        cursor = mint("01g", self._opened)
        self._cursors[cursor] = (records, plan.show)
        while len(self._cursors) > OPEN_CURSORS:
            self._cursors.popitem(last=False)
        return self.more(f"{cursor}-0", version, batch=batch)

    def object_of(self, text: str, version: str) -> str:
        """The object a query is about, once the query is checked. Raises ApiError as `run` does."""
        return _Plan(self._org, parse(text), version, deleted=False).name

    def rows(self, text: str, version: str, *, deleted: bool) -> tuple[list[str], list[list[str]]]:
        """Header and rows of a bulk query. Raises ApiError for what only the REST resource answers."""
        plan = _Plan(self._org, parse(text), version, deleted=deleted)
        if plan.query.children or plan.query.count or plan.query.aggregates or plan.query.group:
            message = "Aggregate Relationships not supported in Bulk Query"
            raise errors.ApiError(400, "FUNCTIONALITY_NOT_ENABLED", message)
        header = plan.columns()
        return header, [[cell(plan.show(record), column) for column in header] for record in plan.records()]

    def more(self, locator: str, version: str, *, batch: int = BATCH) -> Json:
        """The page a locator points to. Raises ApiError INVALID_QUERY_LOCATOR."""
        cursor, _, start = locator.partition("-")
        if cursor not in self._cursors or not start.isdigit():
            raise errors.ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        records, show = self._cursors[cursor]
        end = int(start) + batch
        answer: Json = {"totalSize": len(records), "done": end >= len(records)}
        if end < len(records):
            answer["nextRecordsUrl"] = f"/services/data/v{version}/query/{cursor}-{end}"
        return answer | {"records": [show(r) for r in records[int(start) : end]]}


def batch_size(header: str | None) -> int:
    """`Sforce-Query-Options: batchSize=500`; outside 200-2000 the nearest of the two is taken."""
    name, _, value = (header or "").partition("=")
    if name.strip().lower() != "batchsize" or not value.strip().isdigit():
        return BATCH
    return min(max(int(value), SMALLEST_BATCH), BATCH)


class _Plan:
    """One SELECT on one object: checked once, then run."""

    def __init__(self, org: Org, query: Query, version: str, *, deleted: bool, sobject: SObject | None = None) -> None:
        self._org, self.query, self._version, self._deleted = org, query, version, deleted
        self._sobject = sobject or _object_named(org, query)
        self._table = org.store.tables[self._sobject.name]
        self._criteria = Criteria(org.store, org.world.now(), org.time_zone, self._subselect)
        self._check()
        where = query.where
        self._fits = self._criteria.predicate(self._sobject, where, query.text) if where else None
        self._orders = [(self._sortable(order.name), order) for order in query.order]
        self.show = self._shower()

    @property
    def name(self) -> str:
        return self._sobject.name

    def columns(self) -> list[str]:
        """What the query selects, in the schema's spelling: `Account.Name`."""
        chosen = [self._resolve(name) for name in self.query.fields]
        if self.query.every:
            chosen += [([], f) for f in self._sobject.stored if _in_group(f, self.query.every)]
        return [".".join([*(step.relationship for step in way), field.name]) for way, field in chosen]

    def records(self) -> list[Record]:
        """The records found, in order, after OFFSET and LIMIT."""
        query = self.query
        candidates = self._criteria.candidates(self._table, query.where, query.text)
        if query.aggregates or query.group:
            # order and limit are about the groups
            return list(self._filtered(self._by_stamp() if candidates is None else candidates))
        if candidates is None and self._in_stamp_order():
            stream = self._filtered(self._by_stamp(backward=query.order[0].descending))
            stop = None if query.limit is None else query.offset + query.limit
            return list(islice(stream, query.offset, stop))
        found = list(self._filtered(self._by_stamp() if candidates is None else candidates))
        return self._cut(self._sorted(found))

    def grouped(self, records: list[Record]) -> list[Json]:
        """What aggregate functions make of the records found. Raises ApiError for a field that is not grouped."""
        query = self.query
        keys = {name.path: self._criteria.getter(*self._resolve(name)) for name in query.group}
        columns = []
        for name in query.fields:
            way, field = self._resolve(name)
            if name.path not in keys:
                problem = f"Field must be grouped or aggregated: {field.name}"
                raise errors.in_query("MALFORMED_QUERY", query.text, name.at, problem)
            columns.append(Column("", keys[name.path], field.name))
        for function, name, alias in query.aggregates:
            way, field = self._resolve(name)
            if not fits(function, field):
                problem = f"field {field.name} does not support aggregate operator {function}"
                raise errors.in_query("MALFORMED_QUERY", query.text, name.at, problem)
            columns.append(Column(function, self._criteria.getter(way, field), alias))
        rows = grouped(records, list(keys.values()), columns)
        return rows[:: -1 if any(order.descending for order in query.order) else 1][: query.limit]

    def of_parent(self, field: str, record_id: str) -> Json | None:
        """A child subquery's answer for one parent: null when there are no children."""
        found = list(self._filtered(self._table.ids_where(field, record_id)))
        records = [self.show(r) for r in self._cut(self._sorted(found))]
        return {"totalSize": len(records), "done": True, "records": records} if records else None

    # finding

    def _by_stamp(self, *, backward: bool = False) -> Iterator[str]:
        low, high = self._criteria.bounds(self.query.where)
        span = self._table.between(low, high)
        return (record_id for _, record_id in (reversed(span) if backward else span))

    def _in_stamp_order(self) -> bool:
        """Whether the index has the order asked for, one way or the other."""
        wanted = [tuple(step.lower() for step in o.name.path) for o in self.query.order]
        return wanted in _STAMP_ORDERS and len({o.descending for o in self.query.order}) == 1

    def _filtered(self, ids: Iterable[str]) -> Iterator[Record]:
        records, fits, deleted = self._table.records, self._fits, self._deleted
        for record_id in ids:
            record = records[record_id]
            if (deleted or not record["IsDeleted"]) and (fits is None or fits(record)):
                yield record

    def _sorted(self, found: list[Record]) -> list[Record]:
        if not self._orders:
            found.sort(key=lambda record: record["Id"])
        for (way, field), order in reversed(self._orders):
            key = _order_key(self._criteria.getter(way, field), order, fold=field.type in TEXT)
            found.sort(key=key, reverse=order.descending)
        return found

    def _cut(self, found: list[Record]) -> list[Record]:
        limit = self.query.limit
        return found[self.query.offset :] if limit is None else found[self.query.offset : self.query.offset + limit]

    def _subselect(self, query: Query) -> set[Any]:
        plan = _Plan(self._org, query, self._version, deleted=self._deleted)
        if len(query.fields) != 1:
            raise errors.malformed_query(query.text, query.sobject.at, "SELECT")
        get = plan._criteria.getter(*plan._resolve(query.fields[0]))
        return {get(record) for record in plan.records()}

    # showing

    def _resolve(self, name: Name) -> tuple[list[Field], Field]:
        return self._criteria.resolve(self._sobject, name, self.query.text)

    def _sortable(self, name: Name) -> tuple[list[Field], Field]:
        way, field = self._resolve(name)
        if field.type == "address" or (field.type == "textarea" and field.length > 255):
            problem = f"field '{field.name}' can not be sorted in a query call"
            raise errors.in_query("INVALID_FIELD", self.query.text, name.at, problem)
        return way, field

    def _check(self) -> None:
        query = self.query
        if query.offset > MAX_OFFSET:
            problem = "Maximum SOQL offset allowed is 2000"
            raise errors.in_query("NUMBER_OUTSIDE_VALID_RANGE", query.text, query.sobject.at, problem)
        if query.every and query.every != "STANDARD" and (query.limit is None or query.limit > 200):
            problem = "The SOQL FIELDS function must have a LIMIT of at most 200"
            raise errors.in_query("MALFORMED_QUERY", query.text, query.sobject.at, problem)

    def _shower(self) -> Show:
        """A function from a record to what the query selects of it."""
        chosen = [self._resolve(name) for name in self.query.fields]
        if self.query.every:
            chosen += [([], f) for f in self._sobject.stored if _in_group(f, self.query.every)]
        children = [self._child(query) for query in self.query.children]
        own = Shower(self._org.store, self._version).of(self._sobject, chosen)
        if not children:
            return own

        def with_children(record: Record) -> Json:
            shown = own(record)
            for name, plan, field in children:
                shown[name] = plan.of_parent(field, record["Id"])
            return shown

        return with_children

    def _child(self, query: Query) -> tuple[str, _Plan, str]:
        name = query.sobject.path[-1]
        child = self._sobject.children.get(name.lower())
        if child is None:
            problem = (
                f"Didn't understand relationship '{name}' in FROM part of query call. If you are attempting to use a "
                "custom relationship, be sure to append the '__r' after the custom relationship name. Please reference "
                "your WSDL or the describe call for the appropriate names."
            )
            raise errors.in_query("INVALID_TYPE", query.text, query.sobject.at, problem)
        sobject = self._org.schema[child.sobject]
        plan = _Plan(self._org, query, self._version, deleted=self._deleted, sobject=sobject)
        return child.name, plan, child.field


def changed_between(org: Org, sobject: SObject, start: str, end: str, *, deleted: bool) -> list[Record]:
    """The records updated (or deleted) from `start` to `end`, both ISO 8601 with an offset."""
    low, high = parsed_time(start), parsed_time(end)
    if low is None or high is None or low > high:
        raise errors.ApiError(400, "INVALID_REPLICATION_DATE", "startDate before org created, replication not enabled")
    table = org.store.tables[sobject.name]
    span = table.between(low.strftime("%Y-%m-%dT%H:%M:%S"), high.strftime("%Y-%m-%dT%H:%M:%S~"))
    return [r for r in (table.records[i] for _, i in span) if r["IsDeleted"] is deleted]


def _object_named(org: Org, query: Query) -> SObject:
    name = query.sobject.path[-1]
    found = org.schema.find(name)
    if found is None or found.event:
        problem = (
            f"sObject type '{name}' is not supported. If you are attempting to use a custom object, be sure to append "
            "the '__c' after the entity name. Please reference your WSDL or the describe call for the appropriate "
            "names."
        )
        raise errors.in_query("INVALID_TYPE", query.text, query.sobject.at, problem)
    return found


def _in_group(field: Field, group: str) -> bool:
    return group == "ALL" or field.custom is (group == "CUSTOM")


def _order_key(get: Callable[[Record], Any], order: Order, *, fold: bool) -> Callable[[Record], tuple[bool, Any]]:
    # nulls come first unless told otherwise, in either direction, so the flag turns with the direction
    null_flag = order.nulls_first is order.descending

    def key(record: Record) -> tuple[bool, Any]:
        value = get(record)
        if value is None:
            return null_flag, ""
        return not null_flag, value.casefold() if fold else value

    return key
