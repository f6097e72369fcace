"""NetSuite's error bodies, word for word where a source was found.

Sources: Oracle help "Error Handling in REST Web Services" (section_156570709583), "RESTlets and REST Web Services
Authentication Errors" (subsect_158521885412), "Sending an Asynchronous Request Using an Idempotency Key"
(subsect_164494900632), and answers of live accounts quoted in public repositories (`type`: sections of RFC 9110).
"""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from tieline_sandbox.kernel.app import encode_json

MEDIA_TYPE = "application/vnd.oracle.resource+json; type=error"
AUDIT_TRAIL = (
    "Invalid login attempt. For more details, see the Login Audit Trail in the NetSuite UI at "
    "Setup > Users/Roles > User Management > View Login Audit Trail."
)

_RFC9110 = "https://www.rfc-editor.org/rfc/rfc9110.html#section-"
_KNOWN: dict[int, tuple[str, str]] = {
    400: ("Bad Request", _RFC9110 + "15.5.1"),
    401: ("Unauthorized", _RFC9110 + "15.5.2"),
    403: ("Forbidden", _RFC9110 + "15.5.4"),
    404: ("Not Found", _RFC9110 + "15.5.5"),
    405: ("Method Not Allowed", _RFC9110 + "15.5.6"),
    415: ("Unsupported Media Type", _RFC9110 + "15.5.16"),
    429: ("Too Many Requests", "https://www.rfc-editor.org/rfc/rfc6585.html#section-4"),
    500: ("Internal Server Error", _RFC9110 + "15.6.1"),
    503: ("Service Unavailable", _RFC9110 + "15.6.4"),
}


class NetSuiteError(Exception):
    """A refusal. `where` holds the optional pointers: o:errorPath, o:errorQueryParam, o:errorHeader, o:errorUrl."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        where: dict[str, str] | None = None,
        title: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.where, self.title, self.headers = where or {}, title, headers or {}

    def body(self) -> dict[str, Any]:
        title, kind = _KNOWN.get(self.status, ("Error", _RFC9110 + "15"))
        return {
            "type": kind,
            "title": self.title or title,
            "status": self.status,
            "o:errorDetails": [{"detail": self.detail, **self.where, "o:errorCode": self.code}],
        }

    def response(self) -> Response:
        return Response(encode_json(self.body()), self.status, self.headers, media_type=MEDIA_TYPE)


def user_error(detail: str) -> NetSuiteError:
    """A business rule refused the write. NetSuite puts the same sentence before all of them."""
    return NetSuiteError(400, "USER_ERROR", f"Error while accessing a resource. {detail}")


def missing(*labels: str) -> NetSuiteError:
    return user_error(f"Please enter value(s) for: {', '.join(labels)}.")


def invalid_value(value: object, field: str, path: str) -> NetSuiteError:
    """A value, or the target of a reference, which the field's list does not hold."""
    return NetSuiteError(
        400,
        "INVALID_CONTENT",
        f"Error while accessing a resource. You have entered an Invalid Field Value {value} "
        f"for the following field: {field}",
        where={"o:errorPath": path},
    )


def invalid_key(detail: str, path: str) -> NetSuiteError:
    return NetSuiteError(
        400, "INVALID_KEY_OR_REF", f"Error while accessing a resource. {detail}", where={"o:errorPath": path}
    )


def unknown_field(name: str, path: str) -> NetSuiteError:
    return NetSuiteError(
        400,
        "INVALID_CONTENT",
        f"Unknown reference or field '{name}'. Check the metadata of the record for the names it accepts.",
        where={"o:errorPath": path},
    )


def unreadable(detail: str = "Invalid content in the request body. The JSON cannot be parsed.") -> NetSuiteError:
    return NetSuiteError(400, "INVALID_CONTENT", detail)


def already_exists(entity: bool) -> NetSuiteError:
    return user_error("This entity already exists." if entity else "This record already exists.")


def no_such_record() -> NetSuiteError:
    detail = "The record instance does not exist. Provide a valid record instance ID."
    return NetSuiteError(404, "NONEXISTENT_ID", detail)


def no_such_type(kind: str) -> NetSuiteError:
    detail = f"Record type '{kind}' does not exist."
    return NetSuiteError(404, "NONEXISTENT_ID", detail, where={"o:errorUrl": f"/services/rest/record/v1/{kind}"})


def wrong_transaction_type() -> NetSuiteError:
    return user_error("Transaction type specified is incorrect.")


def bad_parameter(name: str, detail: str) -> NetSuiteError:
    return NetSuiteError(400, "INVALID_PARAMETER", detail, where={"o:errorQueryParam": name})


def bad_header(name: str, detail: str) -> NetSuiteError:
    return NetSuiteError(400, "INVALID_HEADER", detail, where={"o:errorHeader": name})


def bad_query(detail: str) -> NetSuiteError:
    return bad_parameter("q", f"Invalid search query. Detailed unprocessed description follows. {detail}")


def invalid_login(account: str) -> NetSuiteError:
    challenge = f'Bearer realm="{account}", error="invalid_token", error_description="Invalid login attempt."'
    return NetSuiteError(401, "INVALID_LOGIN", AUDIT_TRAIL, headers={"WWW-Authenticate": challenge})


def too_many_requests() -> NetSuiteError:
    detail = "Concurrent request limit exceeded. Request blocked."
    return NetSuiteError(429, "CONCURRENCY_LIMIT_EXCEEDED", detail)


def request_limit_as_400() -> NetSuiteError:
    """How RESTlets word the same limit; some gateways show it for REST as well."""
    detail = "Request Limit Exceeded. Concurrent request limit exceeded. Request blocked."
    return NetSuiteError(400, "SSS_REQUEST_LIMIT_EXCEEDED", detail)


def idempotency_conflict(job_url: str) -> NetSuiteError:
    return NetSuiteError(
        400,
        "IDEMPOTENCY_ERROR",
        "A request with the same idempotency key is already submitted. "
        'See the "Location" header for a link to the previously submitted job',
        title="Conflict",
        headers={"Location": job_url, "Preference-Applied": "respond-async"},
    )


def unexpected() -> NetSuiteError:
    detail = "An unexpected error occurred. Error ID: tieline-sandbox"
    return NetSuiteError(500, "UNEXPECTED_ERROR", detail)


_ORDERED_CODES = {
    401: "INVALID_LOGIN",
    403: "INSUFFICIENT_PERMISSION",
    404: "NONEXISTENT_ID",
    429: "CONCURRENCY_LIMIT_EXCEEDED",
}


def ordered(status: int, code: str | None, account: str) -> NetSuiteError:
    """The refusal for a `status` fault: `code` when given, else the one that usually comes with that status."""
    if code is None and status == 401:
        return invalid_login(account)
    if code is None and status == 429:
        return too_many_requests()
    if code is None and status >= 500:
        return NetSuiteError(status, "UNEXPECTED_ERROR", "The service is temporarily unavailable. Try again later.")
    chosen = code or _ORDERED_CODES.get(status, "USER_ERROR")
    return NetSuiteError(status, chosen, f"Error while accessing a resource. {chosen}")
