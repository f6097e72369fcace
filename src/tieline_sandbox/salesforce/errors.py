"""What Salesforce says when it refuses: `[{"message", "errorCode", "fields"}]`, in its own words.

Inside save results the same error is spelled `{"statusCode", "message", "fields"}`.
Source: REST API Developer Guide, "Status Codes and Error Responses"; SOAP API Developer Guide, "StatusCode".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]


class ApiError(Exception):
    """A refusal. `fields` is shown only where Salesforce shows it."""

    def __init__(self, status: int, code: str, message: str, fields: Sequence[str] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message, self.fields = status, code, message, fields

    def body(self) -> list[Json]:
        error: Json = {"message": self.message, "errorCode": self.code}
        if self.fields is not None:
            error["fields"] = list(self.fields)
        return [error]

    def save_result(self, record_id: str | None = None) -> Json:
        error = {"statusCode": self.code, "message": self.message, "fields": list(self.fields or ())}
        result: Json = {"success": False, "errors": [error]}
        return {"id": record_id, **result} if record_id else result


class BadJsonValue(ApiError):
    """A JSON value of the wrong type; the message gives the place, so it is finished when the body is at hand."""

    def __init__(self, field: str, wanted: str, value: Any) -> None:
        token, shown = _token(value)
        self.field = field
        self.start = f"Cannot deserialize instance of {wanted} from {token} value {shown}"
        super().__init__(400, "JSON_PARSER_ERROR", self.start)

    def located(self, body: bytes) -> BadJsonValue:
        at = body.find(f'"{self.field}"'.encode())
        line = body.count(b"\n", 0, max(at, 0)) + 1
        column = max(at, 0) - (body.rfind(b"\n", 0, max(at, 0)) + 1) + len(self.field) + 4
        self.message = f"{self.start} or request may be missing a required field at [line:{line}, column:{column}]"
        return self


class DuplicatesDetected(ApiError):
    """A duplicate rule refuses. The records it found stand under Salesforce's own misspelling, which is on the wire."""

    def __init__(self, message: str, result: Json) -> None:
        super().__init__(400, "DUPLICATES_DETECTED", message)
        self.result = result

    def body(self) -> list[Json]:
        return [{"duplicateResut": self.result, **super().body()[0]}]

    def save_result(self, record_id: str | None = None) -> Json:
        shown = super().save_result(record_id)
        shown["errors"] = [error | {"duplicateResult": self.result} for error in shown["errors"]]
        return shown


def _token(value: Any) -> tuple[str, str]:
    if isinstance(value, bool):
        return f"VALUE_{str(value).upper()}", str(value).lower()
    if isinstance(value, str):
        return "VALUE_STRING", value
    if isinstance(value, int):
        return "VALUE_NUMBER_INT", str(value)
    if isinstance(value, dict):
        return "START_OBJECT", "{"
    return ("START_ARRAY", "[") if isinstance(value, list) else ("VALUE_NUMBER_FLOAT", str(value))


def session_expired() -> ApiError:
    return ApiError(401, "INVALID_SESSION_ID", "Session expired or invalid")


def bad_auth_header() -> ApiError:
    return ApiError(401, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE")


def request_limit() -> ApiError:
    return ApiError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")


def concurrency_limit() -> ApiError:
    message = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
    return ApiError(403, "REQUEST_LIMIT_EXCEEDED", message)


def no_resource() -> ApiError:
    return ApiError(404, "NOT_FOUND", "The requested resource does not exist")


def no_external_field(name: str) -> ApiError:
    message = f"Provided external ID field does not exist or is not accessible: {name}"
    return ApiError(404, "NOT_FOUND", message)


def deleted() -> ApiError:
    return ApiError(404, "ENTITY_IS_DELETED", "entity is deleted", [])


def bad_reference(fields: Sequence[str] = ()) -> ApiError:
    return ApiError(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", fields)


def malformed_id(label: str, value: str, field: str | None = None) -> ApiError:
    fields = [field] if field else None
    return ApiError(400, "MALFORMED_ID", f"{label}: id value of incorrect type: {value}", fields)


def no_column(field: str, sobject: str) -> ApiError:
    return ApiError(400, "INVALID_FIELD", f"No such column '{field}' on sobject of type {sobject}")


def not_writable(fields: Sequence[str]) -> ApiError:
    message = (
        f"Unable to create/update fields: {', '.join(fields)}. Please check the security settings of this field "
        "and verify that it is read/write for your profile or permission set."
    )
    return ApiError(400, "INVALID_FIELD_FOR_INSERT_UPDATE", message, fields)


def required_missing(fields: Sequence[str]) -> ApiError:
    return ApiError(400, "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(fields)}]", fields)


def too_long(label: str, field: str, value: str, length: int) -> ApiError:
    message = f"{label}: data value too large: {value} (max length={length})"
    return ApiError(400, "STRING_TOO_LONG", message, [field])


def bad_picklist(label: str, field: str, value: str) -> ApiError:
    message = f"{label}: bad value for restricted picklist field: {value}"
    return ApiError(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, [field])


def out_of_range(label: str, field: str, value: Any) -> ApiError:
    message = f"{label}: value outside of valid range on numeric field: {value}"
    return ApiError(400, "NUMBER_OUTSIDE_VALID_RANGE", message, [field])


def row_locked() -> ApiError:
    return ApiError(400, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record", [])


def validation(message: str, fields: Sequence[str] = ()) -> ApiError:
    return ApiError(400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", message, fields)


def integrity(message: str, field: str) -> ApiError:
    text = f"field integrity exception: {field} ({message})"
    return ApiError(400, "FIELD_INTEGRITY_EXCEPTION", text, [field])


def duplicate(field: str, record_id: str) -> ApiError:
    message = f"duplicate value found: {field} duplicates value on record with id: {record_id[:15]}"
    return ApiError(400, "DUPLICATE_VALUE", message, [])


def rolled_back() -> ApiError:
    message = "Record rolled back because not all records were valid and the request was using AllOrNone header"
    return ApiError(400, "ALL_OR_NONE_OPERATION_ROLLED_BACK", message, [])


def halted() -> ApiError:
    message = "The transaction was rolled back since another operation in the same transaction failed."
    return ApiError(400, "PROCESSING_HALTED", message)


def too_many_records() -> ApiError:
    message = "record limit reached. cannot submit more than 200 records in this request"
    return ApiError(400, "EXCEEDED_ID_LIMIT", message)


def method_not_allowed(method: str, allowed: Sequence[str]) -> ApiError:
    message = f"HTTP Method '{method}' not allowed. Allowed are {','.join(allowed)}"
    return ApiError(405, "METHOD_NOT_ALLOWED", message)


def in_query(code: str, soql: str, at: int, problem: str) -> ApiError:
    """A SOQL error, with the line around the place and a caret under it, as Salesforce prints it."""
    start = max(0, at - 40)
    line = soql[start : at + 40].replace("\n", " ")
    column = at + 1
    message = f"\n{line}\n{' ' * (at - start)}^\nERROR at Row:1:Column:{column}\n{problem}"
    return ApiError(400, code, message)


def malformed_query(soql: str, at: int, token: str) -> ApiError:
    problem = f"unexpected token: '{token}'" if token else "unexpected token: '<EOF>'"
    return in_query("MALFORMED_QUERY", soql, at, problem)


def no_query_column(soql: str, at: int, field: str, sobject: str) -> ApiError:
    problem = (
        f"No such column '{field}' on entity '{sobject}'. If you are attempting to use a custom field, be sure to "
        "append the '__c' after the custom field name. Please reference your WSDL or the describe call for the "
        "appropriate names."
    )
    return in_query("INVALID_FIELD", soql, at, problem)


ORDERED: dict[int, tuple[str, str]] = {
    400: ("UNKNOWN_EXCEPTION", "An unexpected error occurred"),
    401: ("INVALID_SESSION_ID", "Session expired or invalid"),
    403: ("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
    404: ("NOT_FOUND", "The requested resource does not exist"),
    429: ("REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded."),
    500: ("UNKNOWN_EXCEPTION", "An unexpected error occurred. Please include this ErrorId if you contact support"),
    503: ("SERVER_UNAVAILABLE", "The server is unavailable to handle the request"),
}
