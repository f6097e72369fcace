"""The org: creating, changing, deleting and finding records under Salesforce's rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from uuid import UUID

from tieline_sandbox.kernel.faults import Faults
from tieline_sandbox.kernel.world import World
from tieline_sandbox.salesforce import errors, pricing, rules
from tieline_sandbox.salesforce.guards import Guards
from tieline_sandbox.salesforce.ids import mint, normalized
from tieline_sandbox.salesforce.objects import CURRENCIES, standard_objects
from tieline_sandbox.salesforce.schema import Field, OnDelete, Schema, SObject
from tieline_sandbox.salesforce.setup import CustomObject
from tieline_sandbox.salesforce.store import Change, Record, Store
from tieline_sandbox.salesforce.values import kept, stamp

USER_ID = mint("005", 1)
ORGANIZATION_ID = mint("00D", 1)
STANDARD_PRICE_BOOK_ID = mint("01s", 1)
_NOT_COPIED = frozenset({"attributes"})


class Org:
    """One tenant. Writes happen inside `unit()`, which announces what changed when it ends well."""

    def __init__(self, world: World, faults: Faults) -> None:
        self.world = world
        self.schema = Schema(standard_objects())
        self.store = Store(self.schema)
        self.guards = Guards(self.store, faults)
        self.time_zone = "UTC"
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

    def define(self, custom: CustomObject) -> None:
        """Add an object or fields, as an administrator does. Raises ValueError."""
        sobject = custom.define(self.schema)
        self.schema.put(sobject)
        self.store.define(sobject)

    # reading

    def sobject(self, name: str) -> SObject:
        """The object by name in any case. Raises ApiError NOT_FOUND."""
        found = self.schema.find(name)
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
        if sobject.event:
            return self._publish(sobject, sobject.blank | values | {"Id": record_id})
        now = stamp(self.world.now())
        record = sobject.blank | {"Id": record_id, "CreatedDate": now, "CreatedById": USER_ID}
        if "OwnerId" in record:
            record["OwnerId"] = USER_ID
        record |= self.numbers(sobject)
        self._save(sobject, record | values, values, None)
        return self.store.tables[sobject.name].records[record_id]

    def _publish(self, sobject: SObject, record: Record) -> Record:
        """A platform event: kept only for the control API to show, and announced when the transaction ends well."""
        now = stamp(self.world.now())
        record |= {"CreatedDate": now, "CreatedById": USER_ID, "SystemModstamp": now, "IsDeleted": False}
        record["EventUuid"] = str(UUID(int=self.world.random.getrandbits(128), version=4))
        self.store.put(sobject.name, record)
        return record

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
        self.guards.strike(sobject, record["Id"], {}, "DELETE")
        if self._children(sobject, record["Id"], "refuse"):
            raise errors.ApiError(400, "DELETE_FAILED", "This price is used by opportunity products.", [])
        owned = self._children(sobject, record["Id"], "cascade")
        if sobject.name == "Account" and any(child.get("IsWon") for _, child in owned):
            message = (
                f"Your attempt to delete {record['Name']} could not be completed because some opportunities in this "
                "account were closed won"
            )
            raise errors.ApiError(400, "DELETE_FAILED", message, [])
        self.touch(sobject.name, record | {"IsDeleted": True})
        for owner, child in owned:
            self.delete(owner, child)
        rules.after_save(self, sobject.name, record)

    def undelete(self, sobject: SObject, record: Record) -> None:
        """Take a record and what went with it out of the recycle bin."""
        deleted_at = record["SystemModstamp"]
        self.touch(sobject.name, record | {"IsDeleted": False})
        for child in sobject.children.values():
            table = self.store.tables[child.sobject]
            for child_id in table.ids_where(child.field, record["Id"]):
                gone = table.records[child_id]
                if child.on_delete == "cascade" and gone["IsDeleted"] and gone["SystemModstamp"] == deleted_at:
                    self.undelete(self.schema[child.sobject], gone)
        rules.after_save(self, sobject.name, record)

    def merge(self, sobject: SObject, master: Record, losers: list[Record]) -> None:
        """Merge up to two records into a third: their children change parent, they go with MasterRecordId set.

        Source: SOAP API Developer Guide, merge().
        """
        if "MasterRecordId" not in sobject.blank or not 1 <= len(losers) <= 2:
            raise errors.ApiError(400, "INVALID_OPERATION", "one or two accounts or contacts are merged into another")
        for loser in losers:
            for child in sobject.children.values():
                table = self.store.tables[child.sobject]
                for child_id in table.ids_where(child.field, loser["Id"]):
                    self.touch(child.sobject, table.records[child_id] | {child.field: master["Id"]})
            self.touch(sobject.name, loser | {"IsDeleted": True, "MasterRecordId": master["Id"]})
        self.touch(sobject.name, master)

    def touch(self, sobject: str, record: Record) -> None:
        """Store a record with the present time as its last modification."""
        now = stamp(self.world.now())
        self.store.put(sobject, record | {"SystemModstamp": now, "LastModifiedDate": now, "LastModifiedById": USER_ID})

    def _save(self, sobject: SObject, record: Record, values: Record, before: Record | None) -> None:
        self._references(sobject, values)
        self.guards.strike(sobject, record["Id"] if before else "", values, "PATCH" if before else "POST")
        now = stamp(self.world.now())
        record |= {"SystemModstamp": now, "LastModifiedDate": now, "LastModifiedById": USER_ID}
        rules.before_save(self.store, sobject.name, record, values, before)
        self.guards.check(sobject, record, values)
        if before is None and sobject.name in pricing.OF_LINE:
            pricing.adopt_price_book(self, pricing.OF_LINE[sobject.name], record)
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
            if self.schema.of_id(value) is not self.schema[field.refers_to]:
                raise errors.malformed_id(field.label, value, field.name)
            target = self.store.get(field.refers_to, value)
            if target is None:
                raise errors.bad_reference([field.name])
            if target["IsDeleted"]:
                raise errors.ApiError(400, "ENTITY_IS_DELETED", "entity is deleted", [field.name])

    def _children(self, sobject: SObject, record_id: str, on_delete: OnDelete) -> list[tuple[SObject, Record]]:
        """The standing children that the deletion of their parent concerns in this way."""
        found = [
            (self.schema[child.sobject], self.store.tables[child.sobject].records[child_id])
            for child in sobject.children.values()
            if child.on_delete == on_delete
            for child_id in self.store.tables[child.sobject].ids_where(child.field, record_id)
        ]
        return [(owner, child) for owner, child in found if not child["IsDeleted"]]

    def numbers(self, sobject: SObject) -> Record:
        """The next values of the auto-number fields of a new record."""
        numbered = [field for field in sobject.stored if field.format]
        return {field.name: field.format.format(self.store.tables[sobject.name].new_number()) for field in numbered}

    def _furnish(self) -> None:
        """What every org has from its first day: a user, itself, and the standard price book."""
        now = stamp(self.world.now())
        dates = {"CreatedDate": now, "LastModifiedDate": now, "SystemModstamp": now}
        dates |= {"CreatedById": USER_ID, "LastModifiedById": USER_ID}
        user = {
            "Id": USER_ID,
            "Username": "integration@tieline.example",
            "Name": "Integration User",
            "Email": "integration@tieline.example",
        }
        user |= {"TimeZoneSidKey": "Europe/London", "LocaleSidKey": "en_GB", "UserType": "Standard"}
        book = {"Id": STANDARD_PRICE_BOOK_ID, "Name": "Standard Price Book", "IsActive": True, "IsStandard": True}
        company = {"Id": ORGANIZATION_ID, "Name": "Tieline Sandbox", "OrganizationType": "Developer Edition"}
        company |= {"InstanceName": "EU49", "TimeZoneSidKey": "Europe/London"}
        for name, record in (("User", user), ("Pricebook2", book), ("Organization", company)):
            self.store.put(name, self.schema[name].blank | dates | record)
        for iso_code in CURRENCIES:
            rate = {"Id": self.store.tables["CurrencyType"].new_id(), "IsoCode": iso_code, "ConversionRate": Decimal(1)}
            rate |= {"DecimalPlaces": 0 if iso_code == "JPY" else 2, "IsCorporate": iso_code == "USD"}
            self.store.put("CurrencyType", self.schema["CurrencyType"].blank | dates | rate)
