"""Settings of how people come in beside a password: [access]."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from tieline.app.outbound import LOOPBACK
from tieline.app.principal import Role


class OidcSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An identity provider (OpenID Connect) at which people sign in.

    `roles_claim` of its ID token lists a person's groups; `role_map` says which role a group means; `name_claim` is
    what they are called here.
    """

    issuer: str
    client_id: str
    client_secret: str = ""
    roles_claim: str = "groups"
    role_map: dict[str, Role]
    name_claim: str = "email"
    scopes: str = "openid email profile"

    def __post_init__(self) -> None:
        address = urlsplit(self.issuer)
        if address.scheme != "https" and address.hostname not in LOOPBACK:
            raise ValueError("issuer must be an https address")
        if not self.role_map:
            raise ValueError('role_map must say which groups mean which role: role_map = { "finance" = "operator" }')

    def __repr__(self) -> str:
        return f"OidcSettings(issuer={self.issuer!r}, client_id={self.client_id!r})"


class AccessSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How people sign in beside a password."""

    oidc: OidcSettings | None = None
