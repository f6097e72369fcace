"""The latest calls to a system and their answers, for a person who looks for what went wrong.

Nothing is kept unless somebody captures. The invariant: no secret gets into the ring, because it is taken out before
an exchange is put there, not when it is shown.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

MOST_BODY = 16_384
HIDDEN = "***"
SECRET_HEADERS = frozenset({"authorization", "cookie", "set-cookie", "proxy-authorization"})
SECRET_WORDS = ("password", "passwd", "secret", "token", "api_key", "apikey", "private_key", "assertion", "signature")


class Answered(Protocol):
    """What is kept of an answer."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> dict[str, str]: ...

    @property
    def body(self) -> bytes: ...


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One call and what came back. `status` 0 says that no answer came."""

    method: str
    path: str
    request_headers: dict[str, str]
    request: str
    status: int = 0
    response_headers: dict[str, str] = {}
    response: str = ""


class Capture:
    """A ring of the latest exchanges. `fields` are names whose values are taken out besides the usual secrets."""

    def __init__(self, most: int = 50, fields: tuple[str, ...] = ()) -> None:
        self._ring: deque[Exchange] = deque(maxlen=most)
        self._words = [word.lower() for word in (*SECRET_WORDS, *fields)]
        words = "|".join(map(re.escape, self._words))
        # a name in JSON or in a form, whole or as part of a longer one ("clientSecret", "access_token")
        name = rf'("[^"]*(?:{words})[^"]*"\s*:\s*)'
        # a text without its last quote was cut, and is hidden as well
        self._json = re.compile(rf'{name}("(?:[^"\\]|\\.)*(?:"|\\?\Z)|[^\s,}}\]]+)', re.IGNORECASE)
        self._form = re.compile(rf"((?:^|[&?])[^=&]*(?:{words})[^=&]*=)[^&]*", re.IGNORECASE)
        self._names = re.compile(words, re.IGNORECASE)

    def exchanges(self) -> list[Exchange]:
        """The latest ones, oldest first."""
        return list(self._ring)

    def readable(self, body: bytes) -> str:
        """A body that was kept elsewhere, without its secrets."""
        return self._text(body)

    def note(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, answer: Answered | None
    ) -> None:
        """Keep one exchange, without its secrets."""
        parts = urlsplit(url)
        query = f"?{parts.query}" if parts.query else ""
        self._ring.append(
            Exchange(
                method=method,
                path=parts.path + self._text(query.encode()),
                request_headers=self._headers(headers),
                request=self._text(body or b""),
                status=answer.status if answer else 0,
                response_headers=self._headers(answer.headers) if answer else {},
                response=self._text(answer.body) if answer else "",
            )
        )

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        return {name: HIDDEN if self._secret(name) else value for name, value in headers.items()}

    def _secret(self, header: str) -> bool:
        return header.lower() in SECRET_HEADERS or self._names.search(header.replace("-", "_")) is not None

    def _text(self, body: bytes) -> str:
        # cut after the secrets are out: a cut could split a name from its value
        text = body.decode("utf-8", "replace")
        low = text.lower()
        if any(word in low for word in self._words):  # most bodies have none, and looking for one costs next to nothing
            text = self._form.sub(rf"\g<1>{HIDDEN}", text)
            text = self._json.sub(rf'\g<1>"{HIDDEN}"', text)
        return text if len(text) <= MOST_BODY else f"{text[:MOST_BODY]}… ({len(body)} bytes)"


_current: ContextVar[Capture | None] = ContextVar("capture", default=None)


@contextmanager
def capturing(capture: Capture) -> Iterator[Capture]:
    """Every call made inside, also by tasks that are started inside, is noted."""
    token = _current.set(capture)
    try:
        yield capture
    finally:
        _current.reset(token)


def note_exchange(
    method: str, url: str, headers: Mapping[str, str], body: bytes | None, answer: Answered | None
) -> None:
    """Tell whoever captures; one look at a variable where nobody does."""
    capture = _current.get()
    if capture is not None:
        capture.note(method, url, headers, body, answer)
