"""Files of usage records: taken at once, read a moment later. All rows are stored, or none and a reason.

Nothing is deduplicated, neither files of the same name nor rows: the same file twice is billed twice.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io

from tieline_sandbox.zuora import usage
from tieline_sandbox.zuora.errors import Record
from tieline_sandbox.zuora.model import Tenant
from tieline_sandbox.zuora.usage import UsageRefused

_COLUMNS = {
    "ACCOUNT_ID": "AccountNumber",
    "UOM": "UOM",
    "QTY": "Quantity",
    "STARTDATE": "StartDateTime",
    "ENDDATE": "EndDateTime",
    "SUBSCRIPTION_ID": "SubscriptionNumber",
    "CHARGE_ID": "ChargeNumber",
    "DESCRIPTION": "Description",
}


def start(t: Tenant, name: str, content: bytes) -> Record:
    """The record of an import whose rows are still to be read."""
    record = t.imports.add(
        t.stamped(
            {
                "name": name,
                "importType": "Usage",
                "status": "Pending",
                "statusReason": None,
                "totalCount": 0,
                "importedCount": 0,
                "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
                "originalResourceUrl": f"/v1/files/{t.new_id()}",
                "resultResourceUrl": None,
            }
        )
    )
    asyncio.get_running_loop().call_later(t.settings.async_delay_s, _read, t, record, content)
    return record


def _read(t: Tenant, record: Record, content: bytes) -> None:
    stored: list[Record] = []
    try:
        rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig")))
        # One by one, so that the rows before a refused one are known.
        stored.extend(usage.create(t, _body(row), "Import", record["name"]) for row in rows)
        record |= {"status": "Completed", "totalCount": len(stored), "importedCount": len(stored)}
    except (UsageRefused, UnicodeDecodeError, csv.Error) as error:
        for row in stored:
            t.usages.remove(row)
        record |= {"status": "Failed", "statusReason": f"Row {len(stored) + 1}: {error}"}
    t.touch(t.imports, record)


def _body(row: dict[str, str]) -> Record:
    return {_COLUMNS.get(k.strip().upper(), k): v.strip() for k, v in row.items() if k and v and v.strip()}


def status_view(record: Record) -> Record:
    """GET /v1/usage/{id}/status."""
    return {
        "success": True,
        "importId": record["id"],
        "importStatus": record["status"],
        "message": record["statusReason"],
    }
