"""The report of a torture as one HTML page that needs nothing else: for a controller, not for an engineer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from html import escape
from typing import Any

Document = dict[str, Any]

STRUCK = {
    "drop_request": "request lost on the way",
    "drop_response": "answer lost after the work was done",
    "late_response": "answer later than anybody waits",
    "cut_response": "answer cut in half",
    "delay": "request held up",
    "status": "refused: too many requests, or temporarily unavailable",
    "outage": "calls into a system that was down",
    "expire_tokens": "token expired in mid-flight",
    "expired_token": "token expired in mid-flight (NetSuite)",
    "lock_row": "one record of a bulk call refused",
    "locked": "status 200 with an error inside",
    "slow_object_query": "search behind the truth",
    "error_after_save": "status 500 although the work was done",
    "record_changed": "record changed meanwhile",
    "webhook_drop": "webhook never sent",
    "webhook_duplicate": "webhook sent twice",
    "webhook_reorder": "webhooks in the wrong order",
    "webhook_delay": "webhook late, some by days",
}
"""Kinds of faults in words."""

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.2rem;margin-top:2.2rem;border-bottom:1px solid #d8dde3}
table{border-collapse:collapse;margin:.8rem 0;width:100%}th,td{padding:.3rem .6rem;text-align:left;vertical-align:top}
th{background:#f2f4f7;font-weight:600}tr+tr td{border-top:1px solid #e6e9ed}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.verdict{padding:.8rem 1rem;border-radius:.4rem;font-size:1.1rem;border-left:.4rem solid}
.verdict.good{background:#e8f5ec;border-color:#1a7f37}.verdict.bad{background:#fdeaea;border-color:#c62828}
td.good{color:#1a7f37}td.bad{color:#c62828;font-weight:600}
code{background:#f2f4f7;padding:.1rem .3rem;border-radius:.2rem;overflow-wrap:anywhere}
.small{color:#57606a;font-size:.9rem}
details{margin:.6rem 0}summary{cursor:pointer}
"""


def render(report: Document) -> str:
    """The whole page."""
    parts = [_head(report)]
    if report["chaos"]:
        parts += [_contenders(report["chaos"]), _money(report["chaos"]), _broken(report["chaos"])]
    if report["boundaries"]:
        parts.append(_boundaries(report["boundaries"]))
    parts.append(_foot(report))
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Tieline under torture</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>\n'
        f"{body}\n</body></html>\n"
    )


def _head(report: Document) -> str:
    good = report["survived"]
    money = "Money is equal to the cent at every stage." if report["money_equal"] else "Money is not equal."
    words = f"Lost {report['lost']}, doubled {report['doubled']}. {money}"
    if not good:
        words += " Something is wrong; what it is stands below."
    return (
        "<h1>Tieline under torture</h1>"
        f'<p class="small">{escape(report["made_at"])}, version {escape(report["version"])}</p>'
        f'<p class="verdict {"good" if good else "bad"}">{words}</p>'
        "<p>Everything below was counted by asking the systems themselves: the sandboxes of Salesforce, Zuora, "
        "NetSuite and Kantata. No program's own records were consulted.</p>"
    )


def _contenders(chaos: Document) -> str:
    rows = [
        [
            c["name"],
            c["tally"]["deals"],
            c["tally"]["documents"],
            _count(c["tally"]["lost"]),
            _count(c["tally"]["doubled"]),
            ("good" if c["money_equal"] else "bad", "equal" if c["money_equal"] else "not equal"),
            c["kills"],
            c["requests"],
            escape(c["unsettled"]) or "yes",
        ]
        for c in chaos["contenders"]
    ]
    columns = ("contender", "deals", "documents", "lost", "doubled", "money", "kills", "requests", "settled")
    return (
        "<h2>The same schedule for everybody</h2>"
        f"<p>{chaos['deals']} deals were won in {chaos['seconds']:g} seconds while {chaos['lies_ordered']} faults were "
        f"ordered from seed {chaos['seed']}. Each contender had its own fresh systems. A deal makes an account and an "
        "order in billing, a customer and a sales order in the ERP, a project where services were sold. Deals with a "
        "problem that only a person can mend are given to Tieline alone and not counted in this table.</p>"
        + _table(columns, rows, numbers=range(1, 8))
        + "".join(_found(c) for c in chaos["contenders"])
    )


def _found(contender: Document) -> str:
    tally = contender["tally"]
    named = contender["wrong"] + [f"lost: {n}" for n in tally["lost"]] + [f"doubled: {n}" for n in tally["doubled"]]
    if not named:
        return ""
    return _details(f"{contender['name']}: {len(named)} findings", (escape(n) for n in dict.fromkeys(named)))


def _money(chaos: Document) -> str:
    ours = chaos["contenders"][0]
    verdict = ours["verdict"]
    stages = ("booked", "billed", "posted", "paid")
    rows = [
        [currency, *(_amount(verdict[stage].get(currency, 0)) for stage in stages)]
        for currency in sorted({c for stage in stages for c in verdict[stage]})
    ]
    others = [
        [c["name"], currency, _amount(c["tally"]["ordered"].get(currency, 0)), _amount(booked)]
        for c in chaos["contenders"]
        for currency, booked in c["tally"]["booked"].items()
    ]
    return (
        "<h2>Money</h2><p>Tieline, every stage: what sales booked, what billing invoiced, what the ERP holds, what "
        "customers paid.</p>"
        + _table(("currency", *stages), rows, numbers=range(1, 5))
        + "<p>Everybody: what the deals are worth, and what stands as sales orders in the ERP.</p>"
        + _table(("contender", "currency", "ordered", "booked in the ERP"), others, numbers=(2, 3))
        + f"<p>{verdict['deals_in_cases']} deals had a planted problem; each waits in exactly one case of the right "
        "class, or it would be listed above as missing, and any other case as false.</p>"
    )


def _broken(chaos: Document) -> str:
    names = [c["name"] for c in chaos["contenders"]]
    kinds = sorted({kind for c in chaos["contenders"] for kind in c["struck"]}, key=lambda k: STRUCK.get(k, k))
    rows = [
        [escape(STRUCK.get(kind, kind)), *(c["struck"].get(kind, 0) for c in chaos["contenders"])] for kind in kinds
    ]
    rows.insert(0, ["kill −9 of the program", *(c["kills"] for c in chaos["contenders"])])
    told = [
        [escape(t["episode"]), ("bad" if t["wrong"] else "good", escape(t["seen"]))]
        for t in chaos["contenders"][0]["told"]
    ]
    return (
        "<h2>What was broken</h2><p>How often each fault really struck. The schedule is the same; whoever asks more "
        "often is struck more often.</p>"
        + _table(("fault", *names), rows, numbers=range(1, len(names) + 1))
        + (
            "<p>What happened to the machine, or was done by its operator (Tieline only):</p>"
            + _table(("episode", "what was seen"), told)
            if told
            else ""
        )
    )


def _boundaries(found: Document) -> str:
    wrong = [d for d in found["deaths"] if d["wrong"]]
    words = (
        f"One deal, from won to paid, passes {found['known']} boundaries: before and after every commit and every call "
        f"to a system. The program was killed at {found['died']} of them, each in a world of its own, and started "
        f"again. {len(wrong)} of these worlds were wrong afterwards."
    )
    if found["not_reached"]:
        words += f" {len(found['not_reached'])} boundaries were not passed again by any life; nothing is known of them."
    every = [
        f"{escape(d['boundary'])}: {escape('; '.join(d['wrong'])) or 'right'}" for d in found["deaths"] if d["reached"]
    ]
    parts = ["<h2>Every boundary</h2>", f"<p>{words}</p>"]
    if wrong:
        rows = [[escape(d["boundary"]), ("bad", escape("; ".join(d["wrong"])))] for d in wrong]
        parts.append(_table(("killed", "found"), rows))
    if found["not_reached"]:
        parts.append(_details("not reached", (escape(b) for b in found["not_reached"])))
    return "".join([*parts, _details("every death", every)])


def _foot(report: Document) -> str:
    machine = report["machine"]
    seconds = [f"{report[part]['seconds']:g} s {word}" for part, word in _PARTS if report[part]]
    return (
        "<h2>Once more</h2>"
        f"<p><code>{escape(report['command'])}</code></p>"
        "<p>The same seed orders the same faults at the same moments. How the program, the systems and the machine "
        "meet them is not repeatable to the millisecond, so counts of what struck differ a little.</p>"
        f'<p class="small">{escape(machine["processor"])}, {machine["cores"]} cores, {escape(machine["system"])}, '
        f"Python {escape(machine['python'])}; {', '.join(seconds)}</p>"
    )


_PARTS = (("chaos", "of chaos"), ("boundaries", "for the boundaries"))


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]], numbers: Iterable[int] = ()) -> str:
    right = set(numbers)
    head = "".join(f"<th{_class('n' if n in right else '')}>{escape(c)}</th>" for n, c in enumerate(columns))
    body = "".join(
        "<tr>" + "".join(_cell(cell, "n" if n in right else "") for n, cell in enumerate(row)) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(cell: Any, style: str) -> str:
    colour, text = cell if isinstance(cell, tuple) else ("", cell)
    return f"<td{_class(f'{style} {colour}'.strip())}>{text}</td>"


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def _count(named: Sequence[str]) -> tuple[str, int]:
    return ("bad" if named else "good", len(named))


def _amount(value: Any) -> str:
    return f"{Decimal(value):,.2f}"


def _details(title: str, lines: Iterable[str]) -> str:
    items = "".join(f"<li>{line}</li>" for line in lines)
    return f"<details><summary>{escape(title)}</summary><ol>{items}</ol></details>"
