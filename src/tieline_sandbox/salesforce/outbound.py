"""Outbound Messages: SOAP notifications of a workflow rule, sent until the listener answers `<Ack>true</Ack>`.

A rule fires when a record is created meeting its criteria, or edited so that it newly meets them. The body is made at
each attempt from the record as it is then: a late message carries the latest data, not the data of the change.
Source: SOAP API Developer Guide, "Outbound Messaging".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any
from xml.sax.saxutils import escape

import msgspec

from tieline_sandbox.kernel.webhooks import Webhook, WebhookSender
from tieline_sandbox.salesforce.ids import mint
from tieline_sandbox.salesforce.model import ORGANIZATION_ID, Org
from tieline_sandbox.salesforce.schema import Schema, SObject
from tieline_sandbox.salesforce.store import Change, Record

PER_MESSAGE = 100
_ACK = re.compile(rb"<(?:\w+:)?Ack>\s*true\s*</(?:\w+:)?Ack>")
_HEADERS = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'}


class OutboundMessage(msgspec.Struct, kw_only=True):
    """One workflow action: which object, when (field = value, all of them), which fields, and where to."""

    name: str
    object: str
    url: str
    when: dict[str, Any] = {}
    fields: tuple[str, ...] = ("Id",)
    organization_id: str = ORGANIZATION_ID

    def met_by(self, record: Record | None) -> bool:
        return record is not None and all(record.get(name) == value for name, value in self.when.items())

    def check(self, schema: Schema) -> None:
        """Raises KeyError for an object or a field that does not exist."""
        fields = schema[self.object].fields
        for name in (*self.fields, *self.when):
            if name.lower() not in fields:
                raise KeyError(f"{self.object}.{name}")


class Outbox:
    """The messages configured, and the sending of what changes."""

    def __init__(self, org: Org, sender: WebhookSender) -> None:
        self._org, self._sender = org, sender
        self.messages: list[OutboundMessage] = []
        self.retry_after_s: tuple[float, ...] = (0.2, 0.5, 1.0, 2.0, 5.0)
        self.base_url = "https://tieline.my.salesforce.com"
        self._notified = 0

    def changed(self, changes: list[Change]) -> None:
        """Send what one transaction gave cause for: one message an action, up to 100 notifications in each."""
        for number, message in enumerate(self.messages, start=1):
            ids = [
                after["Id"] for before, after in _of_object(changes, message.object) if _newly(message, before, after)
            ]
            for start in range(0, len(ids), PER_MESSAGE):
                self._send(number, message, ids[start : start + PER_MESSAGE])

    def _send(self, number: int, message: OutboundMessage, ids: list[str]) -> None:
        notifications = []
        for record_id in ids:
            self._notified += 1
            notifications.append((mint("04l", self._notified), record_id))
        action_id = mint("04k", number)
        body = lambda: self._envelope(message, action_id, notifications)  # noqa: E731
        self._sender.send(_LateWebhook(message.url, body, self.retry_after_s, about=message.name))

    def _envelope(self, message: OutboundMessage, action_id: str, notifications: list[tuple[str, str]]) -> bytes:
        table = self._org.store.tables[self._org.schema[message.object].name]
        parts = [
            f"<Notification><Id>{notification_id}</Id>{_sobject(table.sobject, table.records[record_id], message)}"
            "</Notification>"
            for notification_id, record_id in notifications
            if record_id in table.records
        ]
        soap = f"{self.base_url}/services/Soap"
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
            'xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
            '<soapenv:Body><notifications xmlns="http://soap.sforce.com/2005/09/outbound">'
            f"<OrganizationId>{escape(message.organization_id)}</OrganizationId><ActionId>{action_id}</ActionId>"
            '<SessionId xsi:nil="true"/>'
            f"<EnterpriseUrl>{escape(soap)}/c/62.0/{message.organization_id}</EnterpriseUrl>"
            f"<PartnerUrl>{escape(soap)}/u/62.0/{message.organization_id}</PartnerUrl>"
            f"{''.join(parts)}</notifications></soapenv:Body></soapenv:Envelope>"
        ).encode()


class _LateWebhook(Webhook):
    """A webhook whose body is made when it is sent."""

    def __init__(self, url: str, make: Callable[[], bytes], retry_after_s: tuple[float, ...], about: str) -> None:
        self._make = make
        super().__init__(url, b"", lambda _: _HEADERS, _acknowledged, retry_after_s, about)

    @property
    def body(self) -> bytes:
        return self._make()

    @body.setter
    def body(self, _: bytes) -> None:
        """Nothing to keep: each attempt makes its own."""


def _acknowledged(status: int, body: bytes) -> bool:
    return status == 200 and _ACK.search(body) is not None


def _of_object(changes: list[Change], name: str) -> Iterable[tuple[Record | None, Record]]:
    return ((before, after) for sobject, before, after in changes if sobject.name.lower() == name.lower())


def _newly(message: OutboundMessage, before: Record | None, after: Record) -> bool:
    return not after["IsDeleted"] and message.met_by(after) and (before is None or not message.met_by(before))


def _sobject(sobject: SObject, record: Record, message: OutboundMessage) -> str:
    names = [sobject.fields[name.lower()].name for name in dict.fromkeys(["Id", *message.fields])]
    values = "".join(
        f"<sf:{name}>{escape(_xml(sobject, name, record[name]))}</sf:{name}>"
        for name in names
        if record[name] is not None
    )
    return f'<sObject xsi:type="sf:{sobject.name}" xmlns:sf="urn:sobject.enterprise.soap.sforce.com">{values}</sObject>'


def _xml(sobject: SObject, name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    # SOAP writes UTC as Z where REST writes +0000
    return str(value).replace("+0000", "Z") if sobject.fields[name.lower()].type == "datetime" else str(value)
