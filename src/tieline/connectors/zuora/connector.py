"""One connection to Zuora: the engine's Connector over the client. Numbers of our choosing keep every write single."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from tieline.connectors.sdk import Recent, each
from tieline.connectors.zuora import candidates, documents, streams, usage, webhooks
from tieline.connectors.zuora.client import ZuoraClient
from tieline.connectors.zuora.compare import account_difference, order_difference
from tieline.connectors.zuora.errors import AlreadyThere
from tieline.connectors.zuora.settings import API_VERSION, STREAMS, SWEPT, ZuoraSettings
from tieline.connectors.zuora.wire import Body
from tieline.engine.ports import (
    Absent,
    Applied,
    Call,
    Candidate,
    Changes,
    Finding,
    Limits,
    Manifest,
    Notice,
    Operation,
    Outcome,
    Safety,
    Usage,
    Wire,
)
from tieline.errors import ConfigurationError, OutcomeUnknown, RejectedByVendor, TransientError

_GRACE_S = 30.0

OPERATIONS = (
    Operation(kind="customer", safety=Safety.NATIVE_KEY, mapping="customer -> zuora.account", concurrency=16),
    Operation(
        kind="subscription_order", safety=Safety.NATIVE_KEY, mapping="subscription_order -> zuora.order", concurrency=16
    ),
    Operation(
        kind="subscription_order",
        action="cancel",
        safety=Safety.NATIVE_KEY,
        mapping="subscription_order.cancel -> zuora.order",
        concurrency=8,
        creates=False,
    ),
    Operation(
        kind="subscription_order",
        action="amend",
        safety=Safety.NATIVE_KEY,
        mapping="subscription_order.amend -> zuora.order",
        concurrency=8,
        creates=False,
    ),
    Operation(
        kind="subscription_order",
        action="renew",
        safety=Safety.NATIVE_KEY,
        mapping="subscription_order.renew -> zuora.order",
        concurrency=8,
        creates=False,
    ),
    # Nothing keeps a file from being read twice: it is looked for by its name once no request can be under way.
    Operation(
        kind="usage_batch",
        safety=Safety.LOOK_UP_FIRST,
        mapping="usage_batch -> zuora.usage_import",
        concurrency=2,
        settle_after_s=60.0 + _GRACE_S,
    ),
)

MANIFEST = Manifest(
    vendor="zuora",
    api_version=API_VERSION,
    operations=OPERATIONS,
    reads=tuple(documents.SPECS),
    finds=("customer",),
    catalogues=("rate_plan",),
    scopes=(
        "Billing: create and modify accounts, create orders, import usage",
        "Billing: read invoices, credit memos, debit memos, payments and refunds",
    ),
    streams=SWEPT,
    notices=tuple(webhooks.KINDS.values()),
    limits=Limits(slots=32, per_minute=50_000, per_day=27_000_000),
)

# Zuora keeps the first two for good; the others are given once, and belong to the people in billing from then on.
_FIRST_ONLY = ("accountNumber", "currency", "autoPay", "billCycleDay", "batch")
_AMEND = (
    "an executed order cannot be changed. Amend the subscription in Zuora with a new order (add, update or remove "
    "products), or cancel and renew it"
)


class ZuoraConnector:
    """`name` is the connection's name in the project. External ids are account numbers and order numbers."""

    def __init__(self, name: str, settings: ZuoraSettings) -> None:
        self.name = name
        self.settings = settings
        limits = Limits(
            slots=settings.slots,
            per_second=settings.per_second,
            per_minute=settings.per_minute,
            per_day=settings.per_day,
        )
        settled = [
            msgspec.structs.replace(o, settle_after_s=settings.timeout_s + _GRACE_S) if o.settle_after_s else o
            for o in OPERATIONS
        ]
        self.manifest = msgspec.structs.replace(
            MANIFEST, limits=limits, operations=tuple(settled), streams=settings.streams
        )
        self.client = ZuoraClient(settings)

    async def send(self, operation: Operation, calls: Sequence[Call]) -> list[Outcome]:
        self._known(operation)
        writes = {"customer": self._send_account, "usage_batch": self._send_usage}
        return await each(writes.get(operation.kind, self._send_order), calls)

    async def probe(self, operation: Operation, calls: Sequence[Call]) -> list[Finding]:
        self._known(operation)
        asks = {"customer": self._probe_account, "usage_batch": self._probe_usage}
        return await each(asks.get(operation.kind, self._probe_order), calls)

    async def fetch(self, kind: str, ids: Sequence[str]) -> list[Wire | None]:
        if kind not in documents.SPECS:
            raise ConfigurationError(f"Zuora has no '{kind}' to fetch; it has {', '.join(documents.SPECS)}")
        return await documents.fetch(self.client, kind, ids)

    async def find(self, kind: str, document: Wire) -> list[Candidate]:
        if kind != "customer":
            raise ConfigurationError(f"Zuora cannot look for '{kind}'; it can look for customer")
        return await candidates.find_customers(self.client, document)

    async def catalogue(self, kind: str) -> list[Wire]:
        if kind != "rate_plan":
            raise ConfigurationError(f"Zuora has no catalogue '{kind}'; it has rate_plan")
        return await documents.rate_plans(self.client)

    async def changes(self, stream: str, cursor: str) -> Changes:
        if stream not in STREAMS:
            raise ConfigurationError(f"Zuora has no stream '{stream}'; it has {', '.join(STREAMS)}")
        return await streams.changes(self.client, stream, cursor)

    async def notices(self, headers: Mapping[str, str], body: bytes, query: Mapping[str, str]) -> list[Notice]:
        return webhooks.notices(self.settings, headers, body)

    def acknowledgement(self) -> tuple[int, str, bytes]:
        return 200, "text/plain", b""

    @property
    def recent(self) -> Recent:
        return self.client.recent

    def usage(self) -> Usage:
        """Zuora's answers tell how many calls its tenant has a day, and near the end of them how many are left."""
        return self.client.usage()

    async def check(self) -> str:
        await self.client.read("/object-query/accounts?pageSize=1", "a query on accounts")
        return f"Zuora at {self.settings.url}, OAuth client {self.settings.client_id}"

    async def close(self) -> None:
        await self.client.close()

    # --- customers ----------------------------------------------------------------------------------------------------

    async def _send_account(self, call: Call) -> Outcome:
        body = await self._with_parent(call.wire)
        if call.external_id:
            return await self._change_account(call.external_id, body)
        number = str(body.get("accountNumber", ""))
        try:
            answer = await self.client.create_account(body, call.idempotency_key)
        except AlreadyThere as refused:
            if number and await self.client.find_account(number) is not None:
                raise OutcomeUnknown(f"Zuora says that account {number} is there already") from refused
            raise
        number = str(answer.get("accountNumber") or number)
        return Applied(external_id=number, display=number, response=answer)

    async def _change_account(self, number: str, body: Body) -> Outcome:
        found = await self.client.find_account(number)
        if found is None:
            raise RejectedByVendor(f"account {number} is no longer in Zuora: link the customer to another account")
        changes = {name: value for name, value in body.items() if name not in _FIRST_ONLY}
        held = (found.get("billingAndPayment") or {}).get("currency")
        if body.get("currency") not in (None, held):
            raise RejectedByVendor(
                f"Zuora holds account {number} in {held}, the customer is in {body['currency']}; the currency of an "
                "account cannot be changed: open a second account for this currency"
            )
        if account_difference(changes, found) == "":
            return Applied(external_id=number, display=number)
        answer = await self.client.update_account(number, changes)
        return Applied(external_id=number, display=number, response=answer)

    async def _probe_account(self, call: Call) -> Finding:
        number = call.external_id or str(call.wire.get("accountNumber", ""))
        found = await self.client.find_account(number)
        if found is None:
            return Absent()
        body = await self._with_parent(call.wire)
        if call.external_id:
            body = {name: value for name, value in body.items() if name == "currency" or name not in _FIRST_ONLY}
        if account_difference(body, found):
            return Absent(external_id=number)
        return Applied(external_id=number, display=number, response={"basicInfo": found.get("basicInfo")})

    async def _with_parent(self, wire: Wire) -> Body:
        """The body with the parent's Zuora id where the table wrote its account number."""
        body = dict(wire)
        if parent := body.get("parentId"):
            found = await self.client.account_id(str(parent))
            if found is None:
                number = body.get("accountNumber")
                raise RejectedByVendor(f"the parent of account {number}, account {parent}, is not in Zuora")
            body["parentId"] = found
        return body

    # --- orders -------------------------------------------------------------------------------------------------------

    async def _send_order(self, call: Call) -> Outcome:
        if call.external_id:
            return await self._compare_order(call)
        number = str(call.wire.get("orderNumber", ""))
        try:
            answer = await self.client.create_order(call.wire, call.idempotency_key, call.key.canonical_id)
        except AlreadyThere as refused:
            if number and await self.client.find_order(number) is not None:
                raise OutcomeUnknown(f"Zuora says that order {number} is there already") from refused
            raise
        if answer.get("status") in ("Failed", "Cancelled"):
            raise RejectedByVendor(f"Zuora took order {number} and left it {answer['status']}")
        return self._applied_order(call, answer)

    async def _compare_order(self, call: Call) -> Outcome:
        """An order that stands: the same again is done already, anything else cannot be."""
        order = await self.client.find_order(call.external_id)
        if order is None:
            raise RejectedByVendor(f"order {call.external_id} is no longer in Zuora")
        if difference := order_difference(call.wire, order):
            raise RejectedByVendor(
                f"order {call.external_id} stands in Zuora with other content ({difference}); {_AMEND}"
            )
        return self._applied_order(call, {"orderNumber": call.external_id, "status": order.get("status")})

    async def _probe_order(self, call: Call) -> Finding:
        number = call.external_id or str(call.wire.get("orderNumber", ""))
        order = await self.client.find_order(number)
        if order is None:
            return Absent()
        status = str(order.get("status") or "")
        if status == "Executing":
            raise TransientError(f"Zuora is still executing order {number}", retry_after_s=2.0)
        if status in ("Draft", "Cancelled", "Failed"):
            raise RejectedByVendor(
                f"order {number} stands in Zuora as {status}: activate or delete it there before trying again"
            )
        if order_difference(call.wire, order):
            return Absent(external_id=number)
        return self._applied_order(call, {"orderNumber": number, "status": status})

    def _applied_order(self, call: Call, answer: Body) -> Applied:
        number = str(answer.get("orderNumber") or call.external_id or call.wire.get("orderNumber", ""))
        return Applied(external_id=number, display=subscription_number(call.wire) or number, response=answer)

    # --- usage --------------------------------------------------------------------------------------------------------

    async def _send_usage(self, call: Call) -> Outcome:
        return await usage.send(self.client, call)

    async def _probe_usage(self, call: Call) -> Finding:
        return await usage.probe(self.client, call)

    def _known(self, operation: Operation) -> None:
        if (operation.kind, operation.action) not in {(o.kind, o.action) for o in OPERATIONS}:
            raise ConfigurationError(f"Zuora cannot {operation.action} '{operation.kind}'")


def subscription_number(order: Wire) -> str:
    """The number of the subscription that an order body creates or changes, "" for none."""
    for entry in order.get("subscriptions") or []:
        for action in entry.get("orderActions") or []:
            number = (action.get("createSubscription") or {}).get("subscriptionNumber")
            if number or entry.get("subscriptionNumber"):
                return str(number or entry["subscriptionNumber"])
    return ""
