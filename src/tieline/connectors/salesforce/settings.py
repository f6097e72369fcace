"""Settings of one Salesforce connection. Secrets arrive resolved; no repr of this type shows one."""

from __future__ import annotations

from typing import Any

import msgspec

from tieline.connectors.salesforce.wire import SHAPES
from tieline.connectors.sdk import Auth, ClientCredentials, JwtBearer
from tieline.errors import ConfigurationError

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SHOWN = ("url", "client_id", "username", "api_version", "organization_id")


class SalesforceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One org. `url` is its My Domain (https://acme.my.salesforce.com), where every call goes.

    `client_secret` chooses the client credentials flow, `username` with `private_key` (PEM, RSA) the JWT bearer flow.
    `token_lifetime_s` is at most the session time-out of the org, because the token answer names none.
    `outbound_message_token` stands as ?token=… in the endpoint URL of the outbound message.
    `multi_currency` false: the org has no CurrencyIsoCode, every amount is in `currency`.
    `country_codes` false: State and Country picklists are off, so the account has no BillingCountryCode.
    `overlap_s`: by how much the order in which deals become visible may differ from the order of their stamps.
    `slots`: how many calls may be in flight. `per_day`: how many calls of any 24 hours are ours, where that is fewer
    than Salesforce says in its answers.
    `bulk_above`: a sweep of more records than this reads them from a bulk query job; 0 never does.
    `change_events`: kinds heard over the Pub/Sub API ("opportunity", "account"…), each a stream `opportunity_events`;
    needs the extra `pubsub`. `listen_s` is how long one read waits for events; plain http is for loopback.
    `since` (ISO 8601 with offset) is where polling begins for a connection without a cursor; "" is everything.
    """

    url: str
    client_id: str
    client_secret: str = ""
    username: str = ""
    private_key: str = ""
    audience: str = "https://login.salesforce.com"
    token_url: str = ""
    token_lifetime_s: float = 3600.0
    api_version: str = "62.0"
    outbound_message_token: str = ""
    organization_id: str = ""
    multi_currency: bool = True
    currency: str = ""
    country_codes: bool = True
    overlap_s: float = 5.0
    since: str = ""
    page_size: int = 500
    slots: int = 8
    per_day: int = 0
    bulk_above: int = 2_000
    change_events: tuple[str, ...] = ()
    pubsub_url: str = "https://api.pubsub.salesforce.com:7443"
    listen_s: float = 5.0
    timeout_s: float = 30.0

    def __post_init__(self) -> None:
        if not self.multi_currency and not self.currency:
            raise ConfigurationError("salesforce: `currency` must be set when `multi_currency` is false")
        if not 1 <= self.page_size <= 500:
            raise ConfigurationError(f"salesforce: `page_size` must be from 1 to 500, not {self.page_size}")

        unknown = [kind for kind in self.change_events if kind not in SHAPES]
        if unknown:
            raise ConfigurationError(
                f"salesforce: `change_events` names {', '.join(unknown)}; there are {', '.join(SHAPES)}"
            )

    def __repr__(self) -> str:
        return f"SalesforceSettings({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in _SHOWN]

    def auth(self) -> Auth:
        """The OAuth flow these settings describe. Raises ConfigurationError when they describe none, or a bad key."""
        token_url = self.token_url or f"{self.url.rstrip('/')}/services/oauth2/token"
        if self.username and self.private_key:
            return self._jwt(token_url)
        if self.client_secret:
            form = {
                "grant_type": "client_credentials",
                "client_id": self.client_id,
                "client_secret": self.client_secret,
            }
            return ClientCredentials(token_url, form, lifetime_s=self.token_lifetime_s)
        raise ConfigurationError("salesforce: set `client_secret`, or `username` and `private_key`")

    def _jwt(self, token_url: str) -> JwtBearer:
        claims = {"iss": self.client_id, "sub": self.username, "aud": self.audience}
        try:
            return JwtBearer(
                token_url,
                self.private_key,
                claims,
                lambda assertion: {"grant_type": JWT_GRANT, "assertion": assertion},
                lifetime_s=self.token_lifetime_s,
            )
        except ValueError:
            # no cause: the parser's own message may quote the key
            raise ConfigurationError("salesforce: `private_key` is not an RSA private key in PEM form") from None
