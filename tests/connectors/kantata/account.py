"""A Kantata OX account and calls to make on it: shared by the tests of this folder."""

from __future__ import annotations

from typing import Any, NamedTuple

from tieline.connectors.kantata.settings import KantataSettings
from tieline.engine.ports import Call
from tieline.engine.records import EffectKey
from tieline_sandbox.kantata import Sandbox

DEAL = "salesforce-006Aa000001XyZ1AAK"
Record = dict[str, Any]


class Served(NamedTuple):
    """An account and where it is served."""

    account: Sandbox
    url: str


def settings_for(url: str, **changes: Any) -> KantataSettings:
    return KantataSettings(**{"url": url, "token": "sandbox-token", **changes})


def wire_for(deal: str = DEAL, **fields: Any) -> Record:
    """A project as the mapping table makes it."""
    reference = {
        "service_name": "tieline",
        "service_model": "contract",
        "service_model_ref": deal,
        "status": "successful",
    }
    return {
        "title": "Nordwind - implementation",
        "creator_role": "maven",
        "currency": "EUR",
        "start_date": "2026-02-01",
        "due_date": "2026-04-30",
        "budgeted": True,
        "price": 7167,
        "external_reference": reference,
        **fields,
    }


def project_call(deal: str = DEAL, *, external_id: str = "", **fields: Any) -> Call:
    key = EffectKey("kantata", "project", deal)
    return Call(key=key, revision=1, wire=wire_for(deal, **fields), external_id=external_id)


def projects(account: Sandbox) -> list[Record]:
    """What stands in the account."""
    return account.documents("workspaces")["workspaces"]
