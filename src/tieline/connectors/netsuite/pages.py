"""Where people look at a record: NetSuite's own pages, beside the host of its web services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

_ENTITIES = {"customer": "custjob", "project": "project"}


def record_page(url: str, kind: str, external_id: str, response: Mapping[str, Any]) -> str:
    """`https://1234567.app.netsuite.com/app/…`: a transaction of any kind opens under one address."""
    base = url.rstrip("/").replace(".suitetalk.api.netsuite.com", ".app.netsuite.com")
    ident = quote(external_id, safe="")
    if page := _ENTITIES.get(kind):
        return f"{base}/app/common/entity/{page}.nl?id={ident}"
    return f"{base}/app/accounting/transactions/transaction.nl?id={ident}"
