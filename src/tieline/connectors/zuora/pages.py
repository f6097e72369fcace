"""Where people look at a record: the tenant's pages, which know records by Zuora's ids and not by their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

_PAGES = {"customer": ("CustomerAccount", "accountId"), "subscription_order": ("Subscription", "subscriptionId")}


def record_page(url: str, kind: str, external_id: str, response: Mapping[str, Any]) -> str:
    """`https://eu.zuora.com/apps/…`, where Zuora's answer told the id; "" where it told only a number."""
    page, field = _PAGES.get(kind, ("", ""))
    ident = _told(response, field)
    return f"{_site(url)}/apps/{page}.do?method=view&id={quote(ident, safe='')}" if page and ident else ""


def _told(response: Mapping[str, Any], field: str) -> str:
    listed = response.get(f"{field}s") or [None]
    return str(response.get(field) or listed[0] or "")


def _site(url: str) -> str:
    """rest.eu.zuora.com → eu.zuora.com; the first data centre's rest.zuora.com → www.zuora.com."""
    return url.rstrip("/").replace("//rest.zuora.com", "//www.zuora.com").replace("//rest.", "//", 1)
