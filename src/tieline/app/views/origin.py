"""From a canonical field back to where it came from: the event, the charge, the contract line, the vendor's record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tieline.app.views.reading import View
from tieline.app.views.rules import RuleStep, explained, rule_for, same_value
from tieline.app.views.words import kind_words
from tieline.engine.effects import decode_wire
from tieline.engine.records import Effect, EffectState
from tieline.engine.run import to_builtins
from tieline.events import (
    CreditNoteIssued,
    InvoiceIssued,
    LoggedEvent,
    OpportunityWon,
    PaymentReceived,
    VendorNotified,
    decode_event,
    event_name,
)
from tieline.mapping import Explanation
from tieline.mapping.paths import Segment, format_segments, walk
from tieline.mapping.values import Unfit

Path = tuple[Segment, ...]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a lineage. `field` and `value` are what stands there; `rule` to `line` say what made it so.

    `reads` are what the rule read, one step further back; `table` is the label of the table as it stands now.
    """

    what: str
    where: str
    field: str
    value: Any
    rule: str = ""
    table: str = ""
    owner: str = ""
    note: str = ""
    file: str = ""
    line: int = 0
    reads: list[str] = []


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A canonical document in an event, and the notice whose record it was read from."""

    kind: str
    document: dict[str, Any]
    event: LoggedEvent
    notice: VendorNotified | None


class Origin:
    """Where the canonical document of an effect came from."""

    def __init__(self, view: View, effect: Effect, content: dict[str, Any]) -> None:
        self._view, self.effect, self._content = view, effect, content
        self.told: Told | None = None
        self.contract: Told | None = None
        self.order: Effect | None = None
        self._charges: dict[str, Explanation] = {}

    def steps(self, path: Path, value: Any) -> list[Step]:
        """From a canonical field to its sources, nearest first. `value` is what the document that was sent holds."""
        if self.effect.kind == "deal_status":
            return [self._by_process(path, value, "computed from the effect ledger and the event log")]
        if self.told is None:
            return self._of_contract(path, value)
        steps = [self._of_document(self.told, path, value)]
        if path[0] == "lines" and len(path) > 2 and isinstance(path[1], int):
            steps += self._of_line(path)
        return steps

    # --- documents that were read -------------------------------------------------------------------------------------

    def _of_document(self, told: Told, path: Path, value: Any) -> Step:
        """A field of a document as an event tells it, and the rule that read it from the vendor's record."""
        held = _value(told.document, path)
        rule = self._rule(told, path)
        if rule is None or not same_value(held, value) or _is_filled_in(rule, held):
            return self._by_process(path, value, f"not taken from the {kind_words(told.kind)} as it was read")
        record = told.notice
        name = told.document.get("number") or told.document["id"]
        return Step(
            what=f"read from {record.connection}" if record else "read",
            where=f"{kind_words(told.kind)} {name} in {_place(told.event)}",
            field=format_segments(path),
            value=held,
            rule=rule.rule,
            table=rule.label,
            owner=rule.owner,
            note=rule.note,
            file=rule.file,
            line=rule.line,
            reads=[f"{name} of {self._record(told, path)}" for name in rule.reads],
        )

    def _record(self, told: Told, path: Path) -> str:
        """The vendor's record behind a field: an invoice, an account, or the line of an opportunity."""
        record = told.notice
        if record is None:
            return "the record"
        if told.kind == "customer":
            return f"account {told.document['id'].removeprefix(f'{record.connection}-')}"
        item = _value(told.document, path[:2]) if len(path) > 2 and isinstance(path[1], int) else None
        if told.kind == "contract" and isinstance(item, dict):
            return f"opportunity line {item['id']} of {record.kind} {record.native_id}"
        return f"{kind_words(record.kind)} {record.native_id}"

    def _rule(self, told: Told, path: Path) -> RuleStep | None:
        vendor = self._view.vendors.get(told.notice.connection, "") if told.notice else ""
        for name in self._view.mappings.names:
            source, _, target = name.partition(" -> ")
            if target == told.kind and source.startswith(f"{vendor}."):
                mapping = self._view.mappings.mapping(name)
                return rule_for(mapping.table, mapping.label, path)
        return None

    def _by_process(self, path: Path, value: Any, how: str) -> Step:
        process = self.effect.run_id.partition(":")[0]
        return Step(
            what=f"set by {process}",
            where=f"run {self.effect.run_id}",
            field=format_segments(path),
            value=value,
            rule=how,
        )

    # --- from a billed line to the line that was sold -----------------------------------------------------------------

    def _of_line(self, path: Path) -> list[Step]:
        """The charge that billing bills the line by, and the contract line it was made from."""
        line = _value(self._content, path[:2])
        if not isinstance(line, dict):
            return []
        charge, rest = self._charge(str(line.get("charge", ""))), path[2:]
        sold = _index(self.contract, "id", str(line.get("line", "")))
        steps = [self._billed_by(line["charge"], charge)] if charge and rest[0] == "net" else []
        if (
            self.contract is not None
            and sold is not None
            and rest[0] in ("net", "product", "description", "quantity", "line")
        ):
            field: Path = ("lines", sold, *(("id",) if rest[0] == "line" else rest))
            steps.append(self._of_document(self.contract, field, _value(self.contract.document, field)))
        return steps

    def _charge(self, number: str) -> dict[str, Any] | None:
        content = msgspec.json.decode(self.order.content) if self.order else {}
        return next((c for c in content.get("charges", []) if number == f"C-{c['id']}"), None)

    def _billed_by(self, number: str, charge: dict[str, Any]) -> Step:
        order = self.order
        assert order is not None  # noqa: S101 - its charge was found
        price, period = charge.get("price"), msgspec.json.decode(order.content).get("billing_period", "period")
        rule = self._charges.get(charge["id"])
        often = {"recurring": f"each {period}", "one_time": "once", "usage": "by usage"}.get(charge["kind"], "")
        shown = f"{price['amount']} {price['currency']} {often}" if price else often
        return Step(
            what=f"billed by {order.connection}",
            where=f"charge {number} of order {order.external_id}",
            field=rule.target if rule else "price",
            value=f"{shown}, {charge['starts_on']} to {charge['ends_on']}",
            rule=rule.rule if rule else "",
            table=rule.label if rule else "",
            owner=rule.owner if rule else "",
            note=charge.get("description", "") if charge["id"].endswith("-R") else "",
            file=rule.file if rule else "",
            line=rule.line if rule else 0,
            reads=[f"{name} = {read}" for name, read in rule.sources if read is not None] if rule else [],
        )

    # --- documents made from the contract -----------------------------------------------------------------------------

    def _of_contract(self, path: Path, value: Any) -> list[Step]:
        """Orders, subscription orders and projects are made from the contract; each line knows its contract line."""
        if self.contract is None:
            return []
        field, how = self._contract_field(path)
        if field is None:
            return [self._by_process(path, value, how)]
        held = _value(self.contract.document, field)
        made = [] if same_value(held, value) else [self._by_process(path, value, how)]
        return [*made, self._of_document(self.contract, field, held)]

    def _contract_field(self, path: Path) -> tuple[Path | None, str]:
        assert self.contract is not None  # noqa: S101 - the caller looked
        if path[0] in ("lines", "charges") and len(path) > 2 and isinstance(path[1], int):
            item = _value(self._content, path[:2])
            sold = (
                _index(self.contract, "id", str(item.get("line") or item.get("id"))) if isinstance(item, dict) else None
            )
            if sold is None:
                return None, "made from no line of the contract"
            name, how = _LINE_FIELDS.get(str(path[2]), (str(path[2]), "as on the contract line"))
            if name in self.contract.document:
                return (name,), how
            return ("lines", sold, name, *path[3:]), how
        name, how = _FIELDS.get((self.effect.kind, str(path[0])), (str(path[0]), "made from the contract"))
        if name not in self.contract.document:
            return None, how
        return (name, *path[1:]), how


_LINE_FIELDS = {
    "recognise_from": ("starts_on", "as on the contract line"),
    "recognise_to": ("ends_on", "as on the contract line"),
    "billing_schedule": ("billing_period", "the contract's billing period, for recurring lines"),
    "price": (
        "net",
        "the line's amount in equal parts for its billing periods; what is left over is a rounding charge",
    ),
}
_FIELDS = {
    ("order", "ordered_on"): ("won_on", "the day the deal was won"),
    ("order", "contract"): ("id", "the contract itself"),
    ("order", "ends_on"): ("term_months", "the start and so many months, less a day"),
    ("order", "number"): ("number", "O- and the number of the deal"),
    ("order", "subscription"): ("", "the number of the subscription that billing activated"),
    ("subscription_order", "ordered_on"): ("won_on", "the day the deal was won"),
    ("subscription_order", "contract"): ("id", "the contract itself"),
    ("subscription_order", "number"): ("number", "O- and the number of the deal"),
    ("subscription_order", "subscription_number"): ("number", "S- and the number of the deal"),
    ("project", "contract"): ("id", "the contract itself"),
    ("project", "title"): ("name", "the name of the deal"),
    ("project", "budget"): ("", "the sum of the one-time lines"),
    ("project", "description"): ("", "the descriptions of the one-time lines"),
    ("project", "ends_on"): ("", "the last day of the one-time lines"),
    ("project", "starts_on"): ("", "the first day of the one-time lines"),
}
"""(kind, field) → the contract's field it is made from ("" for none alone), and how (source: domain/schedule.py)."""


async def origin_of(view: View, effect: Effect, content: dict[str, Any]) -> Origin:
    """Look up the event the document was made from, the deal behind it, and the order that billing bills by."""
    origin = Origin(view, effect, content)
    found = await view.store.events_after(effect.version - 1, 1) if effect.version else []
    if found:
        origin.told = await _told(view, effect, found[0])
    deal = str(content.get("contract") or effect.correlation_id)
    won = await view.store.events(type=OpportunityWon.__name__, subject=deal)
    if won:
        data = decode_event(won[-1])
        if isinstance(data, OpportunityWon):
            origin.contract = await _told_by(view, "contract", to_builtins(data.contract), won[-1])
    orders = await view.store.effects(kind="subscription_order", canonical_id=deal, state=EffectState.APPLIED)
    if orders and effect.kind in ("invoice", "credit_note"):
        origin.order = orders[-1]
        origin._charges = _charge_rules(view, orders[-1])
    return origin


async def _told(view: View, effect: Effect, event: LoggedEvent) -> Told | None:
    """The document of the effect's own kind in the event; None where the process made it from something else."""
    if event_name(event.type) == VendorNotified.__name__:
        return None
    data = decode_event(event)
    documents: list[Any] = []
    if isinstance(data, InvoiceIssued):
        documents = [("invoice", data.invoice)]
    elif isinstance(data, CreditNoteIssued):
        documents = [("credit_note", data.credit_note)]
    elif isinstance(data, PaymentReceived):
        documents = [("payment", data.payment)]
    elif isinstance(data, OpportunityWon):
        documents = [("customer", customer) for customer in data.customers]
    for kind, document in documents:
        if kind == effect.kind and document.id == effect.canonical_id:
            return await _told_by(view, kind, to_builtins(document), event)
    return None


async def _told_by(view: View, kind: str, document: dict[str, Any], event: LoggedEvent) -> Told:
    notice: VendorNotified | None = None
    for source in view.vendors:
        cause = await view.store.find_event(source, event.causation_id)
        data = decode_event(cause) if cause else None
        notice = data if isinstance(data, VendorNotified) else notice
    return Told(kind=kind, document=document, event=event, notice=notice)


def _charge_rules(view: View, order: Effect) -> dict[str, Explanation]:
    """Charge id → the field of the order that was sent whose rule reads the charge's price."""
    operation = view.operations.get((order.connection, order.kind, order.action))
    mapping = view.mappings.find(operation.mapping) if operation else None
    content = msgspec.json.decode(order.content)
    if mapping is None:
        return {}
    found: dict[str, Explanation] = {}
    for explanation in explained(mapping, content, decode_wire(order.request), order.connection, {}).values():
        for at, charge in enumerate(content.get("charges", [])):
            if any(name == f"charges[{at}].price.amount" for name, _ in explanation.sources):
                found.setdefault(charge["id"], explanation)
    return found


def _index(told: Told | None, field: str, wanted: str) -> int | None:
    """The position of the contract line with this id."""
    lines: Sequence[dict[str, Any]] = told.document.get("lines", []) if told else []
    return next((at for at, line in enumerate(lines) if line.get(field) == wanted), None)


def _is_filled_in(rule: RuleStep, held: Any) -> bool:
    """Whether the table leaves the field blank for the process to fill."""
    return rule.rule.startswith("always ") and held not in (None, "") and str(held) not in rule.rule


def _value(document: Any, path: Path) -> Any:
    try:
        return walk(document, path)
    except Unfit:
        return None


def _place(event: LoggedEvent) -> str:
    return f"{event_name(event.type)} #{event.seq}"
