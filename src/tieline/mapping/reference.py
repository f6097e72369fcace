"""The reference of the formula language, written from the functions themselves so that it cannot be out of date."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import Any

from tieline.mapping import operations as op
from tieline.mapping.functions import BUILTINS, MAX_DIFFERENT
from tieline.mapping.grammar import MAX_CHARACTERS, MAX_DEPTH, MAX_NODES
from tieline.mapping.signatures import Function
from tieline.mapping.values import MAX_DIGITS, MAX_TEXT

SAMPLE: dict[str, Any] = {
    "lines": [
        {"product": "SEAT", "kind": "recurring", "quantity": Decimal(2), "net": {"amount": Decimal("100.50")}},
        {"product": "SETUP", "kind": "one_time", "quantity": Decimal(1), "net": {"amount": Decimal(250)}},
        {"product": "API", "kind": "usage", "quantity": Decimal(0), "net": {"amount": Decimal(0)}},
    ]
}

_HEAD = f"""# Formulas

A formula is one expression. It is checked before anything runs, computes with exact decimal numbers, and can
reach nothing but the fields of its document. This page is written by `tieline.mapping.reference` from the
functions themselves; every example on it is tested.

## Values

| kind | written | remark |
| --- | --- | --- |
| number | `12`, `0.25` | exact; at most {MAX_DIGITS} digits |
| text | `"Net 30"`, `'Net 30'` | no backslashes; at most {MAX_TEXT:,} characters |
| yes or no | `true`, `false` | |
| blank | `blank` | a field that is absent or null |
| date | `date(2026, 1, 31)` | fields may hold it as text such as `2026-01-31` |
| list | `["EUR", "USD"]` | |

## Fields

| written | means |
| --- | --- |
| `customer.name` | the field `name` of the field `customer` |
| `lines.net.amount` | that field of each line, as a list |
| `lines[0].product` | of the first line |
| `$.currency` | from the root of the document, also where the formula looks at one item of a list |
| `_index`, `_item` | in a list: the position of the item in its source (from 0), and the item itself |
| `field("Invoice Number")` | a field whose name is no plain word |

## Operators

| written | means |
| --- | --- |
| `+` `-` `*` `/` | on numbers; a text that reads as a number counts as one; a blank field is an error, never zero |
| `&` | joins texts; blank joins as nothing |
| `==` `!=` | equal or not: numbers by amount, dates by day, texts letter by letter |
| `<` `<=` `>` `>=` | in order, as in `0 < x <= 10`; texts that read as numbers by amount; with a blank field: no |
| `in`, `not in` | an item of a list, or a part of a text |
| `and` `or` `not` | blank counts as no |
| `a if condition else b` | one or the other |

Sums and products are exact; a quotient carries 50 digits until it is rounded. Division by zero is an error.

## How functions are written here

`scalar` is any single value, `day` a date or a text such as `2026-01-31`, `any` anything. `?` marks what may be
left out, `*` what may be repeated, `|` a choice.

## Limits

{MAX_CHARACTERS:,} characters, {MAX_NODES} parts, {MAX_DEPTH} levels; lists of {op.MAX_LIST:,} items;
{MAX_DIFFERENT:,} different values in `unique()`. There are no loops, no definitions, no clock and no chance:
the same document gives the same value for ever.
"""
_EXTRA = """
## Value maps

| function | does | example |
| --- | --- | --- |
| `lookup(map, key, column?)` | The value of a key; an error when absent. | `lookup("terms", t, "erp")` |
"""
_LISTS = """
The second and third argument are computed for each item and see the fields of the item; `$.` leads to the document.
The examples run on three lines: SEAT (recurring, quantity 2, net 100.50), SETUP (one_time, 1, 250) and API
(usage, 0, 0).
"""


def formula_reference() -> str:
    """The page docs/reference/formulas.md, as Markdown."""
    groups: dict[str, list[Function]] = {}
    for function in BUILTINS.values():
        groups.setdefault(function.group, []).append(function)
    return _HEAD + "".join(_group(name, functions) for name, functions in groups.items()) + _EXTRA


def _group(name: str, functions: list[Function]) -> str:
    rows = "\n".join(_row(function) for function in functions)
    intro = _LISTS if name == "Lists" else ""
    return f"\n## {name}\n{intro}\n| function | does | example | gives |\n| --- | --- | --- | --- |\n{rows}\n"


def _row(function: Function) -> str:
    cells = (f"`{function.signature}`", function.doc, f"`{function.example}`", f"`{function.result}`")
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def shown(value: Any) -> str:
    """A value as the reference shows it."""
    if isinstance(value, list):
        return f"[{', '.join(shown(item) for item in value)}]"
    return op.text(value)


def main() -> None:
    """Print the page: `python -m tieline.mapping.reference > docs/reference/formulas.md`."""
    sys.stdout.write(formula_reference())


if __name__ == "__main__":
    main()
