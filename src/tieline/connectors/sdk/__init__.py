"""What connectors share: the HTTP session, authentication, error tables, and how a connector presents itself."""

from tieline.connectors.sdk.auth import Auth, BasicAuth, ClientCredentials, JwtBearer, OAuth1, TokenAuth
from tieline.connectors.sdk.connector import ConnectorType, describe_difference, stands_as_sent
from tieline.connectors.sdk.session import Answer, ErrorTable, Session

__all__ = [
    "Answer",
    "Auth",
    "BasicAuth",
    "ClientCredentials",
    "ConnectorType",
    "ErrorTable",
    "JwtBearer",
    "OAuth1",
    "Session",
    "TokenAuth",
    "describe_difference",
    "stands_as_sent",
]
