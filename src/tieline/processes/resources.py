"""What the project gives its processes: mapping tables, policies, and the reference lists of the connected systems."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, TypeVar

from rapidfuzz import process as fuzzy

from tieline.engine.connection import Connection
from tieline.engine.ports import Wire
from tieline.errors import ConfigurationError
from tieline.events import CorrectionsExported, LoggedEvent, ValueMapCorrected, decode_event, event_name
from tieline.mapping import MappingSet, ValueMap
from tieline.mapping.corrections import Correction, Corrections
from tieline.policy import Approvals, Routes, RuleSet

FRESH_S = 60.0
VERY_FRESH_S = 5.0
T = TypeVar("T")


class Facts:
    """What validation rules may ask about the world; filled from reference lists before rules are judged."""

    def __init__(self) -> None:
        self.items: frozenset[str] = frozenset()
        self.rate_plans: frozenset[str] = frozenset()
        self.currencies: frozenset[str] = frozenset()
        self.terms: frozenset[str] = frozenset()
        self.subsidiaries: frozenset[str] = frozenset()
        self.value_map: Callable[[str], ValueMap] = _no_value_map

    def functions(self) -> dict[str, Callable[..., Any]]:
        """By the names that rules use."""
        return {
            "has_item": self.has_item,
            "has_rate_plan": self.has_rate_plan,
            "nearest_product": self.nearest_product,
            "known_legal_entity": self.known_legal_entity,
            "nearest_legal_entity": self.nearest_legal_entity,
            "has_nexus": self.has_nexus,
            "currency_in_erp": self.currency_in_erp,
            "known_payment_terms": self.known_payment_terms,
        }

    def has_item(self, product: str) -> bool:
        """Whether the ERP has the item that the product map names."""
        return self._cell("products", product, "netsuite_item") in self.items

    def has_rate_plan(self, product: str) -> bool:
        """Whether billing has the rate plan that the product map names."""
        return self._cell("products", product, "zuora_rate_plan") in self.rate_plans

    def nearest_product(self, product: str) -> str:
        """The product code most like this one; "none" where nothing is like it."""
        return _nearest(product, self.value_map("products").entries)

    def known_legal_entity(self, code: str) -> bool:
        """Whether we have this company, and the ERP its subsidiary."""
        return self._cell("legal_entities", code, "netsuite_subsidiary") in self.subsidiaries

    def nearest_legal_entity(self, code: str) -> str:
        """The legal entity most like this code."""
        return _nearest(code, self.value_map("legal_entities").entries)

    def has_nexus(self, code: str, country: str) -> bool:
        """Whether the legal entity is registered to sell in the country (`*`: anywhere)."""
        registered = str(self._cell("legal_entities", code, "nexus") or "").replace(" ", "").split(",")
        return "*" in registered or country in registered

    def currency_in_erp(self, currency: str) -> bool:
        """Whether the ERP has the currency active."""
        return currency in self.currencies

    def known_payment_terms(self, terms: str) -> bool:
        """Whether the terms are mapped and known to the ERP."""
        return self._cell("payment_terms", terms, "netsuite") in self.terms

    def _cell(self, value_map: str, key: str, column: str) -> Any:
        row = self.value_map(value_map).entries.get(key)
        return row.get(column) if isinstance(row, dict) else None


class Resources:
    """Rules and lists, as they stand now. Corrections of value maps take effect in the order of the log."""

    def __init__(
        self,
        mappings: MappingSet,
        validation: RuleSet,
        approvals: Approvals,
        routes: Routes,
        facts: Facts,
        connections: dict[str, Connection],
    ) -> None:
        self.mappings, self.validation, self.approvals, self.routes = mappings, validation, approvals, routes
        self.facts, self._connections = facts, connections
        self.corrections = Corrections()
        self._lists: dict[tuple[str, str], tuple[float, list[Wire]]] = {}
        self._asked: dict[tuple[str, ...], asyncio.Future[Any]] = {}

    def value_map(self, name: str) -> ValueMap:
        """A value map with the corrections made so far."""
        return self.mappings.value_map(name)

    def vendor(self, connection: str) -> str:
        """Which vendor's tables a connection speaks."""
        if connection not in self._connections:
            raise ConfigurationError(f"there is no connection {connection!r} in tieline.toml")
        return self._connections[connection].connector.manifest.vendor

    def to_canonical(self, connection: str, wire_kind: str, kind: str, wire: Wire) -> Wire:
        """A vendor's record as a canonical document (builtins). Raises TranslationError."""
        mapping = self.mappings.mapping(f"{self.vendor(connection)}.{wire_kind} -> {kind}")
        return mapping.run(wire, connection=connection)

    async def list_of(self, connection: str, kind: str, *, fresh: bool = False) -> list[Wire]:
        """A reference list of a system, at most a minute old; `fresh` wants one of the last seconds.

        However many ask at once, the system is asked once.
        """
        known = self._list((connection, kind), VERY_FRESH_S if fresh else FRESH_S)
        if known is None:
            link = self._connections[connection]
            known = await link.read_for_all(f"list {kind}", lambda: self._read_list(connection, kind))
        return known

    def _list(self, key: tuple[str, str], seconds: float) -> list[Wire] | None:
        """A list that was read, if it is not older than so many seconds."""
        read_at, known = self._lists.get(key, (-seconds, None))
        return known if time.monotonic() - read_at <= seconds else None

    async def _read_list(self, connection: str, kind: str) -> list[Wire]:
        known = self._list((connection, kind), VERY_FRESH_S)  # somebody may have asked in the meantime
        if known is None:
            known = await self._connections[connection].connector.catalogue(kind)
            self._lists[connection, kind] = (time.monotonic(), known)
        return known

    async def shared(self, key: tuple[str, ...], ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `ask()` answers; whoever wants the same at the same time shares one answer."""
        me = asyncio.current_task()
        while True:
            task = self._asked.get(key)
            if task is None:
                task = self._asked[key] = asyncio.ensure_future(ask())
                task.add_done_callback(lambda _: self._asked.pop(key, None))
            try:
                answer: T = await asyncio.shield(task)
            except asyncio.CancelledError:
                if not task.cancelled() or me is None or me.cancelling():
                    raise
                continue  # whoever asked for all of us went away: ask oneself
            return answer

    def observe(self, event: LoggedEvent) -> None:
        """Told of every event in order: a corrected value map counts from here on."""
        data = note_correction(self.corrections, event)
        if isinstance(data, ValueMapCorrected) and data.value_map in self.mappings.value_maps:
            value_map = self.mappings.value_map(data.value_map)
            with suppress(ValueError):  # made for other columns than the map has here: shown as a conflict
                self.mappings = self.mappings.with_value_map(value_map.corrected(data.key, data.value))


CORRECTIONS = (ValueMapCorrected.__name__, CorrectionsExported.__name__)
"""The events that corrections of value maps are told in."""


def note_correction(corrections: Corrections, event: LoggedEvent) -> ValueMapCorrected | CorrectionsExported | None:
    """Take an event into account, once, that tells of a correction or of its way into the files; None for any other."""
    if event_name(event.type) not in CORRECTIONS or event.seq <= corrections.seen:
        return None
    data, corrections.seen = decode_event(event), event.seq
    if isinstance(data, ValueMapCorrected):
        fields = {name: getattr(data, name) for name in ("key", "value", "former", "by", "reason")}
        corrections.add(data.value_map, Correction(seq=event.seq, at=event.recorded_at, **fields))
        return data
    if isinstance(data, CorrectionsExported):
        corrections.exported(data.value_map, data.keys, data.up_to)
        return data
    return None


def _nearest(word: str, known: Iterable[str]) -> str:
    found = fuzzy.extractOne(word, [k for k in known if k != word], score_cutoff=60)
    return str(found[0]) if found else "none"


def _no_value_map(name: str) -> ValueMap:
    raise ConfigurationError(f"value map {name!r} is not loaded")
