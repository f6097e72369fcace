"""Where people look at a document in the vendor's own pages: the address that the connection and its connector know."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from tieline.app.outbound import LOOPBACK
from tieline.app.project import Project, connector_settings

SANDBOX = "/_sandbox/#documents"
"""A system on loopback is a sandbox, which shows everything it holds on one page."""


def vendor_page(project: Project, connection: str, kind: str, external_id: str, response: bytes = b"") -> str:
    """The address of a record's page, "" where it stands nowhere or its vendor shows no such page."""
    settings = project.settings.connections.get(connection)
    if settings is None or not external_id:
        return ""
    vendor = project.connectors[settings.connector]
    url = str(getattr(connector_settings(settings, vendor), "url", ""))
    if urlsplit(url).hostname in LOOPBACK:
        return f"{url.rstrip('/')}{SANDBOX}"
    return vendor.record_page(url, kind, external_id, _answer(response))


def _answer(response: bytes) -> dict[str, object]:
    """What the vendor said, where that was an object."""
    try:
        return msgspec.json.decode(response, type=dict[str, object])
    except msgspec.DecodeError:
        return {}
