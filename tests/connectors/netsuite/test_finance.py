"""Contacts, projects, deposits and journal entries: the documents beside a sale."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.connectors.netsuite.conftest import (
    CONTACT,
    CUSTOMER,
    DEPOSIT,
    JOURNAL,
    ORDER,
    PROJECT,
    Books,
    changed,
    money,
)

from tieline.connectors.netsuite import NetSuiteConnector, NetSuiteSettings
from tieline.connectors.netsuite.errors import PeriodClosed
from tieline.connectors.netsuite.references import UnknownName
from tieline.domain import JournalEntry
from tieline.engine.ports import Absent, Applied
from tieline.errors import ConfigurationError
from tieline.mapping import MappingFailed, MissingReference
from tieline.mapping.documents import from_document


async def test_a_contact_and_a_project_hang_on_their_customer(books: Books) -> None:
    """Neither leaves before its customer stands."""
    with pytest.raises(MissingReference):
        books.call("contact", CONTACT)
    customer = await books.post_customer()
    contact, project = await books.post("contact", CONTACT), await books.post("project", PROJECT)
    (standing,) = books.standing("contact")
    assert (standing["id"], standing["entityId"], standing["company"]["id"]) == (contact, "Grace Okafor", customer)
    (job,) = books.standing("job")
    assert (job["id"], job["parent"]["id"], job["estimatedRevenue"]) == (project, customer, Decimal("7166.67"))
    (header,) = await books.connector.fetch("project.header", [project])
    assert header is not None
    assert header["externalid"] == PROJECT["id"]


async def test_a_deposit_names_the_order_it_is_for(books: Books) -> None:
    await books.post_customer()
    order = await books.post("order", ORDER)
    await books.post("deposit", DEPOSIT | {"order": ORDER["id"]})
    (standing,) = books.standing("customerDeposit")
    assert (standing["salesOrder"]["id"], standing["payment"], standing["unapplied"]) == (order, 500, 500)


async def test_a_changed_journal_entry_replaces_its_lines(books: Books) -> None:
    """Lines that are sent again would be appended, and the entry would be booked twice over."""
    await books.post_customer()
    entry = await books.post("journal_entry", JOURNAL)
    lines = [
        {**line, **{side: money("50.00") for side in ("debit", "credit") if line[side]}} for line in JOURNAL["lines"]
    ]
    smaller = JOURNAL | {"lines": lines}
    outcome = await books.send("journal_entry", smaller, external_id=entry)
    assert isinstance(outcome, Applied), outcome
    (standing,) = books.standing("journalEntry")
    assert (standing["debitTotal"], standing["creditTotal"], len(standing["line"]["items"])) == (50, 50, 2)
    assert isinstance(await books.probe("journal_entry", smaller, external_id=entry), Applied)
    assert isinstance(await books.probe("journal_entry", JOURNAL, external_id=entry), Absent)


async def test_an_account_that_nobody_opened_is_named_with_the_nearest(books: Books) -> None:
    lines = [{**JOURNAL["lines"][0], "account": "Deferred Revenu"}, {**JOURNAL["lines"][1], "customer": ""}]
    outcome = await books.send("journal_entry", JOURNAL | {"lines": lines})
    assert isinstance(outcome, UnknownName)
    assert "no account" in str(outcome)
    assert books.standing("journalEntry") == []


async def test_a_journal_entry_into_a_closed_month_is_told_as_such(books: Books) -> None:
    await books.post_customer()
    books.sandbox.act("close_period", {"through": "2026-10"})
    outcome = await books.send("journal_entry", JOURNAL | {"booked_on": "2026-10-31"})
    assert isinstance(outcome, PeriodClosed)
    assert "reopen the accounting period" in str(outcome)


def test_a_journal_entry_that_does_not_balance_never_becomes_one() -> None:
    lines = [JOURNAL["lines"][0], {**JOURNAL["lines"][1], "credit": money("83.32")}]
    with pytest.raises(MappingFailed, match="does not balance"):
        from_document(JOURNAL | {"lines": lines}, JournalEntry)
    assert from_document(JOURNAL, JournalEntry).lines[0].account == "2200"


async def test_a_connection_says_which_kinds_are_swept(books: Books, settings: NetSuiteSettings) -> None:
    """By default those that quote-to-cash reads: each stream costs a query a sweep, of slots that others need."""
    assert books.connector.manifest.streams == ("customer", "order", "invoice", "credit_note", "payment")
    connector = NetSuiteConnector("netsuite", changed(settings, streams=("contact", "journal_entry")))
    assert connector.manifest.streams == ("contact", "journal_entry")
    customer = await books.post_customer()
    contact = await books.post("contact", CONTACT)
    found = (await connector.changes("contact", "")).changed
    await connector.close()
    assert [native_id for native_id, _ in found] == [contact]
    assert customer != contact
    with pytest.raises(ConfigurationError, match="there are customer, order"):
        changed(settings, streams=("unicorn",))


async def test_a_customer_is_still_the_only_kind_that_is_searched_for(books: Books) -> None:
    """A contact is found by our id alone: people share names."""
    await books.post_customer()
    await books.post("contact", CONTACT)
    assert await books.connector.find("contact", CONTACT) == []
    assert [one.canonical_id for one in await books.connector.find("customer", CUSTOMER)] == [CUSTOMER["id"]]
