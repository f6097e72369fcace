"""What connectors share: the HTTP session, authentication, error tables, paging, incremental reads, and how a connector
presents itself.
"""

from tieline.connectors.sdk.auth import (
    ApiKey,
    Auth,
    BasicAuth,
    ClientCredentials,
    JwtBearer,
    OAuth1,
    RefreshToken,
    TokenAge,
    TokenAuth,
)
from tieline.connectors.sdk.bulk import each, parts
from tieline.connectors.sdk.capture import Capture, Exchange, capturing
from tieline.connectors.sdk.connector import ConnectorType, describe_difference, stands_as_sent
from tieline.connectors.sdk.incremental import Watermark, moment_of, utc_text, wall_step_back, wall_to_utc
from tieline.connectors.sdk.paging import every, follow
from tieline.connectors.sdk.recent import MOST_CALLS, KeepsCalls, Recent, RecentCall
from tieline.connectors.sdk.schema import Described, DescribesFields, list_schema, object_schema
from tieline.connectors.sdk.session import Answer, ErrorTable, Session

__all__ = [
    "MOST_CALLS",
    "Answer",
    "ApiKey",
    "Auth",
    "BasicAuth",
    "Capture",
    "ClientCredentials",
    "ConnectorType",
    "Described",
    "DescribesFields",
    "ErrorTable",
    "Exchange",
    "JwtBearer",
    "KeepsCalls",
    "OAuth1",
    "Recent",
    "RecentCall",
    "RefreshToken",
    "Session",
    "TokenAge",
    "TokenAuth",
    "Watermark",
    "capturing",
    "describe_difference",
    "each",
    "every",
    "follow",
    "list_schema",
    "moment_of",
    "object_schema",
    "parts",
    "stands_as_sent",
    "utc_text",
    "wall_step_back",
    "wall_to_utc",
]
