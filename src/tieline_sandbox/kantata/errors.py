"""What Kantata OX says when it refuses: `{"errors": [{"type", "message", "field"}]}`; field only with `validation`.

Source: API reference at developer.kantata.com, "Errors": types are `oauth`, `system` and `validation`.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


class ApiError(Exception):
    """A refusal with its HTTP status and one or more errors."""

    def __init__(self, status: int, *errors: Json) -> None:
        super().__init__("; ".join(error["message"] for error in errors))
        self.status, self.errors = status, list(errors)

    def body(self) -> Json:
        return {"errors": self.errors}


def invalid(message: str, field: str) -> Json:
    """One validation error; several may be answered together."""
    return {"type": "validation", "message": message, "field": field}


def system(status: int, message: str) -> ApiError:
    return ApiError(status, {"type": "system", "message": message})


def not_authorized() -> ApiError:
    return ApiError(401, {"type": "oauth", "message": "Invalid OAuth 2 Request"})


def not_found() -> ApiError:
    return system(404, "The resource you have requested cannot be found")


def too_many_requests() -> ApiError:
    return system(429, "Too many requests. Please retry your request after a small delay")


def missing_parameter(name: str) -> ApiError:
    return system(400, f"param is missing or the value is empty: {name}")


ORDERED = {
    400: "Bad Request",
    401: "Invalid OAuth 2 Request",
    403: "You do not have permission to perform this action",
    404: "The resource you have requested cannot be found",
    429: "Too many requests. Please retry your request after a small delay",
    503: "Service is unavailable",
    504: "Request timeout",
}
