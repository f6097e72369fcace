"""What the control API can set and do in an org: one table of settings, one of deeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec

from tieline_sandbox.salesforce.outbound import OutboundMessage
from tieline_sandbox.salesforce.setup import CustomObject, DuplicateRule, ValidationRule

if TYPE_CHECKING:
    from tieline_sandbox.salesforce import Sandbox

Setting = Callable[["Sandbox", Any], None]
Deed = Callable[["Sandbox", dict[str, Any]], Any]


def in_force(org: Sandbox) -> dict[str, Any]:
    """The settings as they are now, secrets left out."""
    guards, schema = org.org.guards, org.org.schema
    return {
        "client_id": org.sessions.client_id,
        "username": org.sessions.username,
        "session_seconds": org.sessions.seconds,
        "daily_api_requests": org.usage.allowed,
        "long_requests": org.usage.long_at_once,
        "long_request_s": org.usage.long_s,
        "unique_external_ids": guards.unique_external_ids,
        "validation_rules": [msgspec.to_builtins(rule) for rule in guards.validation_rules],
        "duplicate_rules": [msgspec.to_builtins(rule) for rule in guards.duplicate_rules],
        "custom_objects": [sobject.name for sobject in schema if sobject.custom],
        "time_zone": org.org.time_zone,
        "outbound_messages": [msgspec.to_builtins(m) for m in org.outbox.messages],
        "change_data_capture": list(org.bus.selected),
        "bulk_step_s": org.jobs.step_s,
        "pubsub": org.pubsub.address if org.pubsub else "",
    }


def _app(name: str) -> Setting:
    return lambda org, value: setattr(org.sessions, name, str(value))


def _public_key(org: Sandbox, value: Any) -> None:
    org.sessions.public_key = value


def _session_seconds(org: Sandbox, value: Any) -> None:
    org.sessions.seconds = float(value)


def _limit(name: str, kind: Callable[[Any], Any]) -> Setting:
    return lambda org, value: setattr(org.usage, name, kind(value))


def _unique(org: Sandbox, value: Any) -> None:
    org.org.guards.unique_external_ids = bool(value)


def _custom_objects(org: Sandbox, value: Any) -> None:
    for custom in msgspec.convert(value, list[CustomObject]):
        org.org.define(custom)


def _validation_rules(org: Sandbox, value: Any) -> None:
    rules = msgspec.convert(value, list[ValidationRule])
    for rule in rules:
        _check_fields(org, rule.object, (*rule.when, *((rule.field,) if rule.field else ())))
    org.org.guards.validation_rules = rules


def _duplicate_rules(org: Sandbox, value: Any) -> None:
    rules = msgspec.convert(value, list[DuplicateRule])
    for rule in rules:
        _check_fields(org, rule.object, rule.fields)
    org.org.guards.duplicate_rules = rules


def _time_zone(org: Sandbox, value: Any) -> None:
    org.org.time_zone = ZoneInfo(str(value)).key


def _outbound_messages(org: Sandbox, value: Any) -> None:
    messages = msgspec.convert(value, list[OutboundMessage])
    for message in messages:
        message.check(org.org.schema)
    org.outbox.messages = messages


def _outbound_retry(org: Sandbox, value: Any) -> None:
    org.outbox.retry_after_s = tuple(float(seconds) for seconds in value)


def _change_data_capture(org: Sandbox, value: Any) -> None:
    org.bus.selected = tuple(org.org.schema[str(name)].name for name in value)


def _bulk_step(org: Sandbox, value: Any) -> None:
    org.jobs.step_s = float(value)


def _keepalive(org: Sandbox, value: Any) -> None:
    if org.pubsub is None:
        raise ValueError("pubsub_keepalive_s: the Pub/Sub API is not served; order /act/pubsub first")
    org.pubsub.keepalive_s = float(value)


def _check_fields(org: Sandbox, sobject: str, names: tuple[str, ...]) -> None:
    """Raises KeyError for an object or a field that does not exist."""
    fields = org.org.schema[sobject].fields
    for name in names:
        if name.lower() not in fields:
            raise KeyError(f"{sobject}.{name}")


def _expire_tokens(org: Sandbox, _: dict[str, Any]) -> Any:
    return {"expired": org.sessions.expire_all()}


def _merge(org: Sandbox, order: dict[str, Any]) -> Any:
    sobject = org.org.schema[order["object"]]
    with org.org.unit():
        losers = [org.org.get(sobject, text) for text in order["losers"]]
        org.org.merge(sobject, org.org.get(sobject, order["master"]), losers)
    return {"merged": [loser["Id"] for loser in losers]}


def _undelete(org: Sandbox, order: dict[str, Any]) -> Any:
    sobject = org.org.schema[order["object"]]
    record = org.org.store.tables[sobject.name].records[order["id"]]
    with org.org.unit():
        org.org.undelete(sobject, record)
    return {"undeleted": record["Id"]}


def _gap(org: Sandbox, order: dict[str, Any]) -> Any:
    org.bus.gap(org.org.schema[order["object"]], order["ids"])
    return {"announced": order["ids"]}


def _pubsub(org: Sandbox, order: dict[str, Any]) -> Any:
    try:
        return {"address": org.serve_pubsub(int(order.get("port", 0))).address}
    except ModuleNotFoundError as error:
        raise ValueError(f"the Pub/Sub API needs the extra `pubsub`: {error}") from error


SETTINGS: dict[str, Setting] = {
    "client_id": _app("client_id"),
    "client_secret": _app("client_secret"),
    "username": _app("username"),
    "jwt_public_key": _public_key,
    "session_seconds": _session_seconds,
    "daily_api_requests": _limit("allowed", int),
    "long_requests": _limit("long_at_once", int),
    "long_request_s": _limit("long_s", float),
    "unique_external_ids": _unique,
    "custom_objects": _custom_objects,
    "validation_rules": _validation_rules,
    "duplicate_rules": _duplicate_rules,
    "time_zone": _time_zone,
    "outbound_messages": _outbound_messages,
    "outbound_retry_s": _outbound_retry,
    "change_data_capture": _change_data_capture,
    "bulk_step_s": _bulk_step,
    "pubsub_keepalive_s": _keepalive,
}
ACTIONS: dict[str, Deed] = {
    "expire_tokens": _expire_tokens,
    "merge": _merge,
    "undelete": _undelete,
    "gap": _gap,
    "pubsub": _pubsub,
}
