"""How deals are searched by words: what is searched, and how case and accents are folded away."""

from __future__ import annotations

from unicodedata import combining, normalize

from tieline.engine.records import ListedDeal

SHORTEST_PART = 3
"""Letters that a part of a name must have to be found in its middle; shorter words find the beginning of a name."""


def fold(text: str) -> str:
    """`Müller & Söhne` → `muller & sohne`."""
    return "".join(c for c in normalize("NFKD", text.strip()) if not combining(c)).casefold()


def searched_text(deal: ListedDeal) -> str:
    """What a deal is found by, folded: its customer, name, number and id."""
    return "\n".join([deal.customer_folded, fold(deal.name), fold(deal.number), deal.id.casefold()])
