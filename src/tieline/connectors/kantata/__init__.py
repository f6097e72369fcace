"""Kantata OX (formerly Mavenlink): a project is opened for services that were sold."""

from pathlib import Path

from tieline.connectors.kantata.connector import manifest, open_connector
from tieline.connectors.kantata.pages import record_page
from tieline.connectors.kantata.settings import KantataSettings
from tieline.connectors.kantata.wire import SCHEMAS
from tieline.connectors.sdk import ConnectorType

CONNECTOR = ConnectorType(
    vendor="kantata",
    settings=KantataSettings,
    open=open_connector,
    manifest=manifest(),
    mappings=Path(__file__).parent / "mappings",
    schemas=SCHEMAS,
    record_page=record_page,
)

__all__ = ["CONNECTOR"]
