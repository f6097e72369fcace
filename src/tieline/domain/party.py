"""Who we deal with: customers, their addresses, contacts and tax registrations."""

from __future__ import annotations

import msgspec


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A postal address; `country` is ISO 3166 alpha 2."""

    street: str = ""
    city: str = ""
    state: str = ""
    postal_code: str = ""
    country: str

    def __post_init__(self) -> None:
        if len(self.country) != 2 or not self.country.isupper():
            raise ValueError(f"country must be an ISO 3166 alpha 2 code like 'DE', not {self.country!r}")


class TaxRegistration(msgspec.Struct, frozen=True, kw_only=True):
    """A tax number and the country that gave it."""

    country: str
    number: str


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """A person at a customer."""

    id: str
    customer: str
    first_name: str = ""
    last_name: str
    email: str = ""
    phone: str = ""


class DealOwner(msgspec.Struct, frozen=True, kw_only=True):
    """Whose deal it is in the CRM: who may not approve it."""

    id: str
    name: str
    email: str = ""


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """A company we sell to. `parent` is the canonical id of the company it belongs to.

    `legal_entity` is our company that keeps its account, "" until its first deal decides it.
    """

    id: str
    name: str
    currency: str
    billing_address: Address
    parent: str | None = None
    tax_registrations: list[TaxRegistration] = []
    email: str = ""
    phone: str = ""
    website: str = ""
    legal_entity: str = ""

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError("a customer needs a name")
        if self.parent == self.id:
            raise ValueError("a customer cannot be its own parent")
