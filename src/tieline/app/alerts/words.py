"""A message as people read it: a subject that says what and how many, plain text, a little HTML, and Slack's blocks.

The invariant: nothing of a document is in it but ids and amounts; what a system said may name a person, and stays on
the page that the link leads to.
"""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from tieline.app.alerts.concerns import Concern
from tieline.app.alerts.memory import Message

MOST_SHOWN = 20
"""How many concerns a message spells out."""
TEST = "This is a test. Nothing is wrong; alerts for you come here."
FOOTER = "Sent once by Tieline; you hear again when it has doubled, when it is escalated to you, or when it is over."
HEADER_MOST = 150
"""Characters of a header block. Source: Slack API reference, "Header block"; a section takes 3,000."""


def subject(message: Message, project: str) -> str:
    """`[acme] 14 cases: unknown product, and 2 more`"""
    return f"[{project}] {_headline(message)}"


def plain_text(message: Message, url: str) -> str:
    """The message as plain text."""
    if message.is_test:
        return f"{TEST}\n{url}\n"
    parts = ["\n".join([c.title, *(f"  {fact}" for fact in c.facts), f"  {url}{c.path}"]) for c in _shown(message)]
    parts += [f"and {_rest(message)} more: {url}/"] if _rest(message) else []
    parts += ["\n".join(["Over:", *(f"  {told.title}" for told in message.over)])] if message.over else []
    return "\n\n".join([*parts, f"-- \n{FOOTER}"]) + "\n"


def html(message: Message, url: str) -> str:
    """The same as a small page without pictures, scripts or addresses to count who reads it."""
    if message.is_test:
        return Markup('<p>{}</p><p><a href="{}">{}</a></p>').format(TEST, url, url)
    parts = [
        Markup('<h3><a href="{}">{}</a></h3><p>{}</p>').format(f"{url}{c.path}", c.title, Markup("<br>").join(c.facts))
        for c in _shown(message)
    ]
    if _rest(message):
        parts.append(Markup('<p><a href="{}/">and {} more</a></p>').format(url, _rest(message)))
    if message.over:
        over = Markup("").join(Markup("<li>{}</li>").format(told.title) for told in message.over)
        parts.append(Markup("<p>Over:</p><ul>{}</ul>").format(over))
    return Markup("").join([*parts, Markup("<hr><p><small>{}</small></p>").format(FOOTER)])


def slack(message: Message, project: str, url: str) -> dict[str, Any]:
    """What an incoming webhook of Slack takes; others that read `text` are served by that alone.

    Source: Slack API documentation, "Sending messages using incoming webhooks" and "Formatting text for app surfaces".
    """
    line = subject(message, project)
    blocks: list[dict[str, Any]] = [{"type": "header", "text": {"type": "plain_text", "text": line[:HEADER_MOST]}}]
    if message.is_test:
        blocks.append(_section(f"{TEST} <{url}|Open Tieline>"))
    for concern in _shown(message):
        facts = "".join(f"\n{_escaped(fact)}" for fact in concern.facts)
        blocks.append(_section(f"*<{url}{concern.path}|{_escaped(concern.title)}>*{facts}"))
    if _rest(message):
        blocks.append(_section(f"<{url}/|and {_rest(message)} more>"))
    if message.over:
        blocks.append(_section("*Over:*" + "".join(f"\n• {_escaped(told.title)}" for told in message.over)))
    return {"text": _escaped(line), "blocks": blocks}


def _headline(message: Message) -> str:
    if message.is_test:
        return "test of alerts"
    if not message.concerns:
        return f"over: {message.over[0].title}{_and_more(len(message.over) - 1)}"
    return f"{message.concerns[0].title}{_and_more(len(message.concerns) - 1)}"


def _and_more(number: int) -> str:
    return f", and {number} more" if number else ""


def _shown(message: Message) -> tuple[Concern, ...]:
    return message.concerns[:MOST_SHOWN]


def _rest(message: Message) -> int:
    return len(message.concerns) - len(_shown(message))


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:3_000]}}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
