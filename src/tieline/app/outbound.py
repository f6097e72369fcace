"""Settings of what the hub sends to others than the systems it links: alerts and traces.

The invariant: nothing leaves unencrypted for another machine unless the settings say so in so many words.
"""

from __future__ import annotations

from base64 import b64decode
from typing import Literal
from urllib.parse import urlsplit

import msgspec

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
SECRET_SCHEMES = ("env:", "file:")
"""How a value begins that only says where a secret is."""


class SmtpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The mail server, and whom alerts come from.

    `security`: `starttls`, `tls` from the first byte on, or `none`, which with a password is for loopback only.
    """

    host: str
    port: int = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password: str = ""
    sender: str

    def __post_init__(self) -> None:
        if "@" not in self.sender:
            raise ValueError('smtp.sender must be an address like "tieline@example.com"')
        if self.security == "none" and self.password and self.host not in LOOPBACK:
            raise ValueError('smtp.security = "none" would send the password unencrypted; use "starttls" or "tls"')

    def __repr__(self) -> str:
        return f"SmtpSettings(host={self.host!r})"


class WebhookSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where alerts are posted as JSON, in the shape that Slack's incoming webhooks take.

    `secret` signs them (Standard Webhooks; one that begins with `whsec_` is base 64). `allow_http`: the host may be
    another machine and unencrypted.
    """

    url: str
    secret: str = ""
    allow_http: bool = False

    def __post_init__(self) -> None:
        try:
            b64decode(self.secret.removeprefix("whsec_") if self.secret.startswith("whsec_") else "", validate=True)
        except ValueError as error:
            raise ValueError("secret of a webhook begins with whsec_ and is no base 64") from error
        _check_address("url of a webhook", self.url, self.allow_http)

    def __repr__(self) -> str:
        return "WebhookSettings()"


class AlertSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is told of what needs them. Without `people` nobody is.

    `people`: owner of the catalogue to ways of reaching them, `mail:ADDRESS` or `webhook:NAME`; the first that takes
    a message has it, the others are for when it fails. `default` stands for owners who are not named.
    `parked_minutes`: how long a system is out of reach before somebody hears of it.
    """

    people: dict[str, tuple[str, ...]] = {}
    parked_minutes: int = 10
    smtp: SmtpSettings | None = None
    webhooks: dict[str, WebhookSettings] = {}

    def __post_init__(self) -> None:
        for person, ways in self.people.items():
            if not ways:
                raise ValueError(f"people.{person} needs a way: `mail:ADDRESS` or `webhook:NAME`")
            for way in ways:
                self._check(person, way)

    def _check(self, person: str, way: str) -> None:
        kind, _, to = way.partition(":")
        if kind == "mail" and "@" in to:
            if self.smtp is None:
                raise ValueError(f"people.{person} is to get mail, and there is no [alerts.smtp]")
        elif kind == "webhook" and to:
            if to not in self.webhooks:
                raise ValueError(f"people.{person}: there is no [alerts.webhooks.{to}]")
        else:
            raise ValueError(f"people.{person}: {way!r} must be `mail:ADDRESS` or `webhook:NAME`")


class TelemetrySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where traces go: the base address of an OpenTelemetry collector (OTLP over HTTP), "" for nowhere.

    Needs the extra `otel`. `allow_http`: the collector may be another machine and unencrypted.
    """

    otlp_endpoint: str = ""
    allow_http: bool = False

    def __post_init__(self) -> None:
        if self.otlp_endpoint:
            _check_address("otlp_endpoint", self.otlp_endpoint, self.allow_http)


def _check_address(name: str, url: str, allow_http: bool) -> None:
    if url.startswith(SECRET_SCHEMES):
        return
    address = urlsplit(url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ValueError(f'{name} must be an address like "https://host.example.com"')
    if address.scheme == "http" and address.hostname not in LOOPBACK and not allow_http:
        raise ValueError(f"{name} on {address.hostname} must be https, or `allow_http = true`")
