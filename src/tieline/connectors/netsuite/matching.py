"""Which customers of NetSuite may be the one looked for: by external id, tax number, or name and address. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from tieline.engine.ports import Candidate, Wire

_LEGAL_FORMS = frozenset(
    {"ab", "ag", "as", "bv", "co", "company", "corp", "corporation", "gmbh", "inc", "incorporated", "kg", "limited"}
    | {"llc", "llp", "ltd", "mbh", "nv", "oy", "plc", "pty", "sa", "sarl", "se", "spa", "srl"}
)


def tax_numbers(customer: Wire) -> list[str]:
    """The customer's tax numbers, letters and digits only; with and without their country."""
    found: dict[str, None] = {}
    for registration in customer.get("tax_registrations") or []:
        number = bare(str(registration.get("number") or ""))
        country = str(registration.get("country") or "").upper()
        if number:
            found[number] = None
            found[number.removeprefix(country) if country else number] = None
            found[number if number.startswith(country) else country + number] = None
    return list(found)


def bare(text: str) -> str:
    """`DE 123.456-789` → `DE123456789`."""
    return re.sub(r"[^0-9A-Z]", "", text.upper())


def words(name: str) -> list[str]:
    """A company name as lower-case words without marks and legal form; a name of nothing else keeps its words."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c)).casefold()
    every = re.findall(r"[^\W_]+", plain)
    return [word for word in every if word not in _LEGAL_FORMS] or every


def name_part(name: str) -> str:
    """The longest word as it is written: what a search by name asks for; "" where it would find everybody."""
    written = [word for word in re.findall(r"[^\W_]+", name) if word.casefold() not in _LEGAL_FORMS]
    longest = max(written, key=len, default="")
    return longest if len(longest) >= 3 else ""


def same_name(one: str, other: str) -> bool:
    """Whether two names differ in case, marks, punctuation and legal form only."""
    return "".join(words(one)) == "".join(words(other)) != ""


def addresses_agree(wanted: Wire, found: Iterable[Wire]) -> bool:
    """Whether one of the addresses is in the same country and has the same postal code or city.

    A customer without any address is not ruled out by it.
    """
    given = [address for address in found if any(address.get(name) for name in ("city", "zip", "country"))]
    return not given or any(_agrees(wanted, address) for address in given)


def _agrees(wanted: Wire, found: Wire) -> bool:
    country = found.get("country")
    code = str(country.get("id") if isinstance(country, dict) else country or "").upper()
    if code and wanted.get("country") and code != str(wanted["country"]).upper():
        return False
    pairs = [(wanted.get("postal_code"), found.get("zip")), (wanted.get("city"), found.get("city"))]
    told = [(bare_text(one), bare_text(other)) for one, other in pairs if one and other]
    return not told or any(one == other for one, other in told)


def bare_text(text: Any) -> str:
    return "".join(words(str(text)))


def address_line(address: Wire) -> str:
    """An address for showing beside ours: `1 Main St, 94105 San Francisco, US`."""
    country = address.get("country")
    code = country.get("id") if isinstance(country, dict) else country
    town = " ".join(str(part) for part in (address.get("zip"), address.get("city")) if part)
    parts = (address.get("addr1"), address.get("addr2"), town, address.get("state"), code)
    return ", ".join(str(part) for part in parts if part)


def candidate(row: Wire, matched_by: str, addresses: list[Wire]) -> Candidate:
    """A row of the customer query as something to link to."""
    return Candidate(
        external_id=str(row["id"]),
        display=str(row.get("entityid") or ""),
        matched_by=matched_by,
        name=str(row.get("companyname") or ""),
        address=address_line(addresses[0]) if addresses else "",
        tax_number=str(row.get("vatregnumber") or ""),
        canonical_id=str(row.get("externalid") or ""),
    )


def how_it_matches(row: Wire, customer: Wire, numbers: list[str]) -> str:
    """external_id, tax_number, or name (the address is compared later); "" where the row is somebody else."""
    if customer.get("id") and row.get("externalid") == customer["id"]:
        return "external_id"
    if row.get("vatregnumber") and bare(str(row["vatregnumber"])) in numbers:
        return "tax_number"
    return "name" if same_name(str(row.get("companyname") or ""), str(customer.get("name") or "")) else ""
