"""Finding a customer among the accounts: by our number or CRM id, by tax number, by name and address."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from tieline.connectors.zuora.client import ZuoraClient
from tieline.connectors.zuora.compare import country_code
from tieline.connectors.zuora.functions import native_id
from tieline.connectors.zuora.wire import Body
from tieline.engine.ports import Candidate, Wire

MOST = 200
_LETTERS = 3
_EXPAND = ("billto",)
_NOT_WORD = re.compile(r"[^\w]+")


async def find_customers(client: ZuoraClient, document: Wire) -> list[Candidate]:
    """Accounts that may be this customer, the surest first. An account under our own number ends the search."""
    own = [
        account
        for account in await client.listed("accounts", "accountnumber", [str(document["id"])], expand=_EXPAND)
        if account["accountNumber"] == document["id"]
    ]
    if own:
        return [_candidate(own[0], "external_id", canonical_id=str(document["id"]))]
    crm = await client.listed("accounts", "crmid", [native_id(str(document["id"]))], expand=_EXPAND)
    found = [_candidate(account, "external_id") for account in crm]
    found += [
        _candidate(a, "tax_number", tax_number=str(a.get("vATId") or "")) for a in await _by_tax(client, document)
    ]
    found += [_candidate(account, "name_address") for account in await _by_name(client, document)]
    return list({c.external_id: c for c in reversed(found)}.values())[::-1]


async def _by_tax(client: ZuoraClient, document: Wire) -> list[Body]:
    """ZOQL, because object query does not filter by VATId. Spellings: as written, and without blanks and dots."""
    spellings = list(dict.fromkeys(s for t in document.get("tax_registrations") or [] for s in _spellings(t)))
    if not spellings:
        return []
    where = " or ".join(f"VATId = '{_escaped(s)}'" for s in spellings)
    rows = await client.zoql(f"select Id, AccountNumber, VATId from Account where {where}")
    numbers = [str(row["AccountNumber"]) for row in rows[:MOST] if row.get("AccountNumber")]
    return await client.listed("accounts", "accountnumber", numbers, expand=_EXPAND)


def _spellings(registration: Wire) -> Iterable[str]:
    number = str(registration.get("number") or "").strip()
    bare = re.sub(r"[^0-9A-Za-z]", "", number).upper()
    country = str(registration.get("country") or "").upper()
    if not bare:
        return []
    local = bare.removeprefix(country)
    return [number, bare, f"{country}{local}"]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


async def _by_name(client: ZuoraClient, document: Wire) -> list[Body]:
    """Accounts that begin with the name's first word and have the whole name, at a place that does not contradict."""
    first = _first_word(str(document.get("name") or ""))
    if not first:
        return []
    fitting: list[Body] = []
    seen = 0
    async for account in client.all("accounts", [f"name.SW:{first}"], expand=_EXPAND):
        if _fits(document, account):
            fitting.append(account)
        seen += 1
        if seen >= MOST:
            break
    return fitting


def _first_word(name: str) -> str:
    """The letters a name begins with ("Acme" of "Acme-Werke"), or its first word where they are few ("O'Neil")."""
    letters = re.match(r"\w*", name.strip())
    short = letters[0] if letters else ""
    return short if len(short) >= _LETTERS else re.split(r"[\s,\[\]]", name.strip(), maxsplit=1)[0]


def _fits(document: Wire, account: Body) -> bool:
    """The same name, and an address that agrees. Likeness is not identity: "Media 1" and "Media 65" are two."""
    if _plain(document.get("name")) != _plain(account.get("name")):
        return False
    ours, theirs = document.get("billing_address") or {}, account.get("billTo") or {}
    if not ours or not theirs:
        return True
    if country_code(str(theirs.get("country") or "")) != country_code(str(ours.get("country") or "")):
        return False
    pairs = ((ours.get("postal_code"), theirs.get("postalCode")), (ours.get("city"), theirs.get("city")))
    known = [(_plain(a), _plain(b)) for a, b in pairs if a and b]
    return not known or any(a == b for a, b in known)


def _plain(text: Any) -> str:
    return _NOT_WORD.sub(" ", str(text or "").casefold()).strip()


def _candidate(account: Body, matched_by: str, *, canonical_id: str = "", tax_number: str = "") -> Candidate:
    number, bill_to = str(account["accountNumber"]), account.get("billTo") or {}
    place = [bill_to.get(n) for n in ("address1", "postalCode", "city", "state", "country")]
    return Candidate(
        external_id=number,
        display=number,
        matched_by=matched_by,
        name=str(account.get("name") or ""),
        address=", ".join(str(p) for p in place if p),
        tax_number=tax_number or str(account.get("vATId") or ""),
        canonical_id=canonical_id,
    )
