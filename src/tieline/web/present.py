"""How values are shown on a page: money, times, ids. Text only; nothing here decides anything."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlencode

import msgspec
from babel.numbers import format_currency, format_decimal
from markupsafe import Markup

from tieline.app.views.words import kind_words, span
from tieline.domain import Money

LOCALE = "en_US"
_SYSTEMS = {"netsuite": "NetSuite", "zuora": "Zuora", "salesforce": "Salesforce", "kantata": "Kantata"}


def money(value: object, currency: str = "") -> str:
    """`1,234.50 EUR`; a text like "1234.5 EUR" is read first, and what is no amount is left as it is."""
    if isinstance(value, Money):
        return money(value.amount, value.currency)
    if isinstance(value, str):
        number, _, code = value.partition(" ")
        currency, value = currency or code, number
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return str(value)
    if not currency:
        return figure(amount)
    return f"{format_currency(amount, currency, '#,##0.00', LOCALE, currency_digits=True).strip()} {currency}"


def figure(value: Decimal | float) -> str:
    """A number with thousands set apart."""
    return str(format_decimal(value, locale=LOCALE))


def ago(moment: datetime | None, now: datetime) -> Markup:
    """`3 min ago`, with the exact time behind it; "" for never."""
    if moment is None:
        return Markup("")
    text = f"{span(now - moment)} ago" if moment <= now else f"in {span(moment - now)}"
    return _time(moment, text)


def exact(moment: datetime | None) -> Markup:
    """The time itself, UTC."""
    return Markup("") if moment is None else _time(moment, f"{moment:%Y-%m-%d %H:%M:%S}")


def _time(moment: datetime, text: str) -> Markup:
    stamp = f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(moment.isoformat(), stamp, text)


def system(name: str) -> str:
    """A connection as people call it."""
    return _SYSTEMS.get(name, name)


def kind(name: str, action: str = "ensure") -> str:
    """A kind of document in words."""
    return kind_words(name, action)


def state(name: str) -> Markup:
    """A state as a badge; its colour never says anything that its word does not."""
    known = str(name).lower().replace("_", "-").replace(" ", "-")
    return Markup('<span class="badge badge-{}">{}</span>').format(known, str(name).replace("_", " "))


def pretty(document: object) -> str:
    """JSON with an indentation, as a person reads it; what is no JSON is left as it is."""
    raw = document.encode() if isinstance(document, str) else document
    if not isinstance(raw, bytes):
        raw = msgspec.json.encode(raw)
    try:
        return msgspec.json.format(raw, indent=2).decode()
    except msgspec.DecodeError:
        return raw.decode(errors="replace")


def query(values: Mapping[str, Any]) -> str:
    """A query string; a list gives its key once for each."""
    return urlencode(values, doseq=True)
