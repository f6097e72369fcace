"""Contacts: the people of an account, inside the account's own calls and at `/v1/contacts`."""

from __future__ import annotations

import pycountry

from tieline_sandbox.zuora.errors import Record, Resource, invalid, missing, rule
from tieline_sandbox.zuora.model import Tenant, custom_fields

_CONTACT_LIMITS = {
    "firstName": 100, "lastName": 100, "address1": 255, "address2": 255, "city": 100, "state": 100,
    "zipCode": 20, "country": 64, "workEmail": 80, "personalEmail": 80, "workPhone": 40, "nickname": 100, "county": 100,
    "mobilePhone": 40, "homePhone": 40, "fax": 40, "taxRegion": 100, "contactDescription": 100, "otherPhone": 40,
}  # fmt: skip
_ROLES = {"asBillTo": "billToId", "asSoldTo": "soldToId", "asShipTo": "shipToId"}


def _country_names() -> dict[str, str]:
    names: dict[str, str] = {}
    for c in pycountry.countries:
        common = getattr(c, "common_name", c.name)
        for spelling in (c.name, common, c.alpha_2, c.alpha_3):
            names[spelling.casefold()] = common
    return names


_COUNTRIES = _country_names()


def create(t: Tenant, body: Record) -> Record:
    """POST /v1/contacts. Raises Refusal."""
    key = body.get("accountId") or body.get("accountNumber")
    if not key:
        raise missing(Resource.CONTACT, "accountId")
    account = t.accounts.get(key, Resource.CONTACT)
    contact = add(t, account, checked(body, "contact"))
    _take_roles(t, contact, body)
    return view(t, contact)


def update(t: Tenant, key: str, body: Record) -> Record:
    """PUT /v1/contacts/{id}: only what the request names changes."""
    contact = t.contacts.get(key, Resource.CONTACT)
    contact.update(checked({**shown(contact), **body}, "contact"))
    t.touch(t.contacts, contact)
    _take_roles(t, contact, body)
    return view(t, contact)


def delete(t: Tenant, key: str) -> Record:
    """DELETE /v1/contacts/{id}: not one that an account still bills or ships to."""
    contact = t.contacts.get(key, Resource.CONTACT)
    if any(_roles(t, contact).values()):
        raise rule(Resource.CONTACT, "The contact is the bill-to, sold-to or ship-to contact of its account.")
    t.contacts.remove(contact)
    return {"success": True}


def view(t: Tenant, contact: Record) -> Record:
    """GET /v1/contacts/{id}."""
    return {"success": True, **shown(contact), **_roles(t, contact), "isSpecifiedInSubscription": False}


def _roles(t: Tenant, contact: Record) -> dict[str, bool]:
    account = t.accounts.rows[contact["accountId"]]
    return {role: account[field] == contact["id"] for role, field in _ROLES.items()}


def _take_roles(t: Tenant, contact: Record, body: Record) -> None:
    account = t.accounts.rows[contact["accountId"]]
    if taken := [field for role, field in _ROLES.items() if body.get(role)]:
        account.update(dict.fromkeys(taken, contact["id"]))
        t.touch(t.accounts, account)


def view_of(t: Tenant, contact_id: str) -> Record:
    return shown(t.contacts.rows[contact_id])


def check_text(resource: Resource, body: Record, field: str, limit: int) -> None:
    """Refuse what is no text, or too long a one. Raises Refusal."""
    value = body.get(field)
    if value is None:
        return
    if not isinstance(value, str):
        raise invalid(resource, f"'{field}' should be a string")
    if len(value) > limit:
        raise invalid(resource, f"'{field}' should be {limit} characters or less")


def checked(body: Record, name: str) -> Record:
    """The fields of a contact that a request brings; refusals call it `name`. Raises Refusal."""
    for field in ("firstName", "lastName", "country"):
        if not body.get(field):
            raise missing(Resource.CONTACT, f"{name}.{field}")
    for field, limit in _CONTACT_LIMITS.items():
        check_text(Resource.CONTACT, body, field, limit)
    country = _COUNTRIES.get(body["country"].casefold())
    if country is None:
        raise invalid(Resource.CONTACT, f"'country' value '{body['country']}' is not a valid country name or ISO code")
    if country in ("United States", "Canada") and not body.get("state"):
        raise missing(Resource.CONTACT, f"{name}.state")
    fields = {field: body.get(field) for field in _CONTACT_LIMITS if field != "zipCode"}
    return {
        **fields,
        "country": country,
        "postalCode": body.get("zipCode") or body.get("postalCode"),
        **custom_fields(body),
    }


def add(t: Tenant, account: Record, contact: Record) -> Record:
    return t.contacts.add(t.stamped({"accountId": account["id"], "accountNumber": account["accountNumber"], **contact}))


def shown(contact: Record) -> Record:
    """A contact inside its account."""
    kept = {k: v for k, v in contact.items() if k not in ("createdById", "createdDate", "updatedById", "updatedDate")}
    return {**kept, "zipCode": contact["postalCode"]}
