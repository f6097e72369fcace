"""Events: their CloudEvents form, their versions, and the chain that shows every change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.engine import NOW, notified

from tieline.domain import Money
from tieline.errors import InvalidMessage
from tieline.events import (
    EVENTS,
    GENESIS,
    Event,
    LoggedEvent,
    PaymentFailed,
    VendorNotified,
    catalogue,
    chain_hash,
    decode_event,
    event_name,
    make_event,
    to_cloudevent,
    type_name,
)
from tieline.storage.memory import log_event

FAILED = PaymentFailed(payment="p-1", contracts=["k-1"], amount=Money(Decimal("10.10"), "EUR"), reason="expired card")


def failed(**fields: Any) -> Event:
    return make_event(FAILED, source="zuora", id="1", time=NOW, **fields)


# --- CloudEvents 1.0 ----------------------------------------------------------------------------------------------


def test_the_form_has_what_the_specification_requires() -> None:
    """Required: id, source (a URI reference), specversion, type; names of extensions in lower case and digits."""
    form = to_cloudevent(failed(causation_id="e-0"))
    assert form["specversion"] == "1.0"
    assert all(form[name] for name in ("id", "source", "type"))
    assert form["source"] == "/zuora"
    assert form["type"] == "tieline.PaymentFailed.v1"
    assert form["time"] == "2026-03-01T12:00:00Z"
    assert form["datacontenttype"] == "application/json"
    assert all(name.isalnum() and name == name.lower() for name in form)
    assert (form["correlationid"], form["causationid"]) == ("k-1", "e-0")
    assert form["data"]["amount"] == {"amount": "10.10", "currency": "EUR"}


def test_an_attribute_without_a_value_is_left_out() -> None:
    """CloudEvents forbids empty attributes."""
    form = to_cloudevent(notified("1"))
    assert "causationid" not in form
    assert "" not in [value for name, value in form.items() if name != "data"]


def test_a_time_elsewhere_is_told_in_utc() -> None:
    event = msgspec.structs.replace(failed(), time=datetime(2026, 3, 1, 14, tzinfo=timezone(timedelta(hours=2))))
    assert to_cloudevent(event)["time"] == "2026-03-01T12:00:00Z"


# --- reading and versions -----------------------------------------------------------------------------------------


def test_what_was_said_is_read_back() -> None:
    event = failed()
    assert decode_event(event) == FAILED
    assert (event.subject, event.correlation_id, event.topic) == ("p-1", "k-1", "PaymentFailed:p-1")


@given(st.text(max_size=20), st.text(max_size=20), st.dictionaries(st.text(max_size=5), st.text(max_size=5)))
def test_any_words_come_back(kind: str, native_id: str, raw: dict[str, str]) -> None:
    data = VendorNotified(connection="crm", kind=kind, native_id=native_id, raw=raw)
    assert decode_event(make_event(data, source="crm", id="1", time=NOW)) == data


def test_the_same_fact_told_later_is_the_same_fact() -> None:
    """The time of telling does not count, a word of the content does."""
    later = make_event(FAILED, source="zuora", id="1", time=NOW + timedelta(hours=1))
    other = msgspec.structs.replace(FAILED, reason="stolen card")
    assert later.content_hash() == failed().content_hash()
    assert make_event(other, source="zuora", id="1", time=NOW).content_hash() != failed().content_hash()


def test_every_event_names_itself_with_its_version() -> None:
    for name, kind in EVENTS.items():
        assert event_name(type_name(kind)) == name
        assert type_name(kind).endswith(f".v{kind.version}")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"type": "tieline.Rumour.v1"}, "unknown type 'tieline.Rumour.v1'"),
        ({"type": "rumour"}, "unknown type 'rumour'"),
        ({"data": b"{}"}, "breaks its contract: Object missing required field `payment`"),
        ({"data": b"oops"}, "breaks its contract"),
        ({"type": "tieline.PaymentFailed.v0"}, "PaymentFailed v0 cannot be read any more: no upcaster to v1"),
        ({"type": "tieline.PaymentFailed.vX"}, "unknown type"),
        ({"type": "tieline.PaymentFailed.v9"}, "PaymentFailed v9 .*newer"),
    ],
)
def test_what_cannot_be_read_is_said(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidMessage, match=sentence):
        decode_event(msgspec.structs.replace(failed(), **change))


def test_an_old_version_is_lifted_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """v1 said one contract, v2 says a list, v3 an amount as money: a v1 event is read as v3."""

    class Renewed(PaymentFailed, frozen=True, kw_only=True):
        version: ClassVar[int] = 3

    steps: dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] = {
        ("Renewed", 1): lambda data: {**data, "contracts": [data.pop("contract")]},
        ("Renewed", 2): lambda data: {**data, "amount": {"amount": data["amount"], "currency": "EUR"}},
    }
    monkeypatch.setitem(catalogue.EVENTS, "Renewed", Renewed)
    for place, step in steps.items():
        monkeypatch.setitem(catalogue.UPCASTERS, place, step)
    old = {"payment": "p-1", "contract": "k-1", "amount": "10.10", "reason": "expired card"}
    event = msgspec.structs.replace(failed(), type="tieline.Renewed.v1", data=msgspec.json.encode(old))
    read = decode_event(event)
    assert isinstance(read, Renewed)
    assert (read.contracts, read.amount) == (["k-1"], Money(Decimal("10.10"), "EUR"))


# --- the chain ----------------------------------------------------------------------------------------------------


def log(length: int) -> list[LoggedEvent]:
    rows: list[LoggedEvent] = []
    for n in range(length):
        rows.append(log_event(notified(str(n)), rows[-1] if rows else None, NOW + timedelta(seconds=n)))
    return rows


def broken_at(rows: list[LoggedEvent]) -> int | None:
    """The first place whose link does not hold."""
    previous = GENESIS
    for place, row in enumerate(rows):
        if row.prev_hash != previous or row.hash != chain_hash(previous, row, row.recorded_at):
            return place
        previous = row.hash
    return None


def test_an_untouched_log_is_whole() -> None:
    assert broken_at(log(6)) is None


CHANGES: dict[str, Any] = {
    "source": "other",
    "id": "other",
    "type": "tieline.Other.v1",
    "subject": "other",
    "time": datetime(2020, 1, 1, tzinfo=UTC),
    "data": b'{"amount":"1.00"}',
    "correlation_id": "other",
    "causation_id": "other",
    "recorded_at": datetime(2020, 1, 1, tzinfo=UTC),
    "prev_hash": "0" * 64,
    "hash": "0" * 64,
}


@pytest.mark.parametrize("field", CHANGES)
def test_a_change_of_any_field_of_any_row_breaks_the_chain(field: str) -> None:
    for place in range(1, 5):
        rows = log(6)
        rows[place] = msgspec.structs.replace(rows[place], **{field: CHANGES[field]})
        assert broken_at(rows) in (place, place + 1)


def test_a_row_taken_out_or_moved_breaks_the_chain() -> None:
    assert broken_at([row for row in log(6) if row.seq != 3]) == 2
    rows = log(6)
    rows[2], rows[3] = rows[3], rows[2]
    assert broken_at(rows) == 2


def test_words_that_slide_from_one_field_into_the_next_break_the_chain() -> None:
    """`ab` + `c` is not `a` + `bc`."""
    one, two = (
        msgspec.structs.replace(failed(), source=source, id=ident) for source, ident in (("ab", "c"), ("a", "bc"))
    )
    assert chain_hash(GENESIS, one, NOW) != chain_hash(GENESIS, two, NOW)
