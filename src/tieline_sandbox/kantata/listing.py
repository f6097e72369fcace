"""Lists: filters, order, pages and included associations, in the vendor's envelope.

`{"count", "results": [{"key", "id"}], "workspaces": {id: {…}}, "meta": {…}}`: `results` holds the order, the keyed
objects the content. Source: Kantata OX API documentation, "Response Format", "Pagination", "Includes".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from tieline_sandbox.kantata import errors
from tieline_sandbox.kantata.model import SUBJECTS, Account
from tieline_sandbox.kantata.timesheets import participants_of

Record = dict[str, Any]
MAX_PAGE = 200
MAX_REFS = 200
_ORDERS = {
    "workspaces": ("created_at", "due_date", "price", "start_date", "title", "updated_at", "percentage_complete"),
    "stories": ("created_at", "due_date", "start_date", "title", "updated_at"),
    "external_references": ("created_at", "last_synced_at"),
    "users": ("full_name",),
    "participations": ("created_at", "updated_at"),
    "time_entries": ("created_at", "date_performed", "updated_at"),
}
_DEFAULT_ORDER = {
    "workspaces": "updated_at:desc",
    "stories": "created_at:desc",
    "external_references": "last_synced_at:desc",
    "users": "full_name:asc",
    "participations": "created_at:desc",
    "time_entries": "date_performed:desc",
}
_PLAIN = frozenset({"users", "participations", "time_entries"})
"""Nothing of these is archived or tied to other systems."""
_TIMES = ("created_after", "created_before", "updated_after", "updated_before")
_INCLUDES = {
    "workspaces": {"external_references", "participants"},
    "stories": {"external_references", "workspace"},
    "external_references": {"subject"},
    "users": set(),
    "participations": {"user", "workspace"},
    "time_entries": {"user", "story", "workspace"},
}


def index(account: Account, kind: str, query: Mapping[str, str]) -> Record:
    """Answer a list request. Raises ApiError 400 for a filter the vendor cannot read."""
    times = {name: _utc(query.get(name)) for name in _TIMES}
    found = [r for r in _candidates(account, kind, query) if _in_time(r, times) and _fits(account, kind, r, query)]
    _sort(kind, found, query.get("order"))
    start, size = _page(query)
    return envelope(account, kind, found[start : start + size], query, total=len(found), start=start, size=size)


def envelope(
    account: Account, kind: str, records: list[Record], query: Mapping[str, str], *, total: int | None = None,
    start: int = 0, size: int = 20,
) -> Record:  # fmt: skip
    """Records as the vendor wraps them, with what `include` asks for beside them."""
    count = len(records) if total is None else total
    pages = {"count": count, "page_count": -(-count // size), "page_number": start // size + 1, "page_size": size}
    answer: Record = {"count": count, "results": [{"key": kind, "id": r["id"]} for r in records], kind: {}}
    asked = {name for name in query.get("include", "").split(",") if name}
    unknown = asked - _INCLUDES[kind]
    if unknown:
        raise errors.system(400, f"Invalid include: {', '.join(sorted(unknown))}")
    for record in records:
        answer[kind][record["id"]] = _with_includes(account, kind, record, asked, answer)
    return answer | {"meta": pages}


def _with_includes(account: Account, kind: str, record: Record, asked: set[str], answer: Record) -> Record:
    if not asked:
        return record
    shown = dict(record)
    if "external_references" in asked:
        references = account.references_of(kind, record["id"])
        shown["external_reference_ids"] = [r["id"] for r in references]
        answer.setdefault("external_references", {}).update({r["id"]: r for r in references})
    if "participants" in asked:
        shown["participant_ids"] = participants_of(account, record["id"])
        answer.setdefault("users", {}).update({i: account.get("users", i) for i in shown["participant_ids"]})
    for name, other in (("workspace", "workspaces"), ("user", "users"), ("story", "stories")):
        if name in asked and (found := account.tables[other].get(str(record[f"{name}_id"]))) is not None:
            answer.setdefault(other, {})[found["id"]] = found
    if "subject" in asked:
        subject_kind, subject_id = SUBJECTS[record["subject_type"]], str(record["subject_id"])
        shown["subject_ref"] = {"key": subject_kind, "id": subject_id}
        answer.setdefault(subject_kind, {})[subject_id] = account.get(subject_kind, subject_id)
    return shown


def _candidates(account: Account, kind: str, query: Mapping[str, str]) -> Iterable[Record]:
    """The records an index gives; the filters still decide."""
    table = account.tables[kind]
    if query.get("only"):
        return [table[i] for i in dict.fromkeys(query["only"].split(",")) if i in table]
    if kind == "external_references":
        if query.get("subject_type") not in SUBJECTS:
            raise errors.missing_parameter("subject_type")
        if "service_model_ref" in query:
            return account.references_to(query["service_model_ref"])
        return table.values()
    refs = _wanted_refs(query)
    if refs is not None:
        found = [r for ref in refs for r in account.references_to(ref) if SUBJECTS[r["subject_type"]] == kind]
        return [table[i] for i in dict.fromkeys(str(r["subject_id"]) for r in found)]
    if kind == "stories" and "workspace_id" in query:
        return [s for i in query["workspace_id"].split(",") for s in account.stories_of(i)]
    return table.values()


def _wanted_refs(query: Mapping[str, str]) -> list[str] | None:
    one, many = query.get("external_reference_service_model_ref"), query.get("external_reference_service_model_refs")
    if one is not None:
        # the published type of this filter is an integer; ids with letters go in the plural filter
        if not one.isdigit():
            raise errors.system(400, "external_reference_service_model_ref must be an integer")
        return [one]
    if many is None:
        return None
    refs = [ref for ref in many.split(",") if ref]
    if len(refs) > MAX_REFS:
        raise errors.system(400, f"external_reference_service_model_refs takes up to {MAX_REFS} values")
    return refs


def _fits(account: Account, kind: str, record: Record, query: Mapping[str, str]) -> bool:
    if kind == "external_references":
        same = ("service_name", "service_model", "service_model_ref", "subject_type", "subject_id", "status")
        return all(str(record[n]) == query[n] for n in same if n in query)
    if kind in _PLAIN:
        return _fits_plainly(record, query)
    if not _is_shown(record, query):
        return False
    if kind == "workspaces" and not _is_named(record, query):
        return False
    if "budgeted" in query and kind == "workspaces" and record["budgeted"] is not (query["budgeted"] == "true"):
        return False
    return _refers(account.references_of(kind, record["id"]), query)


def _fits_plainly(record: Record, query: Mapping[str, str]) -> bool:
    """Ids are lists, flags true or false; `date_performed_between` is 2013-06-01:2013-08-01, both days included."""
    ids = [name for name in ("workspace_id", "user_id", "story_id") if name in query]
    if not all(str(record.get(name)) in query[name].split(",") for name in ids):
        return False
    if not all(record.get(n) is (query[n] == "true") for n in ("approved", "billable") if n in query):
        return False
    first, colon, last = query.get("date_performed_between", "").partition(":")
    return not colon or first <= record["date_performed"] <= last


def _is_shown(record: Record, query: Mapping[str, str]) -> bool:
    archived = query.get("archived") or ("include" if query.get("include_archived") == "true" else "exclude")
    return archived == "include" or bool(record["archived"]) is (archived == "only")


def _is_named(record: Record, query: Mapping[str, str]) -> bool:
    """`matching`: each word starts a word of the title. `search`: the words stand in the title or description."""
    title = record["title"].casefold()
    if "matching" in query:
        words = title.split()
        return all(any(word.startswith(w) for word in words) for w in query["matching"].casefold().split())
    text = f"{record['id']} {title} {(record['description'] or '').casefold()}"
    return all(word in text for word in query.get("search", "").casefold().split())


def _refers(references: list[Record], query: Mapping[str, str]) -> bool:
    if "has_external_references" in query and bool(references) is not (query["has_external_references"] == "true"):
        return False
    if query.get("without_external_reference_service_name") in [r["service_name"] for r in references]:
        return False
    refs = _wanted_refs(query)
    names = ("service_name", "service_model", "status")
    wanted = {name: query[f"external_reference_{name}"] for name in names if f"external_reference_{name}" in query}
    if refs is None and not wanted:
        return True
    return any(
        (refs is None or r["service_model_ref"] in refs) and all(r[n] == v for n, v in wanted.items())
        for r in references
    )


def _in_time(record: Record, times: Mapping[str, str | None]) -> bool:
    if "updated_at" not in record:
        return True
    # times are kept in UTC, one spelling, so that they compare as text up to the seconds
    for field in ("created", "updated"):
        at, after, before = record[f"{field}_at"][:19], times[f"{field}_after"], times[f"{field}_before"]
        if (after and at <= after) or (before and at >= before):
            return False
    return True


def _utc(text: str | None) -> str | None:
    if not text:
        return None
    try:
        # a plus sign that was not escaped arrives as a blank
        moment = datetime.fromisoformat(text.strip().replace(" ", "+"))
    except ValueError:
        raise errors.system(400, f"invalid date: {text}") from None
    return (moment.astimezone(UTC) if moment.tzinfo else moment).strftime("%Y-%m-%dT%H:%M:%S")


def _sort(kind: str, found: list[Record], order: str | None) -> None:
    field, _, direction = (order or _DEFAULT_ORDER[kind]).partition(":")
    if field not in _ORDERS[kind] or direction not in ("asc", "desc"):
        field, _, direction = _DEFAULT_ORDER[kind].partition(":")
    name = "price_in_cents" if field == "price" else field
    found.sort(key=lambda r: int(r["id"]), reverse=direction == "desc")
    found.sort(key=lambda r: (r[name] is not None, r[name] if r[name] is not None else 0), reverse=direction == "desc")


def _page(query: Mapping[str, str]) -> tuple[int, int]:
    """Start and size: limit/offset when both are given, else page/per_page (20, at most 200)."""
    if "limit" in query and "offset" in query:
        return max(_number(query, "offset", 0), 0), min(max(_number(query, "limit", 20), 1), MAX_PAGE)
    size = min(max(_number(query, "per_page", 20), 1), MAX_PAGE)
    return (max(_number(query, "page", 1), 1) - 1) * size, size


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    return int(text) if text.lstrip("-").isdigit() else default
