"""How values are shown on a page: money, times, ids. Text only; nothing here decides anything."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

import msgspec
from babel import Locale, UnknownLocaleError
from babel.numbers import format_currency, format_decimal
from markupsafe import Markup

from tieline.app.views.words import kind_words, span
from tieline.domain import Money

LOCALE: ContextVar[str] = ContextVar("locale", default="en_US")
"""Whose way of writing numbers is used: that of the reader's browser (`locale_of`). Words stay English."""
_SYSTEMS = {"netsuite": "NetSuite", "zuora": "Zuora", "salesforce": "Salesforce", "kantata": "Kantata"}


@lru_cache(maxsize=256)
def locale_of(accepted: str) -> str:
    """The first locale of an Accept-Language header that we can write numbers in; "en_US" where there is none."""
    wanted: list[tuple[float, str]] = []
    for part in accepted.split(","):
        name, _, weight = part.strip().partition(";q=")
        try:
            wanted.append((-float(weight or 1), name))
        except ValueError:
            continue
    for _, name in sorted(wanted, key=lambda each: each[0]):
        try:
            return str(Locale.parse(name, sep="-"))
        except (ValueError, UnknownLocaleError):
            continue
    return LOCALE.get()


def money(value: object, currency: str = "") -> str:
    """`1,234.50 EUR`, as the reader writes numbers.

    A text like "1234.5 EUR" is read first, and what is no amount is left as it is.
    """
    if isinstance(value, Money):
        return money(value.amount, value.currency)
    number, _, code = str(value).partition(" ")
    currency = currency or code
    try:
        amount = Decimal(number)
    except InvalidOperation:
        return str(value)
    if not currency:
        return figure(amount)
    return f"{format_currency(amount, currency, '#,##0.00', LOCALE.get(), currency_digits=True).strip()} {currency}"


def figure(value: Decimal | float) -> str:
    """A number with thousands set apart."""
    return str(format_decimal(value, locale=LOCALE.get()))


def rate(value: float) -> str:
    """So many a minute: a decimal only where the number is small."""
    return figure(round(value) if value >= 10 or value == 0 else round(value, 1))


def took(seconds: float | None) -> str:
    """A length of time; a dash where nothing was measured."""
    return "–" if seconds is None else span(timedelta(seconds=seconds))


def ago(moment: datetime | None, now: datetime) -> Markup:
    """`3 min ago`, with the exact time behind it; "" for never."""
    if moment is None:
        return Markup("")
    words = age(abs(now - moment))
    return _time(moment, words if words == "just now" else f"{words} ago" if moment <= now else f"in {words}")


def age(length: timedelta) -> str:
    """How long, as coarse as a person says it: just now, 35 s, 4 min, 2 h 05 min, 3 d 4 h."""
    if length < timedelta(seconds=1):
        return "just now"
    minutes = int(length.total_seconds()) // 60
    if minutes < 1:
        return f"{int(length.total_seconds())} s"
    return f"{minutes} min" if minutes < 60 else span(length)


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


def browser(agent: str) -> str:
    """`Firefox on Linux` of a User-Agent; its first word where it is none that we know."""
    names = ("Edg", "OPR", "Firefox", "Chrome", "Safari")
    systems = ("Windows", "Android", "iPhone", "iPad", "Mac OS X", "Linux")
    name = next((known for known in names if f"{known}/" in agent), agent.partition("/")[0] or "unknown")
    place = next((known for known in systems if known in agent), "")
    shown = {"Edg": "Edge", "OPR": "Opera", "Mac OS X": "macOS"}
    return " on ".join(shown.get(word, word) for word in (name, place) if word)


def query(values: Mapping[str, Any]) -> str:
    """A query string; a list gives its key once for each."""
    return urlencode(values, doseq=True)
