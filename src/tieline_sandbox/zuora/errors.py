"""Zuora's refusals: an eight-digit code (six for the resource, two for the category) and a sentence.

A failure of `/v1` comes with HTTP 200 and `success: false`; only authentication, throttling, idempotency
and malformed requests use other statuses. Source: developer.zuora.com, "Error codes" and "Rate limits".
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

Record = dict[str, Any]

LOCKED = "Operation failed due to a lock competition, please retry later."
INTERNAL = "Oops, internal error occurred, please contact Zuora support."
TOO_MANY = (
    "Your total number of concurrent requests have exceeded the limit allowed by the system."
    " Please resubmit your request later."
)


class Resource(IntEnum):
    """Six-digit resource codes; requests without a body are answered with `UNKNOWN`, as the vendor does."""

    UNKNOWN = 500000
    ASYNC = 400000
    ACCOUNT = 511000
    CONTACT = 512000
    SUBSCRIPTION = 531000
    TERM = 531003
    CANCEL = 532000
    RENEW = 533000
    USAGE = 535000
    ORDER = 585600
    CHARGE = 585610
    INVOICE = 584900
    CREDIT_MEMO = 584500
    DEBIT_MEMO = 584600
    PAYMENT = 587800
    REFUND = 588000
    BILL_RUN = 587000
    AUTH = 900000


class Category(IntEnum):
    """The last two digits of a code: what kind of failure it is."""

    AUTHENTICATION = 11
    INVALID_VALUE = 20
    MISSING_FIELD = 22
    INVALID_PARAMETER = 27
    RULE = 30
    NOT_FOUND = 40
    UNSUPPORTED = 45
    LOCKED = 50
    INTERNAL = 60
    LIMIT = 70
    MALFORMED = 90


class Refusal(Exception):
    """A request that Zuora does not carry out."""

    def __init__(self, resource: Resource, category: Category, message: str, status: int = 200) -> None:
        super().__init__(message)
        self.code = resource * 100 + category
        self.message, self.status = message, status


def not_found(key: object, resource: Resource = Resource.UNKNOWN) -> Refusal:
    return Refusal(resource, Category.NOT_FOUND, f"Cannot find entity by key: '{key}'.")


def missing(resource: Resource, field: str) -> Refusal:
    return Refusal(resource, Category.MISSING_FIELD, f"'{field}' may not be empty")


def invalid(resource: Resource, message: str) -> Refusal:
    return Refusal(resource, Category.INVALID_VALUE, message)


def rule(resource: Resource, message: str) -> Refusal:
    return Refusal(resource, Category.RULE, message)


def one_of(resource: Resource, field: str, allowed: tuple[str, ...]) -> Refusal:
    return invalid(resource, f"'{field}' value should be one of: {', '.join(allowed)}")


def failure(code: int, message: str, process_id: str, request_id: str) -> Record:
    """The CommonResponse of a failure."""
    return {
        "success": False,
        "processId": process_id,
        "requestId": request_id,
        "reasons": [{"code": code, "message": message}],
    }


def action_failure(message: str, code: str = "INVALID_VALUE") -> Record:
    """CRUD operations and `/v1/action/*` answer with capitals."""
    return {"Success": False, "Errors": [{"Code": code, "Message": message}]}
