"""What a vendor sandbox is, to the kernel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from starlette.responses import Response
from starlette.routing import BaseRoute

from tieline_sandbox.kernel.faults import Fault, Faults
from tieline_sandbox.kernel.recording import Recording
from tieline_sandbox.kernel.webhooks import WebhookSender
from tieline_sandbox.kernel.world import World

Record = dict[str, Any]
LONGEST_REFUSAL = 2_000


class Vendor(ABC):
    """One vendor: its state, its paths, its refusals. The kernel adds faults, the request log and the control API."""

    name: ClassVar[str]
    refusal_marks: ClassVar[tuple[bytes, ...]] = ()
    """What in the body of a 200 says that the vendor refused; for the request log."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.faults = Faults()
        self.webhooks = WebhookSender(self.faults, world)
        self.recording = Recording(self.name, world)

    @abstractmethod
    def routes(self) -> list[BaseRoute]:
        """The vendor's own paths, as Starlette routes."""

    @abstractmethod
    def reset(self) -> None:
        """Forget every document, token and setting."""

    @abstractmethod
    def seed(self, kind: str, records: list[Record]) -> list[Record]:
        """Store records as if they had always been there; returns them with their ids. Unknown kinds raise KeyError."""

    @abstractmethod
    def documents(self, kind: str | None = None) -> dict[str, list[Record]]:
        """What stands in the system now, by kind, in the vendor's own shapes."""

    @abstractmethod
    def refuse(self, fault: Fault) -> Response:
        """Answer a `status` fault in the vendor's words (429, 503, 400-as-limit…)."""

    def configure(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Apply settings (webhook addresses, limits…); returns those in force. Unknown keys raise KeyError."""
        if settings:
            raise KeyError(", ".join(settings))
        return {}

    def refusal(self, status: int, body: bytes) -> str | None:
        """What this answer says of the rule that refused the request; None when it was not refused."""
        if status < 400 and not any(mark in body for mark in self.refusal_marks):
            return None
        return body[:LONGEST_REFUSAL].decode("utf-8", "replace")

    def act(self, action: str, arguments: dict[str, Any]) -> Any:
        """A deed of a person at this vendor that has no public API (close a period, pay by bank…)."""
        raise KeyError(action)

    def close(self) -> None:  # noqa: B027 - most vendors hold nothing but memory
        """Let go of what the vendor serves beside HTTP; called when serving ends."""
