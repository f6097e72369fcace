"""What may keep a record from being saved although its values are well-formed: rules, duplicates, uniqueness, faults.

Source: SOAP API Developer Guide, "StatusCode"; REST API Developer Guide, "Duplicate Rule Header".
"""

from __future__ import annotations

from typing import Any

from tieline_sandbox.kernel.app import encode_json
from tieline_sandbox.kernel.faults import Faults
from tieline_sandbox.salesforce import errors
from tieline_sandbox.salesforce.schema import SObject
from tieline_sandbox.salesforce.setup import DuplicateRule, ValidationRule
from tieline_sandbox.salesforce.store import Record, Store


class Guards:
    """The rules in force. `allow_duplicates` is what the call being served says of rules that only alert."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self._store, self._faults = store, faults
        self.validation_rules: list[ValidationRule] = []
        self.duplicate_rules: list[DuplicateRule] = []
        self.unique_external_ids = False
        self.allow_duplicates = False

    def check(self, sobject: SObject, record: Record, values: Record) -> None:
        """Raises ApiError when a rule refuses the record that is about to be saved."""
        self._validate(sobject, record)
        self._unique(sobject, record, values)
        for rule in self.duplicate_rules:
            if rule.object.lower() == sobject.name.lower() and not {*rule.fields}.isdisjoint(values):
                self._find_duplicates(rule, sobject, record)

    def strike(self, sobject: SObject, record_id: str, values: Record, method: str) -> None:
        """The faults `lock_row` and `validation_rule` strike here, one record at a time."""
        if not self._faults.list():
            return
        path, body = f"/{sobject.name}/{record_id}", encode_json(values)
        if self._faults.strike("lock_row", method=method, path=path, body=body):
            raise errors.row_locked()
        fault = self._faults.strike("validation_rule", method=method, path=path, body=body)
        if fault is not None:
            raise errors.validation(fault.code or "The record breaks a validation rule of this company")

    def _validate(self, sobject: SObject, record: Record) -> None:
        for rule in self.validation_rules:
            if rule.breaks(sobject.name, record):
                raise errors.validation(rule.message, [rule.field] if rule.field else [])

    def _unique(self, sobject: SObject, record: Record, values: Record) -> None:
        table = self._store.tables[sobject.name]
        for name in values:
            field = sobject.fields[name.lower()]
            unique = field.unique or (field.external_id and self.unique_external_ids)
            if not (unique and values[name]):
                continue
            for other_id in table.ids_where(field.name, str(values[name])):
                if other_id != record["Id"] and not table.records[other_id]["IsDeleted"]:
                    raise errors.duplicate(field.name, other_id)

    def _find_duplicates(self, rule: DuplicateRule, sobject: SObject, record: Record) -> None:
        key = rule.key(record)
        if key is None or (rule.action == "alert" and self.allow_duplicates):
            return
        others = self._store.tables[sobject.name].records.values()
        found = [r for r in others if r["Id"] != record["Id"] and not r["IsDeleted"] and rule.key(r) == key]
        if found:
            raise errors.DuplicatesDetected(rule.message, _result(rule, sobject, found))


def _result(rule: DuplicateRule, sobject: SObject, found: list[Record]) -> dict[str, Any]:
    matches = [
        {
            "additionalInformation": [],
            "fieldDiffs": [],
            "matchConfidence": 100.0,
            "record": {
                "attributes": {"type": sobject.name, "url": f"/services/data/v62.0/sobjects/{sobject.name}/{r['Id']}"},
                "Id": r["Id"],
            },
        }
        for r in found
    ]
    match = {
        "entityType": sobject.name,
        "errors": [],
        "matchEngine": "ExactMatchEngine",
        "matchRecords": matches,
        "rule": rule.name,
        "size": len(matches),
        "success": True,
    }
    return {
        "allowSave": rule.action == "alert",
        "duplicateRule": rule.name,
        "duplicateRuleEntityType": sobject.name,
        "errorMessage": rule.message,
        "matchResults": [match],
    }
