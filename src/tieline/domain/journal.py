"""What finance books by hand or by rule, beside what billing issues: journal entries."""

from __future__ import annotations

from datetime import date

import msgspec

from tieline.domain.money import Money


class JournalLine(msgspec.Struct, frozen=True, kw_only=True):
    """One posting. `account` is the number or name people know; either `debit` or `credit` is given."""

    account: str
    debit: Money | None = None
    credit: Money | None = None
    customer: str = ""
    memo: str = ""

    def __post_init__(self) -> None:
        if (self.debit is None) == (self.credit is None):
            raise ValueError(f"the posting to {self.account} needs either a debit or a credit")


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Postings that belong together. Raises ValueError when debits and credits differ."""

    id: str
    number: str
    legal_entity: str
    currency: str
    booked_on: date
    memo: str = ""
    lines: list[JournalLine]
    posting_period: str = ""

    def __post_init__(self) -> None:
        debits, credits_ = Money.zero(self.currency), Money.zero(self.currency)
        for line in self.lines:
            debits += line.debit or Money.zero(self.currency)
            credits_ += line.credit or Money.zero(self.currency)
        if len(self.lines) < 2 or debits != credits_:
            raise ValueError(f"journal entry {self.number} does not balance: {debits} debit, {credits_} credit")
