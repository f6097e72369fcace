"""The ways to people: e-mail over SMTP, and webhooks of the shape that Slack reads.

The invariant: nothing is sent but to the hosts of the settings, and no secret or address gets into an error or a log.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import smtplib
import ssl
from email.message import EmailMessage
from email.policy import SMTP as WIRE
from email.utils import format_datetime
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from tieline.app.alerts import words
from tieline.app.alerts.memory import Message
from tieline.app.outbound import AlertSettings, SmtpSettings, WebhookSettings
from tieline.errors import TielineError

TIMEOUT_S = 10.0
MOST_SAID = 200


class Undelivered(TielineError):
    """A channel did not take a message; it is tried again, not before `retry_after_s`."""

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """What every message says of where it comes from: the project's name and the address of its pages."""

    project: str
    url: str


class Channel(Protocol):
    """One way to one recipient. `name` is for logs: it holds no address."""

    name: str

    async def send(self, message: Message, sender: Sender) -> str:
        """What the other side answered. Raises Undelivered."""


def open_channel(text: str, settings: AlertSettings) -> Channel:
    """`mail:finance@example.com` or `webhook:NAME`; the settings have checked that there is such a way."""
    way, _, to = text.partition(":")
    return Mail(settings.smtp, to) if way == "mail" and settings.smtp else Webhook(to, settings.webhooks[to])


class Mail:
    """E-mail to one address. SMTP blocks, so it has a thread; the worker's loop goes on."""

    name = "mail"

    def __init__(self, settings: SmtpSettings, to: str) -> None:
        self._settings, self._to = settings, to

    async def send(self, message: Message, sender: Sender) -> str:
        return await asyncio.to_thread(self._send, self._mail(message, sender))

    def _mail(self, message: Message, sender: Sender) -> EmailMessage:
        mail = EmailMessage(policy=WIRE)
        mail["Subject"] = " ".join(words.subject(message, sender.project).split())
        mail["From"], mail["To"] = self._settings.sender, self._to
        mail["Date"] = format_datetime(message.at)
        mail["Message-ID"] = f"<{message.id}@{self._settings.sender.rpartition('@')[2].strip('> ')}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
        mail.set_content(words.plain_text(message, sender.url))
        mail.add_alternative(words.html(message, sender.url), subtype="html")
        return mail

    def _send(self, mail: EmailMessage) -> str:
        try:
            with self._connect() as smtp:
                return self._hand_over(smtp, mail)
        except smtplib.SMTPResponseException as error:
            raise Undelivered(f"{self._where()} answered {_said(error.smtp_code, error.smtp_error)}") from error
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise Undelivered(f"{self._where()} cannot be used: {type(error).__name__}: {error}") from error

    def _connect(self) -> smtplib.SMTP:
        host, port, security = self._settings.host, self._settings.port, self._settings.security
        if security == "tls":
            return smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_S, context=ssl.create_default_context())
        smtp = smtplib.SMTP(host, port, timeout=TIMEOUT_S)
        if security == "starttls":
            try:
                smtp.starttls(context=ssl.create_default_context())
            except BaseException:
                smtp.close()
                raise
        return smtp

    def _hand_over(self, smtp: smtplib.SMTP, mail: EmailMessage) -> str:
        smtp.ehlo_or_helo_if_needed()
        if self._settings.user:
            smtp.login(self._settings.user, self._settings.password)
        # step by step: sendmail() keeps back what the server says at the end, with the number it queued the mail under
        for code, said in (smtp.mail(_address(self._settings.sender)), smtp.rcpt(self._to)):
            if code not in (250, 251):
                raise smtplib.SMTPResponseException(code, said)
        code, said = smtp.data(mail.as_bytes())
        if code != 250:
            raise smtplib.SMTPResponseException(code, said)
        return _said(code, said)

    def _where(self) -> str:
        return f"the mail server {self._settings.host}:{self._settings.port}"


class Webhook:
    """A POST of JSON, signed where there is a secret. Source: Standard Webhooks specification, "Signature scheme"."""

    def __init__(self, name: str, settings: WebhookSettings) -> None:
        self.name, self._settings = f"webhook:{name}", settings

    async def send(self, message: Message, sender: Sender) -> str:
        import aiohttp  # takes its time to load, and commands that send nothing know this module too

        body = msgspec.json.encode(words.slack(message, sender.project, sender.url))
        try:
            # the address may be a secret itself, and a redirect would carry the message to a host nobody named
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as http,
                http.post(
                    self._settings.url, data=body, headers=self._headers(message, body), allow_redirects=False
                ) as answer,
            ):
                said = _said(answer.status, await answer.content.read(MOST_SAID))
                if answer.status // 100 == 2:
                    return said
                raise Undelivered(f"{self._where()} answered {said}", _seconds(answer.headers.get("Retry-After", "")))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Undelivered(f"{self._where()} cannot be reached: {type(error).__name__}") from error

    def _headers(self, message: Message, body: bytes) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "webhook-id": message.id}
        if self._settings.secret:
            stamp = str(int(message.at.timestamp()))
            headers["webhook-timestamp"] = stamp
            headers["webhook-signature"] = signature(self._settings.secret, message.id, stamp, body)
        return headers

    def _where(self) -> str:
        return f"{self.name} at {urlsplit(self._settings.url).hostname}"


def signature(secret: str, ident: str, stamp: str, body: bytes) -> str:
    """`v1,` and the HMAC-SHA256 of id, moment and body in base 64; a secret `whsec_…` is base 64 itself."""
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    digest = hmac.new(key, f"{ident}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def _address(sender: str) -> str:
    """`Tieline <tieline@example.com>` → `tieline@example.com`"""
    return sender.rpartition("<")[2].rstrip("> ")


def _said(code: int, text: bytes | str) -> str:
    words_ = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {' '.join(words_.split())[:MOST_SAID]}".strip()


def _seconds(text: str) -> float:
    return float(text) if text.isdecimal() else 0.0
