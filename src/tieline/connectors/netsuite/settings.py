"""Settings of one connection to a NetSuite account. Secrets arrive here resolved and never leave in a repr.

API version: SuiteTalk REST web services 2026.1 (record v1, query v1); the account's own release decides, the path
carries only `v1`.
"""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from joserfc.errors import JoseError

from tieline.connectors.netsuite.records import RECORDS, SWEPT
from tieline.connectors.sdk import Auth, JwtBearer, OAuth1
from tieline.errors import ConfigurationError

API_VERSION = "2026.1"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TOKEN_PATH = "/services/rest/auth/oauth2/v1/token"  # noqa: S105 - a path, not a secret

_OAUTH2 = ("client_id", "certificate_id", "private_key")
_TBA = ("account", "consumer_key", "consumer_secret", "token_id", "token_secret")


class NetSuiteSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Give either `client_id`, `certificate_id` and `private_key` (OAuth 2.0 machine to machine), or `account` and
    the four values of token-based authentication, which takes no new integration from release 2027.1 on.

    url: `https://<account>.suitetalk.api.netsuite.com`, without a path; account: as in the realm, `1234567_SB1`.
    private_key: PEM; its certificate stands in NetSuite under `certificate_id` (made per account, wiped by a sandbox
    refresh). token_url: only where it is not under `url`; it is also the audience of the assertion.
    slots: how many calls may be in flight. The account's number is shared by every integration: leave some to others.
    time_zone: the time zone in which SuiteQL tells and takes lastmodifieddate for this role (company preference).
    overlap_s: how far behind its last stamp a stream reads again, for records that commit late.
    streams: the kinds of records that are swept for changes; each costs a query a sweep.
    subsidiary: the subsidiary of customers whose table gives none (a customer needs one in a OneWorld account).
    """

    url: str
    account: str = ""
    client_id: str = ""
    certificate_id: str = ""
    private_key: str = ""
    algorithm: str = "PS256"
    scope: str = "rest_webservices"
    token_url: str = ""
    consumer_key: str = ""
    consumer_secret: str = ""
    token_id: str = ""
    token_secret: str = ""
    subsidiary: str = ""
    time_zone: str = "America/Los_Angeles"
    streams: tuple[str, ...] = SWEPT
    slots: int = 5
    page_size: int = 500
    overlap_s: float = 300.0
    catalogue_max_age_s: float = 900.0
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        if not re.match(r"https?://[^/]+/?\Z", self.url):
            raise ConfigurationError(f"netsuite: url must be a scheme and a host without a path, not {self.url!r}")
        if not 1 <= self.page_size <= 1000:
            raise ConfigurationError("netsuite: page_size must be between 1 and 1000, NetSuite's largest page")
        if unknown := set(self.streams) - RECORDS.keys():
            raise ConfigurationError(
                f"netsuite: streams names {', '.join(sorted(unknown))}; there are {', '.join(RECORDS)}"
            )
        if self.slots < 1:
            raise ConfigurationError("netsuite: slots must be at least 1")
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ConfigurationError(f"netsuite: time_zone {self.time_zone!r} is not a time zone") from error
        self._check_credentials()

    def __repr__(self) -> str:
        return f"NetSuiteSettings(url={self.url!r}, account={self.account!r}, slots={self.slots})"

    @property
    def uses_oauth2(self) -> bool:
        return bool(self.client_id)

    @property
    def base_url(self) -> str:
        return self.url.rstrip("/")

    def _check_credentials(self) -> None:
        wanted = _OAUTH2 if self.uses_oauth2 else _TBA
        missing = [name for name in wanted if not getattr(self, name)]
        if missing:
            way = "OAuth 2.0 machine to machine" if self.uses_oauth2 else "token-based authentication"
            raise ConfigurationError(
                f"netsuite: {way} also needs {', '.join(missing)}; "
                f"give either {', '.join(_OAUTH2)} or {', '.join(_TBA)}"
            )
        if self.uses_oauth2 and (self.consumer_key or self.token_id):
            raise ConfigurationError(
                "netsuite: both OAuth 2.0 and token-based credentials are given: remove one of them"
            )


def make_auth(settings: NetSuiteSettings) -> Auth:
    """The way of signing that the settings give. Raises ConfigurationError for a key that cannot be read.

    Source: Oracle help, "OAuth 2.0 Client Credentials Flow": PS256 or ES256-512, `kid` is the certificate id,
    `aud` the token endpoint, at most one hour of life.
    """
    if not settings.uses_oauth2:
        return OAuth1(
            settings.account,
            settings.consumer_key,
            settings.consumer_secret,
            settings.token_id,
            settings.token_secret,
        )
    token_url = settings.token_url or settings.base_url + TOKEN_PATH
    try:
        return JwtBearer(
            token_url,
            settings.private_key,
            {"iss": settings.client_id, "scope": settings.scope, "aud": token_url},
            _token_form,
            algorithm=settings.algorithm,
            key_id=settings.certificate_id,
        )
    except (JoseError, ValueError, TypeError) as error:
        # The key itself must not travel in the message, nor in the chain that a log would print.
        raise ConfigurationError(
            f"netsuite: private_key is not a PEM key that {settings.algorithm} can sign with ({type(error).__name__})"
        ) from None


def _token_form(assertion: str) -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion,
    }
