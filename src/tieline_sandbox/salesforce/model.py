"""The org: creating, changing, deleting and finding records under Salesforce's rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tieline_sandbox.kernel.app import encode_json
from tieline_sandbox.kernel.faults import Faults
from tieline_sandbox.kernel.world import World
from tieline_sandbox.salesforce import errors, rules
from tieline_sandbox.salesforce.ids import mint, normalized
from tieline_sandbox.salesforce.schema import BY_PREFIX, SOBJECTS, Field, SObject
from tieline_sandbox.salesforce.store import Change, Record, Store
from tieline_sandbox.salesforce.values import kept, stamp

USER_ID = mint("005", 1)
ORGANIZATION_ID = mint("00D", 1)
STANDARD_PRICE_BOOK_ID = mint("01s", 1)
_NOT_COPIED = frozenset({"attributes"})


class Org:
    """One tenant. Writes happen inside `unit()`, which announces what changed when it ends well."""

    def __init__(self, world: World, faults: Faults) -> None:
        self.world, self.faults = world, faults
        self.store = Store()
        self.unique_external_ids = False
        self.announce: Callable[[list[Change]], None] = lambda _: None
        self._furnish()

    # units of work

    @contextmanager
    def unit(self) -> Iterator[None]:
        """All or nothing: an exception undoes every write made inside."""
        self.store.begin()
        try:
            yield
        except BaseException:
            self.store.rollback()
            raise
        changes = self.store.commit()
        if changes:
            self.announce(changes)

    # reading

    def sobject(self, name: str) -> SObject:
        """The object by name in any case. Raises ApiError NOT_FOUND."""
        found = SOBJECTS.get(name.lower())
        if found is None:
            raise errors.no_resource()
        return found

    def get(self, sobject: SObject, text: str) -> Record:
        """A record by 15- or 18-character id. Raises ApiError MALFORMED_ID, NOT_FOUND or ENTITY_IS_DELETED."""
        record_id = normalized(text)
        if record_id is None or not record_id.startswith(sobject.prefix):
            raise errors.ApiError(400, "MALFORMED_ID", f"malformed id {text}")
        record = self.store.get(sobject.name, record_id)
        if record is None:
            raise errors.no_resource()
        if record["IsDeleted"]:
            raise errors.deleted()
        return record

    def external_field(self, sobject: SObject, name: str) -> Field:
        """A field that may stand in for the id in a path. Raises ApiError NOT_FOUND."""
        field = sobject.fields.get(name.lower())
        if field is None or not (field.external_id or field.type == "id"):
            raise errors.no_external_field(name)
        return field

    def matches(self, sobject: SObject, field: Field, value: str) -> list[Record]:
        """The records that are not deleted and whose external id is `value`."""
        table = self.store.tables[sobject.name]
        if field.type == "id":
            found = table.records.get(normalized(value) or "")
            return [found] if found and not found["IsDeleted"] else []
        records = (table.records[i] for i in table.ids_where(field.name, value))
        return [r for r in records if not r["IsDeleted"]]

    # writing

    def create(self, sobject: SObject, data: Record) -> Record:
        """Save a new record. Raises ApiError; nothing is stored then."""
        if any(key.lower() == "id" for key in data):
            message = "cannot specify Id in an insert call"
            raise errors.ApiError(400, "INVALID_FIELD_FOR_INSERT_UPDATE", message, ["Id"])
        values = self._read(sobject, data, creating=True)
        missing = [name for name in sobject.required if values.get(name) is None]
        if missing:
            raise errors.required_missing(missing)
        record_id = self.store.tables[sobject.name].new_id()
        now = stamp(self.world.now())
        record = sobject.blank | {"Id": record_id, "CreatedDate": now, "CreatedById": USER_ID}
        if "OwnerId" in record:
            record["OwnerId"] = USER_ID
        self._save(sobject, record | values, values, None)
        return self.store.tables[sobject.name].records[record_id]

    def update(self, sobject: SObject, before: Record, data: Record) -> Record:
        """Save changes to a record. Raises ApiError; nothing is stored then."""
        values = self._read(sobject, data, creating=False)
        emptied = [name for name in sobject.required if name in values and values[name] is None]
        if emptied:
            raise errors.required_missing(emptied)
        self._save(sobject, before | values, values, before)
        return self.store.tables[sobject.name].records[before["Id"]]

    def delete(self, sobject: SObject, record: Record) -> None:
        """Move a record and what it owns to the recycle bin. Raises ApiError when it may not go."""
        self._strike(sobject, record["Id"], {}, "DELETE")
        children = [
            (SOBJECTS[child.sobject.lower()], self.store.tables[child.sobject].records[child_id])
            for child in sobject.children.values()
            if child.name in ("Contacts", "Opportunities", "OpportunityLineItems") and sobject.name != "Pricebook2"
            for child_id in self.store.tables[child.sobject].ids_where(child.field, record["Id"])
        ]
        standing = [(owner, child) for owner, child in children if not child["IsDeleted"]]
        if sobject.name == "PricebookEntry" and standing:
            raise errors.ApiError(400, "DELETE_FAILED", "This price is used by opportunity products.", [])
        if sobject.name == "Account" and any(child.get("IsWon") for _, child in standing):
            message = (
                f"Your attempt to delete {record['Name']} could not be completed because some opportunities in this "
                "account were closed won"
            )
            raise errors.ApiError(400, "DELETE_FAILED", message, [])
        self.touch(sobject.name, record | {"IsDeleted": True})
        for owner, child in standing:
            self.delete(owner, child)
        rules.after_save(self, sobject.name, record)

    def touch(self, sobject: str, record: Record) -> None:
        """Store a record with the present time as its last modification."""
        now = stamp(self.world.now())
        self.store.put(sobject, record | {"SystemModstamp": now, "LastModifiedDate": now, "LastModifiedById": USER_ID})

    def _save(self, sobject: SObject, record: Record, values: Record, before: Record | None) -> None:
        self._references(sobject, values)
        self._strike(sobject, record["Id"] if before else "", values, "PATCH" if before else "POST")
        rules.before_save(self.store, sobject.name, record, values, before)
        self._unique(sobject, record, values)
        if before is None and sobject.name == "OpportunityLineItem":
            self._adopt_price_book(record)
        self.touch(sobject.name, record)
        rules.after_save(self, sobject.name, record)

    def _read(self, sobject: SObject, data: Record, *, creating: bool) -> Record:
        """The fields given, checked and as they will be kept."""
        values: Record = {}
        refused: list[str] = []
        for key, value in data.items():
            if key in _NOT_COPIED:
                continue
            field = sobject.fields.get(key.lower())
            if field is None:
                parent = self._parent_by_external_id(sobject, key, value)
                values[parent[0]] = parent[1]
            elif not (field.create if creating else field.update):
                refused.append(field.name)
            else:
                values[field.name] = kept(field, value)
        if refused:
            raise errors.not_writable(refused)
        return values

    def _parent_by_external_id(self, sobject: SObject, key: str, value: Any) -> tuple[str, str]:
        """`"Account": {"Tieline_Id__c": "x"}` names the parent by its external id."""
        field = sobject.parents.get(key.lower())
        if field is None or not isinstance(value, dict):
            raise errors.no_column(key, sobject.name)
        target = self.sobject(field.refers_to)
        names = [name for name in value if name != "attributes"]
        if len(names) != 1:
            raise errors.bad_reference([field.name])
        found = self.matches(target, self.external_field(target, names[0]), str(value[names[0]]))
        if len(found) != 1:
            message = (
                f"Foreign key external ID: {value[names[0]]} not found for field {names[0]} in entity {target.name}"
            )
            raise errors.ApiError(400, "INVALID_FIELD", message, [])
        return field.name, found[0]["Id"]

    def _references(self, sobject: SObject, values: Record) -> None:
        for name, value in values.items():
            field = sobject.fields[name.lower()]
            if field.type != "reference" or value is None:
                continue
            if BY_PREFIX.get(value[:3]) is not SOBJECTS[field.refers_to.lower()]:
                raise errors.malformed_id(field.label, value, field.name)
            target = self.store.get(field.refers_to, value)
            if target is None:
                raise errors.bad_reference([field.name])
            if target["IsDeleted"]:
                raise errors.ApiError(400, "ENTITY_IS_DELETED", "entity is deleted", [field.name])

    def _unique(self, sobject: SObject, record: Record, values: Record) -> None:
        if not self.unique_external_ids:
            return
        for name in values:
            field = sobject.fields[name.lower()]
            if field.external_id and values[name]:
                others = [r for r in self.matches(sobject, field, values[name]) if r["Id"] != record["Id"]]
                if others:
                    raise errors.duplicate(field.name, others[0]["Id"])

    def _strike(self, sobject: SObject, record_id: str, values: Record, method: str) -> None:
        """The faults `lock_row` and `validation_rule` strike here, one record at a time."""
        if not self.faults.list():
            return
        path, body = f"/{sobject.name}/{record_id}", encode_json(values)
        if self.faults.strike("lock_row", method=method, path=path, body=body):
            raise errors.row_locked()
        fault = self.faults.strike("validation_rule", method=method, path=path, body=body)
        if fault is not None:
            raise errors.validation(fault.code or "The record breaks a validation rule of this company")

    def _adopt_price_book(self, line: Record) -> None:
        opportunity = self.store.get("Opportunity", line["OpportunityId"])
        entry = self.store.get("PricebookEntry", line["PricebookEntryId"])
        if opportunity and entry and opportunity["Pricebook2Id"] is None:
            self.touch("Opportunity", opportunity | {"Pricebook2Id": entry["Pricebook2Id"]})

    def _furnish(self) -> None:
        """What every org has from its first day: a user, itself, and the standard price book."""
        now = stamp(self.world.now())
        dates = {"CreatedDate": now, "LastModifiedDate": now, "SystemModstamp": now}
        dates |= {"CreatedById": USER_ID, "LastModifiedById": USER_ID}
        user = {"Id": USER_ID, "Username": "integration@tieline.example", "Name": "Integration User"}
        book = {"Id": STANDARD_PRICE_BOOK_ID, "Name": "Standard Price Book", "IsActive": True, "IsStandard": True}
        company = {"Id": ORGANIZATION_ID, "Name": "Tieline Sandbox", "OrganizationType": "Developer Edition"}
        for name, record in (("User", user), ("Pricebook2", book), ("Organization", company)):
            self.store.put(name, SOBJECTS[name.lower()].blank | dates | record)
