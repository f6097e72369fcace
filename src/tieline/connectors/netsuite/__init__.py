"""Oracle NetSuite: customers, sales orders, invoices, credit memos and customer payments through SuiteTalk REST."""

from pathlib import Path

from tieline.connectors.netsuite.connector import NetSuiteConnector, manifest, open_connector
from tieline.connectors.netsuite.functions import FUNCTIONS
from tieline.connectors.netsuite.pages import record_page
from tieline.connectors.netsuite.settings import NetSuiteSettings
from tieline.connectors.netsuite.wire import SCHEMAS
from tieline.connectors.sdk import ConnectorType

CONNECTOR = ConnectorType(
    vendor="netsuite",
    settings=NetSuiteSettings,
    open=open_connector,
    manifest=manifest(slots=5),
    mappings=Path(__file__).parent / "mappings",
    functions=FUNCTIONS,
    schemas=SCHEMAS,
    describes_fields=True,
    record_page=record_page,
)

__all__ = ["CONNECTOR", "NetSuiteConnector", "NetSuiteSettings"]
