"""Many at once: actions with a result for each object, imports of a file, queries and exports that end in a file."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from tests.sandbox.zuora.conftest import Zuora, calls, order

pytestmark = pytest.mark.asyncio(loop_scope="module")
CALLS = {"AccountNumber": "A-1", "ChargeNumber": "C-1", "UOM": "API calls", "StartDateTime": "2026-01-20T00:00:00Z"}
OUTPUT = {"compression": "NONE", "output": {"target": "S3"}}


async def quick(zuora: Zuora) -> None:
    await zuora.control("configure", {"async_delay_s": 0.01})
    await zuora.post("/v1/orders", order("1", calls("C-1")))


async def until(zuora: Zuora, path: str, field: str, *ends: str) -> Any:
    """The answer once its field (inside `data`, where there is one) says one of these."""
    async with asyncio.timeout(5):
        while True:
            answer = await zuora.get(path)
            if (seen := answer.get("data", answer))[field] in ends:
                return seen
            await asyncio.sleep(0.01)


async def test_an_action_answers_200_with_a_refusal_among_its_results(zuora: Zuora) -> None:
    """The objects before and behind the refused one are stored."""
    await quick(zuora)
    objects = [{**CALLS, "Quantity": 5}, {**CALLS, "Quantity": "many"}, {**CALLS, "Quantity": 7}]
    status, results, _ = await zuora.ask("POST", "/v1/action/create", {"type": "Usage", "objects": objects})
    assert status == 200
    assert [r["Success"] for r in results] == [True, False, True]
    assert results[1]["Errors"] == [{"Code": "INVALID_VALUE", "Message": "Invalid value for field Quantity: many"}]
    assert [u["quantity"] for u in zuora.sandbox.documents("usages")["usages"]] == [Decimal(5), Decimal(7)]
    change = {"type": "Usage", "objects": [{"Id": results[0]["Id"], "Quantity": 6}, {"Id": "none", "Quantity": 1}]}
    assert [r["Success"] for r in await zuora.post("/v1/action/update", change)] == [True, False]
    gone = await zuora.post("/v1/action/delete", {"type": "Usage", "ids": [results[0]["Id"], "none"]})
    assert [r["success"] for r in gone] == [True, False]


async def test_an_action_takes_fifty_objects_at_most(zuora: Zuora) -> None:
    """More are refused as a whole, with status 400."""
    await quick(zuora)
    objects = [{**CALLS, "Quantity": 1}] * 51
    status, answer, _ = await zuora.ask("POST", "/v1/action/create", {"type": "Usage", "objects": objects})
    assert (status, answer["Success"]) == (400, False)
    assert not zuora.sandbox.documents("usages")["usages"]


async def imported(zuora: Zuora, content: str) -> Any:
    form = aiohttp.FormData()
    form.add_field("ImportType", "Usage")
    form.add_field("Name", "calls-january")
    form.add_field("File", content.encode(), filename="calls.csv", content_type="text/csv")
    headers = {"Authorization": f"Bearer {zuora.token}"}
    async with zuora.session.post(f"{zuora.base}/v1/object/import", data=form, headers=headers) as response:
        answer = await response.json()
    assert answer["Success"] is True
    return await until(zuora, f"/v1/object/import/{answer['Id']}", "Status", "Completed", "Failed")


async def test_an_import_stores_all_rows_of_its_file_or_none(zuora: Zuora) -> None:
    """It is pending first; a wrong row is named, and ZOQL finds the import by its name."""
    await quick(zuora)
    good = "ACCOUNT_ID,UOM,QTY,STARTDATE,CHARGE_ID\nA-1,API calls,20,01/20/2026,C-1\n"
    done = await imported(zuora, good)
    assert (done["Status"], done["TotalCount"], done["ImportedCount"]) == ("Completed", 1, 1)
    failed = await imported(zuora, good + "A-9,API calls,1,01/20/2026,C-1\n")
    assert (failed["Status"], failed["StatusReason"]) == ("Failed", "Row 2: Invalid value for field AccountId: A-9")
    assert len(zuora.sandbox.documents("usages")["usages"]) == 1
    found = await zuora.post(
        "/v1/action/query", {"queryString": "select Id, Status from Import where Name = 'calls-january'"}
    )
    assert {r["Status"] for r in found["records"]} == {"Completed", "Failed"}


async def test_a_data_query_leaves_a_file_of_rows(zuora: Zuora) -> None:
    """Accepted, then completed with the file's address and its number of rows; a wrong query fails later."""
    await quick(zuora)
    asked = {"query": "select accountNumber, currency from account", "outputFormat": "JSON", **OUTPUT}
    job = (await zuora.post("/query/jobs", asked))["data"]
    assert job["queryStatus"] == "accepted"
    done = await until(zuora, f"/query/jobs/{job['id']}", "queryStatus", "completed")
    assert done["outputRows"] == 1
    headers = {"Authorization": f"Bearer {zuora.token}"}
    async with zuora.session.get(done["dataFile"], headers=headers) as response:
        (line,) = (await response.text()).splitlines()
    assert json.loads(line)["accountNumber"] == "A-1"
    wrong = (await zuora.post("/query/jobs", {**asked, "query": "select x from nowhere"}))["data"]
    failed = await until(zuora, f"/query/jobs/{wrong['id']}", "queryStatus", "failed")
    assert failed["errorMessage"] == "invalid type: nowhere"


async def test_an_export_is_a_csv_by_its_file_id(zuora: Zuora) -> None:
    """Create, ask for the file id, read the file."""
    made = await zuora.post("/v1/object/export", {"Query": "select AccountNumber, Name from Account", "Format": "csv"})
    export = await zuora.get(f"/v1/object/export/{made['Id']}")
    assert export["Status"] == "Completed"
    headers = {"Authorization": f"Bearer {zuora.token}"}
    async with zuora.session.get(f"{zuora.base}/v1/files/{export['FileId']}", headers=headers) as response:
        assert response.content_type == "text/csv"
        (row,) = csv.DictReader(io.StringIO(await response.text()))
    assert (row["AccountNumber"], row["Name"]) == ("A-1", "Company A-1")
