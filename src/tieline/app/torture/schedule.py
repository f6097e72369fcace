"""What is broken when: the same seed makes the same schedule, for Tieline and for every contender alike."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

VENDORS = ("salesforce", "zuora", "netsuite", "kantata")
TIMEOUT_S = 1.0
"""How long a client waits for one answer."""
WINS_EVERY_S = 0.8
LIES_EVERY_S = 0.4
KILLS_EVERY_S = 3.5
EPISODES: Mapping[str, str] = {
    "lock": "the database locked by another program for two seconds",
    "full-disk": "the disk full, then space again",
    "second-hub": "a second hub started on the same file",
    "clock-ahead": "our clock five minutes ahead",
    "backup": "an older backup of the database put back by hand",
    "clock-behind": "our clock five minutes behind",
    "upgrade": "a process changed while runs of it are under way",
}
"""What happens to a machine, or is done by its operator, beside kills; in the order of the schedule."""

Fault = dict[str, Any]

_TARGETS: Mapping[str, tuple[Fault, ...]] = {
    "salesforce": ({}, {"body": "Tieline_Status__c"}),
    "zuora": ({}, {"path": "/v1/orders"}, {"path": "/v1/accounts"}),
    "netsuite": (
        {},
        {"path": "/customer"},
        {"path": "/salesOrder"},
        {"path": "/invoice"},
        {"path": "/customerPayment"},
    ),
    "kantata": ({}, {"method": "POST", "path": "workspaces"}),
}
_EVERYWHERE: Mapping[str, Fault] = {
    "request lost": {"kind": "drop_request"},
    "answer lost after the work was done": {"kind": "drop_response"},
    "answer later than anybody waits": {"kind": "late_response", "seconds": TIMEOUT_S * 1.6},
    "answer cut in half": {"kind": "cut_response"},
    "request held up": {"kind": "delay", "seconds": TIMEOUT_S * 0.6},
    "too many requests": {"kind": "status", "status": 429},
    "temporarily unavailable": {"kind": "status", "status": 503},
    "outage": {"kind": "outage", "seconds": 1.2},
}
_HERE: Mapping[str, tuple[tuple[str, Fault], ...]] = {
    "salesforce": (
        ("token expired in mid-flight", {"kind": "expire_tokens"}),
        ("one record of a bulk call refused", {"kind": "lock_row", "path": "/Opportunity/"}),
        ("webhook dropped", {"kind": "webhook_drop"}),
        ("webhook twice", {"kind": "webhook_duplicate"}),
        ("webhooks in the wrong order", {"kind": "webhook_reorder"}),
        ("webhook late", {"kind": "webhook_delay", "seconds": 2.0}),
        ("webhook days late", {"kind": "webhook_delay", "days": 3}),
    ),
    "zuora": (
        ("token expired in mid-flight", {"kind": "expire_tokens"}),
        ("200 with an error inside", {"kind": "locked"}),
        ("search behind the truth", {"kind": "slow_object_query", "seconds": 1.0}),
        ("webhook dropped", {"kind": "webhook_drop"}),
        ("webhook twice", {"kind": "webhook_duplicate"}),
        ("webhooks in the wrong order", {"kind": "webhook_reorder"}),
        ("webhook late", {"kind": "webhook_delay", "seconds": 2.0}),
        ("webhook days late", {"kind": "webhook_delay", "days": 3}),
    ),
    "netsuite": (
        ("token expired in mid-flight", {"kind": "expired_token"}),
        ("limit told as 400", {"kind": "status", "status": 400, "code": "SSS_REQUEST_LIMIT_EXCEEDED"}),
        ("500 although the work was done", {"kind": "error_after_save"}),
        ("record changed meanwhile", {"kind": "record_changed"}),
    ),
    "kantata": (),
}


class Lie(msgspec.Struct, frozen=True, kw_only=True):
    """A fault ordered at a moment. `vendor` "" is all of them."""

    at: float
    name: str
    vendor: str
    fault: Fault


class Win(msgspec.Struct, frozen=True, kw_only=True):
    """Deals, by their place in the list, that sales closes in one save. `told` is how often a contender hears of it."""

    at: float
    deals: list[int]
    told: int


class Blow(msgspec.Struct, frozen=True, kw_only=True):
    """A SIGKILL, or an episode by name, or days that pass."""

    at: float
    name: str


KILL, DAYS = "kill -9", "days pass"


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that happens, each list in the order of time."""

    seed: int
    seconds: float
    wins: list[Win]
    lies: list[Lie]
    blows: list[Blow]

    @property
    def deals(self) -> int:
        return sum(len(win.deals) for win in self.wins)


def make_schedule(seed: int, seconds: float, episodes: Sequence[str] = tuple(EPISODES)) -> Schedule:
    """A schedule of so many seconds in which every episode given has its place."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    return Schedule(
        seed=seed,
        seconds=seconds,
        wins=_wins(chance, seconds),
        lies=_lies(chance, seconds),
        blows=_blows(chance, seconds, episodes),
    )


def _wins(chance: random.Random, seconds: float) -> list[Win]:
    wins: list[Win] = []
    at, number = 0.2, 0
    while at < seconds * 0.95:
        size = chance.choice((1, 1, 1, 2, 3))
        wins.append(Win(at=round(at, 2), deals=list(range(number, number + size)), told=chance.choice((1, 1, 2, 3))))
        at, number = at + chance.expovariate(1 / WINS_EVERY_S), number + size
    return wins


def _lies(chance: random.Random, seconds: float) -> list[Lie]:
    """Every kind that a system knows once, in random order, then again from the beginning until the time is over."""
    kinds = [(vendor, name) for vendor in VENDORS for name in _EVERYWHERE]
    kinds += [(vendor, name) for vendor in VENDORS for name, _ in _HERE[vendor]]
    lies: list[Lie] = []
    at = 0.3
    while at < seconds:
        round_of_all = [*kinds, ("", "outage")]
        chance.shuffle(round_of_all)
        for vendor, name in round_of_all:
            if at >= seconds:
                break
            lies.append(Lie(at=round(at, 2), name=name, vendor=vendor, fault=_fault(chance, vendor, name)))
            at += chance.expovariate(1 / LIES_EVERY_S)
    return lies


def _fault(chance: random.Random, vendor: str, name: str) -> Fault:
    fault = _EVERYWHERE.get(name) or dict(_HERE[vendor])[name]
    if fault["kind"] == "outage":
        return fault
    if "expire" in fault["kind"]:  # a token that dies twice in one breath is no lie: whoever asks is not let in
        return {"times": 1, "skip": chance.choice((0, 1, 3)), **fault}
    where = chance.choice(_TARGETS[vendor]) if name in _EVERYWHERE else {}
    return {**where, "times": chance.choice((1, 1, 2)), "skip": chance.choice((0, 0, 1, 3)), **fault}


def _blows(chance: random.Random, seconds: float, episodes: Sequence[str]) -> list[Blow]:
    """Kills at random, a day or two of the sandbox clock now and then, and the episodes evenly between."""
    blows = [Blow(at=round((n + 1) * seconds / (len(episodes) + 1), 2), name=e) for n, e in enumerate(episodes)]
    for name, every in ((KILL, KILLS_EVERY_S), (DAYS, max(seconds / 12, 1.0))):
        at = chance.uniform(0.5, every)
        while at < seconds:
            blows.append(Blow(at=round(at, 2), name=name))
            at += chance.uniform(0.4, 1.6) * every
    return sorted(blows, key=lambda b: b.at)
