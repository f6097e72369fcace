"""What the contract needs to know of one vendor: an account to try things on, and documents to try them with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar, NamedTuple

import msgspec
import pytest

from tieline.connectors.sdk.connector import ConnectorType
from tieline.engine.ports import Call, Connector, Operation

LIVE = pytest.StashKey[Any]()
"""Settings of the real account that a run is against; put there by the plugin that reads them."""


class Standing(NamedTuple):
    """What stands in the account for a call: records under its identity, and those of them that are as sent.

    For a deed ("cancel", "withdraw") both are 1 when it is done, and 0 when it is not.
    """

    records: int
    as_sent: int


class Refusal(NamedTuple):
    """An answer in the vendor's own words."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}


class Delivery(NamedTuple):
    """A webhook as the vendor delivers it, signed."""

    headers: Mapping[str, str]
    body: bytes
    query: Mapping[str, str] = {}


class Codes(NamedTuple):
    """Every code the sandbox can answer, and every code that the error table has a row for."""

    answered: frozenset[str]
    mapped: frozenset[str]


class Account(ABC):
    """One vendor's account on its sandbox, empty at the beginning of a test.

    `number` in the methods tells documents apart: the same number is the same document, another is another one.
    """

    connector: ClassVar[ConnectorType]
    wrong_credentials: ClassVar[Mapping[str, Any]]
    """Settings whose credentials are not accepted."""
    token_path: ClassVar[str] = ""
    """Where tokens are had, "" where there are none to get."""
    missing: ClassVar[Mapping[str, str]]
    """Kind that can be fetched → an id in the vendor's form under which nothing stands."""
    throttles: ClassVar[Sequence[Refusal]]
    """Every way in which the vendor says "too much", the misleading ones too."""
    unmapped_on_purpose: ClassVar[frozenset[str]] = frozenset()
    """Codes without a row, for which the default is right."""

    live: Any = None
    """Settings of a real account, where there is one: then nothing is made to stand and nothing lies."""

    def __init__(self, url: str) -> None:
        self.url = url

    @classmethod
    def of_live(cls, settings: Any) -> Account:
        """The real account that these settings lead to."""
        account = cls.__new__(cls)
        account.url, account.live = settings.url, settings
        return account

    @abstractmethod
    def settings(self, url: str, timeout_s: float) -> dict[str, Any]:
        """Settings of a connection to this account at an address."""

    @abstractmethod
    def call(self, operation: Operation, number: int, content: int = 0, external_id: str = "") -> Call:
        """A call that the vendor accepts. Another `content` is another version of the same document."""

    @abstractmethod
    def standing(self, operation: Operation, call: Call) -> Standing:
        """What stands, read from the sandbox itself and not through the connector."""

    @abstractmethod
    def codes(self) -> Codes:
        """For the completeness of the error table."""

    async def prepare(self, operation: Operation, number: int) -> str:
        """Let stand what the call needs first; returns the external id it is sent with, "" for a new document."""
        return ""

    def changes_content(self, operation: Operation) -> bool:
        """Whether a document that stands can be sent again with other content."""
        return True

    async def refused(self, operation: Operation) -> Call | None:
        """A call that the vendor refuses because of its content; None where it takes anything."""
        return None

    async def record(self, kind: str) -> str:
        """Let a record of this kind stand; returns the id it is fetched by. Raises KeyError for a kind it cannot."""
        raise KeyError(kind)

    async def change(self, stream: str) -> str:
        """Let something change that the stream tells; returns the id it is told by. Raises KeyError likewise."""
        raise KeyError(stream)

    def delivery(self) -> Delivery | None:
        """A signed webhook; None for a vendor that sends none."""
        return None

    def is_write(self, method: str, path: str) -> bool:
        """Whether a request changes something there: what lies about writes strike."""
        return method in ("POST", "PUT", "PATCH", "DELETE") and not self.is_token(path)

    def is_token(self, path: str) -> bool:
        return bool(self.token_path) and path.startswith(self.token_path)

    @asynccontextmanager
    async def connected(self, url: str = "", timeout_s: float = 5.0, **changes: Any) -> AsyncIterator[Connector]:
        """A connection to the account, closed at the end."""
        if self.live is not None:
            settings = msgspec.structs.replace(self.live, **changes)
        else:
            settings = self.connector.settings(**{**self.settings(url or self.url, timeout_s), **changes})
        connector = self.connector.open("contract", settings)
        try:
            yield connector
        finally:
            await connector.close()
