"""Salesforce: won deals and accounts come from here, the status of a deal goes back."""

from pathlib import Path

from tieline.connectors.salesforce.connector import manifest, open_connector
from tieline.connectors.salesforce.functions import FUNCTIONS
from tieline.connectors.salesforce.pages import record_page
from tieline.connectors.salesforce.settings import SalesforceSettings
from tieline.connectors.salesforce.wire import SCHEMAS
from tieline.connectors.sdk import ConnectorType

CONNECTOR = ConnectorType(
    vendor="salesforce",
    settings=SalesforceSettings,
    open=open_connector,
    manifest=manifest(),
    mappings=Path(__file__).parent / "mappings",
    functions=FUNCTIONS,
    schemas=SCHEMAS,
    describes_fields=True,
    record_page=record_page,
)

__all__ = ["CONNECTOR"]
