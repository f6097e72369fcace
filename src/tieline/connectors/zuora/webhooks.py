"""Callouts: verified first, then read. A callout holds ids only and is a hint: the documents are fetched.

Zuora-Request-Id is new on every retry, so a notice is known by what it tells: event, object and status.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from tieline.connectors.zuora.settings import ZuoraSettings
from tieline.engine.ports import Notice
from tieline.errors import InvalidMessage

KINDS = {
    "PaymentRefund": "refund",
    "Subscription": "subscription",
    "Invoice": "invoice",
    "CreditMemo": "credit_memo",
    "DebitMemo": "debit_memo",
    "Payment": "payment",
}
"""What an event's name begins with → the kind of the notice, the longer beginnings first."""

NUMBERS = {
    "subscription": ("SubscriptionNumber", "SubscriptionId"),
    "invoice": ("InvoiceNumber", "InvoiceId"),
    "credit_memo": ("CreditMemoNumber", "MemoNumber", "CreditMemoId"),
    "debit_memo": ("DebitMemoNumber", "MemoNumber", "DebitMemoId"),
    "payment": ("PaymentNumber", "PaymentId"),
    "refund": ("RefundNumber", "RefundId"),
}
"""Where a callout names its object, the best first: a subscription's id changes with each of its versions."""


def notices(
    settings: ZuoraSettings, headers: Mapping[str, str], body: bytes, now_s: float | None = None
) -> list[Notice]:
    """Verify and read one callout. `now_s` is the real time in unix seconds. Raises InvalidMessage."""
    verify(settings, headers, body, time.time() if now_s is None else now_s)
    content = _content(body)
    event = str(content.get("event") or content.get("eventType") or "")
    kind = next((kind for start, kind in KINDS.items() if event.startswith(start)), None)
    if kind is None:
        raise InvalidMessage(f"the callout is about '{event[:60]}', which is none of {', '.join(KINDS)} events")
    native_id = next((str(content[name]) for name in NUMBERS[kind] if content.get(name)), "")
    if not native_id:
        raise InvalidMessage(f"the callout {event} names no {kind}: add {NUMBERS[kind][0]} to its body in Zuora")
    status = str(content.get("Status") or content.get("status") or "")
    marks = [event, native_id, *([status] if status else [])]
    return [Notice(id=":".join(marks), kind=kind, native_id=native_id, action=event, raw=content)]


def verify(settings: ZuoraSettings, headers: Mapping[str, str], body: bytes, now_s: float) -> None:
    """Check every proof that is configured. Raises InvalidMessage, also when none is: an unsigned word is no word."""
    given = {name.lower(): value for name, value in headers.items()}
    basic = bool(settings.callout_user or settings.callout_password)
    if not basic and not settings.callout_secret:
        raise InvalidMessage("callouts of this connection cannot be verified: set callout_secret or callout_user")
    if basic:
        _verify_basic(settings, given)
    if settings.callout_secret:
        _verify_signature(settings, given, body, now_s)


def _verify_basic(settings: ZuoraSettings, given: Mapping[str, str]) -> None:
    scheme, _, encoded = given.get("authorization", "").partition(" ")
    try:
        pair = base64.b64decode(encoded.strip(), validate=True) if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        pair = b""
    wanted = f"{settings.callout_user}:{settings.callout_password}".encode()
    if not hmac.compare_digest(pair, wanted):
        raise InvalidMessage("the callout's user and password are not ours")


def _verify_signature(settings: ZuoraSettings, given: Mapping[str, str], body: bytes, now_s: float) -> None:
    stamp = given.get(settings.timestamp_header.lower(), "").strip()
    signature = given.get(settings.signature_header.lower(), "").strip().lower()
    signed = hmac.new(settings.callout_secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(signature.encode(), signed.encode()):
        raise InvalidMessage("the callout's signature does not fit its content")
    # Only a signed stamp is worth reading.
    if not re.fullmatch(r"[0-9]{1,12}", stamp) or abs(now_s - int(stamp)) > settings.replay_window_s:
        raise InvalidMessage(f"the callout was signed more than {settings.replay_window_s} seconds from now")


def _content(body: bytes) -> dict[str, Any]:
    try:
        content = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise InvalidMessage("the callout's body is not JSON") from error
    if not isinstance(content, dict):
        raise InvalidMessage("the callout's body is not an object")
    return content
