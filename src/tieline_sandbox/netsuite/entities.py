"""Rules of customers, contacts and projects (`job`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tieline_sandbox.netsuite.drafts import Draft
from tieline_sandbox.netsuite.errors import already_exists, invalid_key, invalid_value, missing, user_error
from tieline_sandbox.netsuite.store import Record, Store
from tieline_sandbox.netsuite.values import reference_to

if TYPE_CHECKING:
    from tieline_sandbox.netsuite.model import Account

DUPLICATE_CUSTOMER = (
    "A customer record with this ID already exists. You must enter a unique customer ID for each record you create."
)


def prepare_customer(account: Account, draft: Draft) -> None:
    """A company needs a name and a subsidiary; a person needs first and last name instead of companyName."""
    new, store = draft.new, account.store
    lacking = ["First Name", "Last Name"] if new.get("isPerson") else ["Company Name"]
    if all(new.get(name) for name in (("firstName", "lastName") if new.get("isPerson") else ("companyName",))):
        lacking = []
    if not new.get("subsidiary"):
        lacking.append("Primary Subsidiary")
    if lacking:
        raise missing(*lacking)
    _refuse_inactive(store, "subsidiary", new)
    _settle_customer_currency(account, draft)
    _settle_parent(store, draft)
    _refuse_moves(store, draft)
    _settle_entity_id(account, draft)
    new.setdefault("isInactive", False)
    new.setdefault("isPerson", False)
    new.setdefault("altName", new.get("companyName") or f"{new.get('firstName', '')} {new.get('lastName', '')}")


def prepare_contact(account: Account, draft: Draft) -> None:
    new = draft.new
    if not new.get("entityId"):
        given = " ".join(new[name] for name in ("firstName", "lastName") if new.get(name))
        if not given:
            raise missing("Contact Name")
        new["entityId"] = given
    if company := new.get("company"):
        customer = account.store.get("customer", company["id"])
        new.setdefault("subsidiary", customer["subsidiary"])
    elif not new.get("subsidiary"):
        raise missing("Primary Subsidiary")
    new.setdefault("isInactive", False)


def prepare_job(account: Account, draft: Draft) -> None:
    new = draft.new
    lacking = [label for name, label in (("companyName", "Project Name"), ("parent", "Customer")) if not new.get(name)]
    if lacking:
        raise missing(*lacking)
    customer = account.store.get("customer", new["parent"]["id"])
    new.setdefault("subsidiary", customer["subsidiary"])
    new.setdefault("currency", customer["currency"])
    if not new.get("entityId"):
        new["entityId"] = f"{account.number('job')} {new['companyName']}"
    _refuse_taken_name(account, draft)
    new.setdefault("isInactive", False)


def root_of(store: Store, customer_id: str) -> str:
    """The top of the customer's family: payments of a parent may settle invoices of its children."""
    entry = store.find("customer", customer_id) or store.find("job", customer_id)
    while entry is not None and entry.doc.get("parent"):
        entry = store.find("customer", entry.doc["parent"]["id"])
    return entry.id if entry is not None else customer_id


def _settle_customer_currency(account: Account, draft: Draft) -> None:
    new, store = draft.new, account.store
    if not new.get("currency"):
        subsidiary = store.get("subsidiary", new["subsidiary"]["id"])
        new["currency"] = subsidiary["currency"]
    _refuse_inactive(store, "currency", new)


def _settle_parent(store: Store, draft: Draft) -> None:
    new = draft.new
    if not new.get("parent"):
        return
    if new["parent"]["id"] == draft.id or _is_above(store, draft.id, new["parent"]["id"]):
        raise user_error("A customer cannot be its own parent.")
    parent = store.get("customer", new["parent"]["id"])
    if _top_subsidiary(store, parent) != _top_subsidiary(store, new):
        raise invalid_key(f"Invalid parent reference key {parent['id']}.", "parent")


def _is_above(store: Store, above: str, below: str) -> bool:
    entry = store.find("customer", below)
    while entry is not None and entry.doc.get("parent"):
        if entry.doc["parent"]["id"] == above:
            return True
        entry = store.find("customer", entry.doc["parent"]["id"])
    return False


def _top_subsidiary(store: Store, customer: Record) -> str:
    doc = store.get("subsidiary", customer["subsidiary"]["id"])
    while doc.get("parent"):
        doc = store.get("subsidiary", doc["parent"]["id"])
    return str(doc["id"])


def _refuse_moves(store: Store, draft: Draft) -> None:
    if draft.old is None or not store.by_customer.get(draft.id):
        return
    for name, label in (("subsidiary", "primary subsidiary"), ("currency", "currency")):
        if draft.old[name]["id"] != draft.new[name]["id"]:
            raise user_error(f"You cannot change the {label} of a customer that has transactions.")


def _settle_entity_id(account: Account, draft: Draft) -> None:
    new = draft.new
    if not new.get("entityId"):
        name = new.get("companyName") or f"{new['firstName']} {new['lastName']}"
        new["entityId"] = f"{account.number('customer')} {name}" if account.settings.auto_numbering else name
    _refuse_taken_name(account, draft)


def _refuse_taken_name(account: Account, draft: Draft) -> None:
    entity_id = draft.new["entityId"]
    holder = account.store.find_named(draft.kind, entity_id)
    if holder is not None and holder.id != draft.id:
        raise user_error(DUPLICATE_CUSTOMER) if draft.kind == "customer" else already_exists(entity=True)


def _refuse_inactive(store: Store, field: str, new: Record) -> None:
    doc = store.get(field, new[field]["id"])
    if doc.get("isInactive"):
        raise invalid_value(doc["id"], field, field)
    new[field] = reference_to(store, field, doc["id"])
