"""The Zuora tenant as the kernel sees it: seeded, configured, moved through its nights, and asked what stands in it."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import date, datetime
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from tieline_sandbox.kernel.app import encode_json
from tieline_sandbox.kernel.faults import Fault
from tieline_sandbox.kernel.vendor import Record, Vendor
from tieline_sandbox.kernel.world import World
from tieline_sandbox.zuora import accounts, billing, catalog, errors, orders, payments, subscriptions, urls, usage
from tieline_sandbox.zuora.access import Door
from tieline_sandbox.zuora.callouts import Callouts
from tieline_sandbox.zuora.errors import Category, Refusal, Resource
from tieline_sandbox.zuora.model import Settings, Tenant
from tieline_sandbox.zuora.usage import UsageRefused


class Sandbox(Vendor):
    """Zuora Billing with Orders and Invoice Settlement.

    Seed: `products`, `accounts`, `orders`, `usages`, `payments`. Faults beyond the kernel's: `expire_tokens`,
    `token_limit`, `locked`, `slow`, `slow_object_query`, `async_job_fails`, `async_job_locked`.
    """

    name: ClassVar[str] = "zuora"
    refusal_marks: ClassVar[tuple[bytes, ...]] = (b'"success":false',)

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._callouts = Callouts(self.webhooks)
        self.tenant = Tenant(world, self._announce)
        self.door = Door(self.tenant, self.faults)
        world.every_day(self._midnight)

    def _announce(self, event: str, ids: Record) -> None:
        self._callouts.announce(self.tenant, event, ids)

    def routes(self) -> list[BaseRoute]:
        return urls.routes(self.door, self.faults, self._callouts)

    def reset(self) -> None:
        self._callouts.reset()
        self.webhooks.reset()
        self.tenant.reset()
        self.door.reset()

    def seed(self, kind: str, records: list[Record]) -> list[Record]:
        """Store records by the same rules as the paths, without callouts. Raises KeyError, ValueError."""
        makers: dict[str, Any] = {
            "products": lambda r: catalog.seed_product(self.tenant, r),
            "accounts": lambda r: self._stored("accounts", accounts.create(self.tenant, r)["accountId"]),
            "orders": lambda r: self._stored("orders", orders.create(self.tenant, r)["orderId"]),
            "usages": lambda r: usage.create(self.tenant, r),
            "payments": lambda r: self._stored("payments", payments.create(self.tenant, r)["id"]),
        }
        make = makers[kind]
        self.tenant.quiet = True
        try:
            return [make(record) for record in records]
        except (Refusal, UsageRefused) as error:
            raise ValueError(f"{kind}: {error}") from error
        finally:
            self.tenant.quiet = False

    def _stored(self, kind: str, record_id: str) -> Record:
        return self.tenant.tables[kind].rows[record_id]

    def documents(self, kind: str | None = None) -> dict[str, list[Record]]:
        """Every record in object query's spelling. Raises KeyError for an unknown kind."""
        tables = self.tenant.tables if kind is None else {kind: self.tenant.tables[kind]}
        return {name: list(table.rows.values()) for name, table in tables.items()}

    def configure(self, settings: dict[str, Any]) -> dict[str, Any]:
        known = {f.name: f for f in fields(Settings)}
        if unknown := [name for name in settings if name not in known]:
            raise KeyError(", ".join(unknown))
        for name, value in settings.items():
            current = getattr(self.tenant.settings, name)
            setattr(self.tenant.settings, name, _fitting(current, value))
        return asdict(self.tenant.settings)

    def act(self, action: str, arguments: dict[str, Any]) -> Any:
        """Deeds without an API: `run_night` bills and collects for today; `cancel_account` closes an account."""
        if action == "run_night":
            self._night(self.tenant.today())
            return {"invoices": len(self.tenant.invoices.rows), "payments": len(self.tenant.payments.rows)}
        if action == "cancel_account":
            account = self.tenant.accounts.rows[self.tenant.accounts.by_number[arguments["accountNumber"]]]
            account["status"] = "Canceled"
            return account
        raise KeyError(action)

    async def _midnight(self, midnight: datetime) -> None:
        self._night(midnight.date())

    def _night(self, today: date) -> None:
        if self.tenant.settings.bill_run:
            billing.nightly(self.tenant, today)
        # After billing, so that the last period of a term that ends today is invoiced while the term still stands.
        subscriptions.end_terms(self.tenant, today)
        if self.tenant.settings.bill_run:
            billing.nightly(self.tenant, today)
        if self.tenant.settings.collect:
            payments.collect(self.tenant, today)

    def refuse(self, fault: Fault) -> Response:
        """The vendor's words for an ordered status: 429 as concurrency, 5xx as temporary errors, others as rules."""
        return _Refusal(self, fault)


class _Refusal(Response):
    """Built per request: the answer echoes the request's track id."""

    def __init__(self, sandbox: Sandbox, fault: Fault) -> None:
        super().__init__()
        self._sandbox, self._fault = sandbox, fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        headers = {"Zuora-Request-Id": f"{self._sandbox.world.random.getrandbits(128):032x}"}
        if track := request.headers.get("zuora-track-id"):
            headers["Zuora-Track-Id"] = track
        if self._fault.status == 429:
            headers["Retry-After"] = str(self._sandbox.tenant.settings.retry_after_s)
        content = encode_json(_words(self._fault))
        await Response(content, self._fault.status, headers, media_type="application/json")(scope, receive, send)


def _words(fault: Fault) -> Record:
    if fault.status == 429:
        return {"code": fault.code or "REQUEST_EXCEEDED_LIMIT", "message": errors.TOO_MANY}
    if fault.status == 401:
        code, message = (
            Resource.AUTH * 100 + Category.AUTHENTICATION,
            "this resource is protected, please sign in first",
        )
    elif fault.status >= 500:
        code, message = Resource.UNKNOWN * 100 + 61, "A temporary error occurred. Please resubmit your request."
    else:
        code, message = Resource.UNKNOWN * 100 + Category.RULE, "The request is refused."
    if fault.code and fault.code.isdigit():
        code = int(fault.code)
    return errors.failure(code, message, f"{fault.id:016X}", f"{fault.struck:032x}")


def _fitting(current: Any, value: Any) -> Any:
    """The value in the setting's own type: JSON has lists where a setting is a tuple, and exact decimals."""
    if isinstance(current, tuple):
        return tuple(float(v) if not isinstance(v, str) else v for v in value)
    if isinstance(current, float):
        return float(value)
    return value
