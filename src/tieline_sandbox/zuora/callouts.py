"""Callouts: what is sent, to whom, how it is signed, and the history that remembers every attempt."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from typing import Any

from tieline_sandbox.kernel.app import encode_json
from tieline_sandbox.kernel.webhooks import Webhook, WebhookSender
from tieline_sandbox.zuora.errors import Record
from tieline_sandbox.zuora.model import Tenant

EVENTS = (
    "SubscriptionActivated",
    "SubscriptionCancelled",
    "InvoicePosted",
    "CreditMemoPosted",
    "DebitMemoPosted",
    "PaymentProcessed",
    "PaymentDeclined",
    "PaymentRefundProcessed",
)
_MERGE = re.compile(r"<(\w+)\.(\w+)>")


class Callouts:
    """Turns an event of the tenant into webhooks: to the configured address, and to each matching definition."""

    def __init__(self, sender: WebhookSender) -> None:
        self._sender = sender
        self._later: set[asyncio.TimerHandle] = set()
        self._webhooks: dict[str, Webhook] = {}

    def reset(self) -> None:
        for timer in self._later:
            timer.cancel()
        self._later.clear()
        self._webhooks.clear()

    def announce(self, t: Tenant, event: str, ids: Record) -> None:
        if not t.settings.callouts_on:
            return
        delay = t.settings.activation_delay_s if event == "SubscriptionActivated" else 0.0
        if delay:
            loop = asyncio.get_running_loop()
            self._later = {timer for timer in self._later if timer.when() > loop.time()}
            self._later.add(loop.call_later(delay, lambda: self._send(t, event, ids)))
        else:
            self._send(t, event, ids)

    def _send(self, t: Tenant, event: str, ids: Record) -> None:
        if target := t.settings.callouts:
            self._queue(t, event, {"event": event, **ids}, target, event)
        for definition in t.definitions.where("eventTypeName", event):
            callout = definition.get("callout") or {}
            if definition["active"] and definition["calloutActive"] and callout.get("active", True):
                self._queue(t, event, _filled(callout, event, ids), _target(callout), definition["name"])

    def _queue(self, t: Tenant, event: str, content: Record, target: Record, notification: str) -> None:
        body = encode_json(content)
        attempts = _Attempts(t, event, target, notification, body, content)
        retries = t.settings.callout_retry_after_s if target.get("retry", True) else ()
        webhook = Webhook(
            target["url"],
            body,
            attempts.headers,
            accepted=attempts.accepted,
            retry_after_s=tuple(retries),
            about=event,
            method=target.get("method", "POST"),
        )
        attempts.webhooks = self._webhooks
        attempts.webhook = webhook
        self._sender.send(webhook)

    def resend(self, ids: list[str]) -> int:
        """Send these history entries' callouts again. Unknown ids are passed over."""
        chosen = {id(w): w for i in ids if (w := self._webhooks.get(i))}
        for webhook in chosen.values():
            self._sender.send(webhook)
        return len(chosen)


class _Attempts:
    """Headers, and one history entry, for each attempt: a new Zuora-Request-Id every time."""

    webhook: Webhook
    webhooks: dict[str, Webhook]

    def __init__(self, t: Tenant, event: str, target: Record, notification: str, body: bytes, content: Record) -> None:
        self._t, self._event, self._target, self._body = t, event, target, body
        self._notification, self._content = notification, content
        self._entry: Record = {}

    def headers(self, attempt: int) -> Mapping[str, str]:
        request_id = f"{self._t.world.random.getrandbits(128):032x}"
        self._note(attempt)
        headers = {
            "Content-Type": "application/json",
            "Zuora-Request-Id": request_id,
            "X-Amzn-Trace-Id": f"Root=1-{request_id[:8]}-{request_id[8:]}",
        }
        if basic := self._target.get("basic"):
            headers["Authorization"] = "Basic " + base64.b64encode(f"{basic[0]}:{basic[1]}".encode()).decode()
        if secret := self._target.get("hmac_secret"):
            # The time of sending is the wire's, not the tenant's: who receives it checks it against a real clock.
            timestamp = str(int(time.time()))
            signed = hmac.new(secret.encode(), f"{timestamp}.".encode() + self._body, hashlib.sha256)
            headers |= {"X-Zuora-Timestamp": timestamp, "X-Zuora-Signature": signed.hexdigest()}
        return headers

    def _note(self, attempt: int) -> None:
        self._entry = self._t.callouts.add(
            self._t.stamped(
                {
                    "attemptedNum": str(attempt),
                    "createTime": self._t.now(),
                    "eventCategory": self._event,
                    "eventContext": encode_json(self._content).decode(),
                    "notification": self._notification,
                    "requestMethod": self._target.get("method", "POST"),
                    "requestUrl": self._target["url"],
                    "responseCode": "0",
                    "responseContent": "",
                }
            )
        )
        self.webhooks[self._entry["id"]] = self.webhook

    def accepted(self, status: int, body: bytes) -> bool:
        self._entry["responseCode"], self._entry["responseContent"] = (
            str(status),
            body.decode("utf-8", "replace")[:1000],
        )
        return 200 <= status < 300


def _target(callout: Record) -> Record:
    auth = callout.get("calloutAuth") or {}
    basic = [auth.get("username"), auth.get("password")] if callout.get("requiredAuth") else None
    return {
        "url": callout["calloutBaseurl"],
        "method": callout.get("httpMethod", "POST"),
        "basic": basic,
        "retry": callout.get("calloutRetry", True),
    }


def _filled(callout: Record, event: str, ids: Record) -> Record:
    """`calloutParams` with merge fields such as `<Invoice.ID>` filled; without params, the ids as they are."""
    parameters: dict[str, Any] = callout.get("calloutParams") or {}
    if not parameters:
        return {"event": event, **ids}
    folded = {k.casefold(): str(v) for k, v in ids.items()}

    def fill(match: re.Match[str]) -> str:
        thing, field = match[1].casefold(), match[2].casefold()
        return folded.get(thing + field) or folded.get(field) or ""

    return {name: _MERGE.sub(fill, str(value)) for name, value in parameters.items()}


def history_view(entry: Record) -> Record:
    kept = (
        "id", "attemptedNum", "createTime", "eventCategory", "eventContext", "notification", "requestMethod",
        "requestUrl", "responseCode", "responseContent",
    )  # fmt: skip
    return {k: entry[k] for k in kept}
