"""What never enters a recording: passwords, tokens, signatures, numbers of cards, by the names they go by.

The invariant: text without a secret stays as it is, byte by byte; where there is one, only its value is replaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec

HIDDEN = "(hidden)"
FORM = "application/x-www-form-urlencoded"

_TOKENS = ("accesstoken", "refreshtoken", "idtoken", "authtoken", "bearertoken", "sessiontoken", "token")
_CARDS = ("cardnumber", "creditcardnumber", "cvv", "cvc")
_NAMES = frozenset((*_TOKENS, *_CARDS, "sessionid", "signature", "authorization"))
_ENDINGS = ("secret", "password", "passphrase", "assertion", "apikey", "privatekey", "securitycode")
_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


def hide_pairs(text: str) -> str:
    """A query or a form without its secrets; OAuth 1 parameters are hidden all of them, as they never come twice."""
    pairs = parse_qsl(text, keep_blank_values=True)
    if not any(_is_secret(name, value) for name, value in pairs):
        return text
    return urlencode([(name, HIDDEN if _is_secret(name, value) else value) for name, value in pairs], safe="()")


def hide_in_body(text: str, content_type: str) -> str:
    """A body without its secrets: a form, or JSON of whatever type it says it is."""
    if FORM in content_type:
        return hide_pairs(text)
    value = json_of(text)
    if not any(_secrets(value)):
        return text
    return _encoder.encode(_hidden(value)).decode()


def json_of(text: str) -> Any:
    """The object or array that a body holds, fractions exact; None for any other text."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None


def _is_secret(name: str, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return False
    if value in ("", HIDDEN) or str(value).startswith("*"):  # masked by the vendor
        return False
    plain = "".join(letter for letter in name.lower() if letter.isalnum())
    return plain in _NAMES or plain.endswith(_ENDINGS) or name.startswith("oauth_")


def _secrets(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inside in value.items():
            if _is_secret(name, inside):
                yield name
            yield from _secrets(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from _secrets(inside)


def _hidden(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: HIDDEN if _is_secret(name, inside) else _hidden(inside) for name, inside in value.items()}
    return [_hidden(inside) for inside in value] if isinstance(value, list) else value
