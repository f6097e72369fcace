"""All of an order, or nothing: what its actions touch is remembered first and put back when one of them is refused.

Callouts wait until the whole order has succeeded.
"""

from __future__ import annotations

from copy import deepcopy
from types import TracebackType

from tieline_sandbox.zuora.model import Tenant
from tieline_sandbox.zuora.store import Record, Table


class Savepoint:
    """A context: leaving it by an exception undoes the subscriptions it was told of, and those made since."""

    def __init__(self, t: Tenant) -> None:
        self._t = t
        self._was: list[tuple[Table, Record, Record]] = []
        self._numbers: set[str] = set()

    def __enter__(self) -> Savepoint:
        self._t.held = []
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        held, self._t.held = self._t.held or [], None
        if kind is not None:
            self._undo()
            return
        for event, ids in held:
            self._t.announce(event, ids)

    def keep(self, number: str | None) -> None:
        """Remember subscription `number` with its plans and charges, or that there is none yet."""
        if number is None or number in self._numbers:
            return
        self._numbers.add(number)
        subscription = self._t.subscriptions.find(number)
        if subscription is None:
            return
        self._remember(self._t.subscriptions, subscription)
        for table in (self._t.rate_plans, self._t.charges):
            for record in table.where("subscriptionId", subscription["id"]):
                self._remember(table, record)
        for ramp in self._t.ramps.where("subscriptionNumber", number):
            self._remember(self._t.ramps, ramp)

    def made(self, number: str) -> None:
        """A subscription that the order created: it goes when the order is refused."""
        self._numbers.add(number)

    def _remember(self, table: Table, record: Record) -> None:
        self._was.append((table, record, deepcopy(record)))

    def _undo(self) -> None:
        kept = {record["id"] for _, record, _ in self._was}
        for number in self._numbers:
            if (subscription := self._t.subscriptions.find(number)) is not None:
                self._remove_new(subscription, kept)
        for table, record, was in self._was:
            if record["id"] not in table.rows:
                table.add(record)
            table.put_back(record, was)

    def _remove_new(self, subscription: Record, kept: set[str]) -> None:
        for table in (self._t.charges, self._t.rate_plans):
            for record in table.where("subscriptionId", subscription["id"]):
                if record["id"] not in kept:
                    table.remove(record)
        for ramp in self._t.ramps.where("subscriptionNumber", subscription["name"]):
            if ramp["id"] not in kept:
                self._t.ramps.remove(ramp)
        if subscription["id"] not in kept:
            self._t.subscriptions.remove(subscription)
