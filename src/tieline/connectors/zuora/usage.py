"""Usage files: one import for each batch, named by the batch, so that a batch can be found before it is sent again.

Zuora bills a file twice when it gets it twice. The invariant: what stands under a batch's name is believed only by the
checksum of its bytes, so the file of a batch is the same bytes every time.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
from collections.abc import Awaitable, Callable

from tieline.connectors.zuora.client import ZuoraClient
from tieline.connectors.zuora.wire import Body
from tieline.engine.ports import Absent, Applied, Call, Finding, Outcome, Wire
from tieline.errors import OutcomeUnknown, RejectedByVendor, TransientError

COLUMNS = ("ACCOUNT_ID", "UOM", "QTY", "STARTDATE", "ENDDATE", "SUBSCRIPTION_ID", "CHARGE_ID", "DESCRIPTION")
_ENDED = ("Completed", "Failed", "Canceled")


async def send(client: ZuoraClient, call: Call) -> Outcome:
    """Import a batch and wait until Zuora has read it: a file that was received is not yet usage."""
    name, content = str(call.wire["name"]), csv_of(call.wire)
    if call.external_id:
        raise RejectedByVendor(
            f"usage batch {name} stands in Zuora with other rows; an imported file cannot be changed: "
            "delete its usage in Zuora, or send what is missing as a batch of its own"
        )
    made = await client.import_usage(name, content, call.idempotency_key)
    ended = await _until(client, lambda: client.find_import(made, name))
    if ended is None:
        raise OutcomeUnknown(f"Zuora has not read usage batch {name} (import {made}) yet")
    (found,) = ended
    if found.get("Status") != "Completed":
        raise RejectedByVendor(f"Zuora read usage batch {name} and stored nothing: {found.get('StatusReason')}")
    return Applied(external_id=made, display=name, response=found)


async def probe(client: ZuoraClient, call: Call) -> Finding:
    """What stands under the batch's name: imports that failed stored nothing and do not count."""
    name = str(call.wire["name"])
    found = await _until(client, lambda: client.imports(name))
    if found is None:
        raise TransientError(f"Zuora is still reading usage batch {name}", retry_after_s=2.0)
    stored = [i for i in found if i.get("Status") == "Completed"]
    if not stored:
        return Absent()
    checksum = checksum_of(csv_of(call.wire))
    same = next((i for i in stored if i.get("Md5") == checksum), None)
    if same is None:
        return Absent(external_id=str(stored[0]["Id"]))
    return Applied(external_id=str(same["Id"]), display=name, response=same)


async def _until(client: ZuoraClient, read: Callable[[], Awaitable[list[Body]]]) -> list[Body] | None:
    """The imports once Zuora is done with all of them, None when that takes longer than `async_timeout_s`."""
    loop = asyncio.get_running_loop()
    ends, pause = loop.time() + client.settings.async_timeout_s, client.settings.async_poll_s
    while True:
        found = await read()
        if all(i.get("Status") in _ENDED for i in found):
            return found
        if loop.time() + pause > ends:
            return None
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 5.0)


def csv_of(wire: Wire) -> bytes:
    """The rows in Zuora's columns; the same rows are the same bytes. Raises RejectedByVendor without rows."""
    rows = wire.get("rows") or []
    if not rows:
        raise RejectedByVendor(f"usage batch {wire.get('name')} has no rows")
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def checksum_of(content: bytes) -> str:
    """As Zuora tells it of an import."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
