"""RESTlets answer in their own way, and a script that runs out of units has done half its work."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from tests.sandbox.netsuite.client import Answer, Client

from tieline_sandbox.netsuite import Sandbox

PATH = "/app/site/hosting/restlet.nl?deploy=1&script=customscript_"


def error(answer: Answer) -> tuple[int, str]:
    return answer.status, str(answer.body["error"]["code"])


def company(number: int, **changed: Any) -> dict[str, Any]:
    return {"companyName": f"Company {number}", "subsidiary": {"id": "1"}} | changed


async def test_the_file_cabinet_keeps_files_by_folder_and_name(client: Client) -> None:
    """A file of the same name in the same folder is replaced and keeps its id."""
    made = await client.call("POST", f"{PATH}files", {"name": "a.csv", "folder": 1, "contents": "x,y"})
    again = await client.call("POST", f"{PATH}files", {"name": "a.csv", "folder": 1, "contents": "é"})
    assert made.body == again.body
    file_id = made.body["id"]
    assert (await client.call("GET", f"{PATH}files&folder=1")).body == [{"id": file_id, "name": "a.csv", "size": 2}]
    assert (await client.call("GET", f"{PATH}files&id={file_id}")).body["contents"] == "é"
    assert (await client.call("DELETE", f"{PATH}files&id={file_id}")).status == 200
    assert error(await client.call("GET", f"{PATH}files&id={file_id}")) == (400, "RCRD_DSNT_EXIST")
    assert error(await client.call("POST", f"{PATH}files", {"name": "b", "folder": 7})) == (400, "INVALID_KEY_OR_REF")


async def test_a_script_without_units_left_has_saved_what_came_before(client: Client, sandbox: Sandbox) -> None:
    await client.control("configure", {"restlet_units": 25})
    body = {"type": "customer", "records": [company(number) for number in range(3)]}
    assert error(await client.call("POST", f"{PATH}save", body)) == (400, "SSS_USAGE_LIMIT_EXCEEDED")
    names = [one["companyName"] for one in sandbox.documents("customer")["customer"]]
    assert names[-2:] == ["Company 0", "Company 1"]


async def test_refusals_of_scripts_are_400_with_a_code(client: Client) -> None:
    """Business rules, too; what is not there is 404, a wrong login 401."""
    refused = await client.call("POST", f"{PATH}save", {"type": "customer", "records": [{}]})
    assert error(refused) == (400, "USER_ERROR")
    assert refused.body["error"]["message"].startswith("Please enter value(s) for")
    assert error(await client.call("GET", f"{PATH}nothing")) == (404, "SSS_INVALID_SCRIPTLET_ID")
    client.token = "wrong"
    assert error(await client.call("GET", f"{PATH}files&folder=1")) == (401, "INVALID_LOGIN")


async def test_scripts_share_the_slots_of_the_account_and_say_400(client: Client) -> None:
    await client.control("configure", {"service_ms": 50, "slots": 2})
    calls = (client.call("GET", f"{PATH}files&folder=1") for _ in range(2))
    answers = await asyncio.gather(*calls, client.record("GET", "customer"))
    refused = next(answer for answer in answers if answer.status != 200)
    assert Counter(answer.status == 200 for answer in answers) == {True: 2, False: 1}
    if "error" in refused.body:
        assert error(refused) == (400, "SSS_REQUEST_LIMIT_EXCEEDED")
    else:
        assert refused.status == 429
