"""Outbound messages: verify who sent one, then read it.

Salesforce signs nothing here. What proves the sender is the secret in the endpoint's own URL (?token=…) and the
organization id inside. It sends again until it hears Ack true, out of order and more than once: the id of a
notification drops what was seen. Source: SOAP API Developer Guide, "Outbound Messaging", notifications().
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from xml.etree import ElementTree as ET

from tieline.connectors.salesforce.polling import literal
from tieline.connectors.salesforce.settings import SalesforceSettings
from tieline.engine.ports import Notice
from tieline.errors import ConfigurationError, InvalidMessage

MAX_BYTES = 4 * 1024 * 1024
MAX_NOTIFICATIONS = 100
SOAP = "{http://schemas.xmlsoap.org/soap/envelope/}"
OM = "{http://soap.sforce.com/2005/09/outbound}"
XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"

ACKNOWLEDGEMENT = (
    b'<?xml version="1.0" encoding="UTF-8"?>'
    b'<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
    b'<notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack></notificationsResponse>'
    b"</soapenv:Body></soapenv:Envelope>"
)


def read(settings: SalesforceSettings, query: Mapping[str, str], body: bytes) -> list[Notice]:
    """The notices of one outbound message. Raises InvalidMessage for a forged or unreadable one."""
    _verify_token(settings.outbound_message_token, query.get("token", ""))
    message = _message(body)
    _verify_organization(settings.organization_id, _text(message, "OrganizationId"))
    notifications = message.findall(f"{OM}Notification")
    if not 1 <= len(notifications) <= MAX_NOTIFICATIONS:
        raise InvalidMessage(f"an outbound message holds 1 to {MAX_NOTIFICATIONS} notifications")
    return [_notice(notification) for notification in notifications]


def _verify_token(expected: str, given: str) -> None:
    if not expected:
        raise InvalidMessage("salesforce: no `outbound_message_token` is set, so no outbound message is believed")
    if not hmac.compare_digest(expected.encode(), given.encode()):
        raise InvalidMessage("an outbound message came without the right token")


def _verify_organization(expected: str, given: str) -> None:
    # 15 and 18 characters name the same org
    if expected and not hmac.compare_digest(expected[:15].encode(), given[:15].encode()):
        raise InvalidMessage("an outbound message came from another Salesforce org")


def _message(body: bytes) -> ET.Element:
    envelope = _parse(body)
    if envelope.tag != f"{SOAP}Envelope":
        raise InvalidMessage("an outbound message must be a SOAP envelope")
    message = envelope.find(f"{SOAP}Body/{OM}notifications")
    if message is None:
        raise InvalidMessage("an outbound message must hold notifications")
    return message


def _parse(body: bytes) -> ET.Element:
    """XML without a document type: no entity can be declared, so none can expand or reach out."""
    if len(body) > MAX_BYTES:
        raise InvalidMessage(f"an outbound message of {len(body)} bytes is too long")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidMessage("an outbound message must be UTF-8") from error
    if "<!" in text.replace("<![CDATA[", ""):
        raise InvalidMessage("an outbound message must not declare a document type, an entity or a comment")
    try:
        return ET.fromstring(text)  # noqa: S314 - no document type can be inside
    except ET.ParseError as error:
        raise InvalidMessage(f"an outbound message is not well-formed XML: {error}") from error


def _notice(notification: ET.Element) -> Notice:
    sobject = notification.find(f"{OM}sObject")
    if sobject is None:
        raise InvalidMessage("a notification names no record")
    fields = dict(_fields(sobject))
    kind = sobject.get(XSI_TYPE, "").rpartition(":")[2].lower()
    notice_id = _text(notification, "Id")
    if not (notice_id and kind and fields.get("Id")):
        raise InvalidMessage("a notification must have an id, a type and the record's id")
    return Notice(id=notice_id, kind=kind, native_id=fields["Id"], stamp=_stamp(fields), raw=dict(fields))


def _stamp(fields: Mapping[str, str]) -> str:
    """The record's stamp in the spelling that polling gives, so that the same change is known as the same."""
    given = fields.get("SystemModstamp", "")
    try:
        return literal(given) if given else ""
    except ConfigurationError as error:
        raise InvalidMessage(f"a notification has the stamp {given[:40]!r}, which is no time") from error


def _fields(sobject: ET.Element) -> Iterator[tuple[str, str]]:
    for element in sobject:
        yield element.tag.rpartition("}")[2], (element.text or "").strip()


def _text(parent: ET.Element, name: str) -> str:
    found = parent.find(f"{OM}{name}")
    return (found.text or "").strip() if found is not None else ""
