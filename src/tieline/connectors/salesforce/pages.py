"""Where people look at a record: Lightning's record pages, under the org's My Domain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

_OBJECTS = {"customer": "Account", "contract": "Opportunity", "deal_status": "Opportunity", "product": "Product2"}


def record_page(url: str, kind: str, external_id: str, response: Mapping[str, Any]) -> str:
    """`https://acme.my.salesforce.com/lightning/r/Opportunity/006…/view`, which My Domain leads on to Lightning."""
    name = _OBJECTS.get(kind)
    return f"{url.rstrip('/')}/lightning/r/{name}/{quote(external_id, safe='')}/view" if name else ""
