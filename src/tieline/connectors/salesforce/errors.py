"""One table: what Salesforce says when it refuses → our error.

Source: REST API Developer Guide, "Status Codes and Error Responses"; SOAP API Developer Guide, "ExceptionCode" and
"StatusCode". A code decides before the HTTP status, because Salesforce puts throttles and locks behind 400 and 403.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, cast

import msgspec

from tieline.connectors.salesforce.wire import ErrorItem
from tieline.connectors.sdk import Answer
from tieline.errors import (
    AuthorizationFailed,
    OutcomeUnknown,
    RateLimited,
    RejectedByVendor,
    TielineError,
    TransientError,
    VendorUnavailable,
)

LOCK_PAUSE_S = 1.0
CONCURRENCY_PAUSE_S = 5.0
DAILY_PAUSE_S = 900.0
OUTAGE_PAUSE_S = 10.0
MAX_TEXT = 400
REQUEST_ID = "x-sfdc-request-id"


class Next(Enum):
    """What the caller may do, and so which error it gets."""

    RETRY = "nothing was done, try again"
    LATER = "a limit is reached, wait"
    DOWN = "out of order, nothing was done"
    ASK = "the outcome must be asked for"
    RIGHTS = "credentials or rights"
    PERSON = "a person decides"


CODES: dict[str, tuple[Next, str]] = {
    "UNABLE_TO_LOCK_ROW": (Next.RETRY, "somebody else is saving this record"),
    "ALL_OR_NONE_OPERATION_ROLLED_BACK": (Next.RETRY, "another record of the same call failed"),
    "PROCESSING_HALTED": (Next.RETRY, "another part of the same call failed"),
    "INVALID_QUERY_LOCATOR": (Next.RETRY, "the query's pages have expired"),
    "QUERY_TIMEOUT": (Next.RETRY, "the query took too long"),
    "REQUEST_LIMIT_EXCEEDED": (Next.LATER, "the limit of API calls is reached"),
    "TXN_SECURITY_METERING_ERROR": (Next.LATER, "the security policy could not be evaluated in time"),
    "SERVER_UNAVAILABLE": (Next.DOWN, "Salesforce is not available"),
    "API_CURRENTLY_DISABLED": (Next.DOWN, "the API is switched off for now"),
    "REQUEST_RUNNING_TOO_LONG": (Next.ASK, "the request was stopped because it ran too long"),
    "UNKNOWN_EXCEPTION": (Next.ASK, "an internal error of Salesforce"),
    "INVALID_SESSION_ID": (Next.RIGHTS, "the session is not accepted"),
    "INVALID_AUTH_HEADER": (Next.RIGHTS, "the session is not accepted"),
    "API_DISABLED_FOR_ORG": (Next.RIGHTS, "this org or user has no API access"),
    "FUNCTIONALITY_NOT_ENABLED": (Next.RIGHTS, "a feature this call needs is not switched on"),
    "INVALID_INPUT": (Next.PERSON, "the request is not understood"),
    "INVALID_LOGIN": (Next.RIGHTS, "the login is not accepted"),
    "BAD_REQUEST": (Next.PERSON, "the request is not understood"),
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": (Next.PERSON, "an automation of your org stopped the save"),
    "DELETE_FAILED": (Next.PERSON, "the record may not be deleted"),
    "DUPLICATES_DETECTED": (Next.PERSON, "a duplicate rule of your org stopped the save"),
    "DUPLICATE_EXTERNAL_ID": (Next.PERSON, "several records have this external id"),
    "DUPLICATE_VALUE": (Next.PERSON, "another record has this value already, and it must be unique"),
    "ENTITY_IS_DELETED": (Next.PERSON, "the record has been deleted"),
    "ENTITY_IS_LOCKED": (Next.PERSON, "the record is locked by an approval"),
    "EXCEEDED_ID_LIMIT": (Next.PERSON, "too many records in one call"),
    "FAILED_ACTIVATION": (Next.PERSON, "the record may not become active"),
    "FEATURENOTENABLED": (Next.PERSON, "a feature this call needs is not switched on"),
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": (Next.PERSON, "a validation rule of your org stopped the save"),
    "FIELD_FILTER_VALIDATION_EXCEPTION": (Next.PERSON, "the value does not pass a lookup filter"),
    "FIELD_INTEGRITY_EXCEPTION": (Next.PERSON, "the values do not go together"),
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": (Next.PERSON, "Tieline's user may not use a related record"),
    "INSUFFICIENT_ACCESS": (Next.PERSON, "Tieline's user may not see or change this record"),
    "INSUFFICIENT_ACCESS_OR_READONLY": (Next.PERSON, "Tieline's user may not change this record"),
    "INVALIDJOB": (Next.PERSON, "the bulk job is not understood"),
    "INVALIDJOBSTATE": (Next.PERSON, "the bulk job is in another state"),
    "INVALID_CROSS_REFERENCE_KEY": (Next.PERSON, "a record it refers to does not exist"),
    "INVALID_EMAIL_ADDRESS": (Next.PERSON, "the e-mail address is not valid"),
    "INVALID_FIELD": (Next.PERSON, "a field does not exist there or is hidden from Tieline's user"),
    "INVALID_FIELD_FOR_INSERT_UPDATE": (Next.PERSON, "Tieline's user may not write a field"),
    "INVALID_ID_FIELD": (Next.PERSON, "an id is not one of Salesforce"),
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": (Next.PERSON, "the value is not in the field's list"),
    "INVALID_OPERATION": (Next.PERSON, "the call does not fit the record"),
    "INVALID_QUERY_FILTER_OPERATOR": (Next.PERSON, "a filter does not fit its field"),
    "INVALID_REPLICATION_DATE": (Next.PERSON, "the time asked for is out of reach"),
    "INVALID_STATUS": (Next.PERSON, "the status cannot change so"),
    "INVALID_TYPE": (Next.PERSON, "the object does not exist there or is hidden from Tieline's user"),
    "INVALID_TYPE_ON_FIELD_IN_RECORD": (Next.PERSON, "a value has the wrong type"),
    "JSON_PARSER_ERROR": (Next.PERSON, "a value has the wrong type"),
    "LIMIT_EXCEEDED": (Next.PERSON, "a limit of your org is reached"),
    "MALFORMED_ID": (Next.PERSON, "an id is not one of Salesforce"),
    "MALFORMED_QUERY": (Next.PERSON, "the query is not understood"),
    "METHOD_NOT_ALLOWED": (Next.PERSON, "the call is not offered in this API version"),
    "MISSING_ARGUMENT": (Next.PERSON, "the request says too little"),
    "NOT_FOUND": (Next.PERSON, "it does not exist there"),
    "NUMBER_OUTSIDE_VALID_RANGE": (Next.PERSON, "the number is too large for its field"),
    "PRECONDITION_FAILED": (Next.PERSON, "somebody else changed the record meanwhile"),
    "QUERY_TOO_COMPLICATED": (Next.PERSON, "the query is too long"),
    "REQUEST_ENTITY_TOO_LARGE": (Next.PERSON, "the upload is too large"),
    "REQUIRED_FIELD_MISSING": (Next.PERSON, "a required field is empty"),
    "STANDARD_PRICE_NOT_DEFINED": (Next.PERSON, "the product has no standard price"),
    "STORAGE_LIMIT_EXCEEDED": (Next.PERSON, "your org has no storage left"),
    "STRING_TOO_LONG": (Next.PERSON, "the text is too long for its field"),
    "UNSUPPORTED_API_VERSION": (Next.PERSON, "this API version is not offered any more"),
    "UNSUPPORTED_MEDIA_TYPE": (Next.PERSON, "the format is not accepted"),
}
"""Salesforce's code → what to do next, and the reason in plain words. An unknown code goes by its status."""

STATUSES: dict[int, tuple[Next, str]] = {
    300: (Next.PERSON, "several records have this external id"),
    400: (Next.PERSON, "the request is not accepted"),
    401: (Next.RIGHTS, "the session is not accepted"),
    403: (Next.RIGHTS, "Tieline's user has no right to this"),
    404: (Next.PERSON, "it does not exist there"),
    405: (Next.PERSON, "the call is not offered in this API version"),
    414: (Next.PERSON, "the address is too long"),
    415: (Next.PERSON, "the format is not accepted"),
    420: (Next.LATER, "too many calls"),
    429: (Next.LATER, "too many calls"),
    431: (Next.PERSON, "the address or headers are too long"),
    500: (Next.ASK, "an internal error of Salesforce"),
    502: (Next.ASK, "a gateway of Salesforce got no answer"),
    503: (Next.DOWN, "Salesforce is not available"),
    504: (Next.ASK, "a gateway of Salesforce got no answer in time"),
}
"""HTTP status → what to do next, where the body names no known code (HTML pages happen)."""


def from_answer(answer: Answer) -> TielineError | None:
    """The error of a whole call; None for a success. Reads turn OutcomeUnknown into VendorUnavailable themselves."""
    if 200 <= answer.status < 300:
        return None
    items = error_items(answer.body)
    request_id = answer.headers.get(REQUEST_ID, "")
    return _make("Salesforce refused the call", items, answer.status, request_id, answer.retry_after_s())


def from_row(what: str, errors: Sequence[ErrorItem], request_id: str = "") -> TielineError:
    """The error of one record of a collection call. `what` names it for people: "the status of opportunity 006…"."""
    return _make(f"Salesforce refused {what}", list(errors) or [{}], 400, request_id, 0.0)


def error_items(body: bytes) -> list[ErrorItem]:
    """The errors of a refusal; one without a code where the body is not Salesforce's JSON."""
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return [{}]
    found = decoded if isinstance(decoded, list) else [decoded]
    items = [cast("ErrorItem", item) for item in found if isinstance(item, dict)]
    return items or [{}]


def _make(start: str, items: Sequence[ErrorItem], status: int, request_id: str, retry_after_s: float) -> TielineError:
    code = items[0].get("errorCode") or items[0].get("statusCode") or ""
    said = "; ".join(text for item in items if (text := _clean(item.get("message"))))
    what_next, reason = CODES.get(code) or STATUSES.get(status) or _unlisted(status)
    if what_next is Next.PERSON and "UNABLE_TO_LOCK_ROW" in said:
        # a trigger that met a lock reports its own code and the lock only in its text
        what_next, code = Next.RETRY, "UNABLE_TO_LOCK_ROW"
    fields = [name for item in items for name in item.get("fields") or []]
    where = f", field {', '.join(fields)}" if fields else ""
    quote = f': "{said}"' if said else ""
    request = f", request {request_id}" if request_id else ""
    text = f"{start}: {reason}{where}{quote} ({code or f'HTTP {status}'}{request})"
    return _error(what_next, text, code or str(status), request_id, retry_after_s, said)


def _error(what_next: Next, text: str, code: str, request_id: str, retry_after_s: float, said: str) -> TielineError:
    match what_next:
        case Next.RETRY:
            return TransientError(text, retry_after_s=retry_after_s or LOCK_PAUSE_S)
        case Next.LATER:
            # the daily limit counts a rolling day: it frees slowly; every other limit frees within seconds
            pause = DAILY_PAUSE_S if "TotalRequests" in said else CONCURRENCY_PAUSE_S
            return RateLimited(text, retry_after_s=retry_after_s or pause)
        case Next.DOWN:
            return VendorUnavailable(text, retry_after_s=retry_after_s or OUTAGE_PAUSE_S)
        case Next.ASK:
            return OutcomeUnknown(text)
        case Next.RIGHTS:
            return AuthorizationFailed(text)
    return RejectedByVendor(text, vendor_code=code, request_id=request_id)


def _unlisted(status: int) -> tuple[Next, str]:
    if status >= 500:
        return Next.ASK, "an internal error of Salesforce"
    if 300 <= status < 400:
        return Next.PERSON, "it answers from another address: check `url`, it must be the org's My Domain"
    return Next.PERSON, "the request is not accepted"


def _clean(text: Any) -> str:
    return " ".join(str(text).split())[:MAX_TEXT] if text else ""
