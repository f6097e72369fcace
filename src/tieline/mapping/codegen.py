"""Write a mapping table as one Python function: straight code for each field, so that a document costs microseconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from tieline.mapping import steps, values
from tieline.mapping.compiler import ValueMaps
from tieline.mapping.formula import compile_formula
from tieline.mapping.operations import truth
from tieline.mapping.paths import FieldPath, Segment, put, walk
from tieline.mapping.signatures import Function
from tieline.mapping.table import Expression, Rule, Table

# rule number, positions in the source lists, the item the rule looked at, what went wrong
Fault = tuple[int, tuple[int, ...], Any, Exception]
Translate = Callable[[Any, str, Mapping[tuple[str, str], str]], tuple[dict[str, Any], list[Fault]]]
Needed = Callable[[Any, str], list[tuple[str, str]]]
ITEM_NAMES = ("_index",)

_HELPERS: dict[str, Any] = {
    "_walk": walk, "_put": put, "_truth": truth, "_plain": values.plain, "_result": steps.result,
    "_required": steps.required, "_fitted": steps.fitted, "_reference": steps.reference, "_rounded": values.rounded,
    "_rounded_money": steps.rounded_money, "_items": steps.items_of, "_object": steps.item_object,
    "_money": values.to_money, "_id": values.to_id, "_Decimal": Decimal,
    **{f"_as_{name}": call for name, call in values.CONVERSIONS.items()},
}  # fmt: skip


class Program:
    """A compiled table: `translate` makes the document, `needed` lists the references it wants."""

    def __init__(self, table: Table, functions: Mapping[str, Function], maps: ValueMaps) -> None:
        self.rules: list[Rule] = []
        self._functions = functions
        self._maps = maps
        self._space: dict[str, Any] = dict(_HELPERS)
        self._lines: list[str] = []
        self._collecting = False
        self._main(table)
        self._references(table)
        self.source = "\n".join(self._lines)
        exec(compile(self.source, f"<mapping {table.name}>", "exec"), self._space)  # noqa: S102
        self.translate: Translate = self._space["translate"]
        self.needed: Needed = self._space["needed"]

    def _main(self, table: Table) -> None:
        self._emit(0, "def translate(d0, connection, refs):")
        self._emit(1, "o0 = {}", "faults = []")
        for rule in table.rules:
            self._rule(rule, 0, 1)
        self._emit(1, "return o0, faults")

    def _references(self, table: Table) -> None:
        self._collecting = True
        self._emit(0, "def needed(d0, connection):")
        self._emit(1, "found = []")
        for rule in table.rules:
            if _refers(rule):
                self._rule(rule, 0, 1)
        self._emit(1, "return found")

    def _emit(self, indent: int, *lines: str) -> None:
        self._lines += [f"{'    ' * indent}{line}" for line in lines]

    def _keep(self, value: Any) -> str:
        """A name for a value that no code can spell; nothing of a table's text ever enters the code itself."""
        name = f"_k{len(self._space)}"
        self._space[name] = value
        return name

    def _rule(self, rule: Rule, depth: int, indent: int) -> None:
        number = len(self.rules)
        self.rules.append(rule)
        self._emit(indent, "try:")
        inside = indent + 1
        if rule.when:
            self._emit(inside, f"if _truth({self._formula(rule.when, depth)}):")
            inside += 1
        if rule.each is not None:
            self._list(rule, number, depth, inside)
        else:
            self._value(rule, depth, inside)
            self._convert(rule, depth, inside)
        self._caught(number, depth, indent)

    def _caught(self, number: int, depth: int, indent: int) -> None:
        if self._collecting:
            # What fails here fails again in translate(), which reports it.
            self._emit(indent, "except Exception: pass")
            return
        positions = "".join(f"i{level}," for level in range(1, depth + 1))
        self._emit(indent, f"except Exception as e: faults.append(({number}, ({positions}), d{depth}, e))")

    def _list(self, rule: Rule, number: int, depth: int, indent: int) -> None:
        assert rule.each is not None  # noqa: S101
        level = depth + 1
        self._emit(indent, f"l{level} = _items({self._path(rule.each, depth)})")
        if rule.required:
            self._emit(indent, f"_required(l{level} or None)")
        self._emit(indent, f"if l{level} is not None:")
        inside = indent + 1
        self._emit(inside, f"a{level} = []", f"for i{level}, d{level} in enumerate(l{level}):")
        self._emit(inside + 1, "try:")
        if not uses_item(rule):
            self._emit(inside + 2, f"_object(d{level})")
        self._emit(inside + 2, f"w = {f'_truth({self._formula(rule.where, level)})' if rule.where else 'True'}")
        self._caught(number, level, inside + 1)
        self._emit(inside + 1, "else:")
        self._emit(inside + 2, "if not w: continue", f"o{level} = {{}}")
        for inner in rule.rules:
            if not self._collecting or _refers(inner):
                self._rule(inner, level, inside + 2)
        self._emit(inside + 2, f"a{level}.append(o{level})")
        if not self._collecting:
            self._emit(inside, self._place(rule.target, depth, f"a{level}"))

    def _value(self, rule: Rule, depth: int, indent: int) -> None:
        """Emit code that leaves the raw value in `v`."""
        if rule.formula:
            self._emit(indent, f"v = _result({self._formula(rule.formula, depth)})")
        elif rule.has_constant:
            kept = self._keep(rule.constant)
            self._emit(indent, f"v = _plain({kept})" if isinstance(rule.constant, (dict, list)) else f"v = {kept}")
        elif rule.source is not None:
            self._emit(indent, f"v = {self._path(rule.source, depth)}")
            if rule.default is not None:
                self._emit(indent, f"if v is None: v = {self._keep(rule.default)}")
            if rule.function:
                self._emit(indent, f"if v is not None: v = _result({self._call(rule)}(v))")
            elif not rule.convert:
                self._emit(indent, "if v.__class__ is not str: v = _plain(v)")
            return
        else:
            arguments = ", ".join(self._path(path, depth) for path in rule.arguments)
            self._emit(indent, f"v = _result({self._call(rule)}({arguments}))")
        if rule.default is not None:
            self._emit(indent, f"if v is None: v = {self._keep(rule.default)}")
        if rule.function and not rule.arguments:
            self._emit(indent, f"if v is not None: v = _result({self._call(rule)}(v))")

    def _convert(self, rule: Rule, depth: int, indent: int) -> None:
        """Emit the steps from the raw value to the place in the target."""
        if rule.required:
            self._emit(indent, "_required(v)")
        self._emit(indent, "if v is not None:")
        inside = indent + 1
        if rule.lookup:
            self._emit(inside, f"v = {self._keep(self._maps[rule.lookup].get)}(v, {self._keep(rule.column)})")
        early = rule.convert in ("integer", "string")
        if early:
            self._round(rule, inside)
        if rule.convert == "money":
            currency = self._path(rule.currency, depth) if rule.currency is not None else "None"
            self._emit(inside, f"v = _money(v, {currency})")
        elif rule.convert == "id":
            self._emit(inside, "v = _id(v, connection)")
        elif rule.convert:
            self._emit(inside, f"v = _as_{rule.convert}(v)")
        if not early:
            self._round(rule, inside)
        self._finish(rule, depth, indent)

    def _finish(self, rule: Rule, depth: int, indent: int) -> None:
        inside = indent + 1
        if self._collecting:
            self._emit(inside, f"found.append(({self._keep(rule.ref)}, _as_string(v)))")
            return
        if rule.ref:
            self._emit(inside, f"v = _reference(refs, {self._keep(rule.ref)}, v)")
        if rule.max_length:
            self._emit(inside, f"v = _fitted(v, {rule.max_length}, {rule.truncate})")
        self._emit(inside, self._place(rule.target, depth, "v"))
        if rule.keep_null:
            self._emit(indent, f"else: {self._place(rule.target, depth, 'None')}")

    def _round(self, rule: Rule, indent: int) -> None:
        if rule.rounding:
            step = "_rounded_money" if rule.convert == "money" else "_rounded"
            self._emit(indent, f"v = {step}(v, {rule.rounding.places}, {self._keep(rule.rounding.mode)})")

    def _place(self, target: tuple[Segment, ...], depth: int, value: str) -> str:
        if len(target) == 1:
            return f"o{depth}[{self._keep(target[0])}] = {value}"
        return f"_put(o{depth}, {self._keep(target)}, {value})"

    def _path(self, path: FieldPath, depth: int) -> str:
        start, segments = ("d0" if path.root else f"d{depth}"), path.segments
        if not path.root and depth and segments and segments[0] in ("_index", "_item"):
            start, segments = (f"i{depth}" if segments[0] == "_index" else start), segments[1:]
        if not segments:
            return start
        if len(segments) == 1 and isinstance(segments[0], str) and start == "d0":
            return f"d0.get({self._keep(segments[0])})"
        return f"_walk({start}, {self._keep(segments)})"

    def _formula(self, expression: Expression, depth: int) -> str:
        names = ITEM_NAMES if depth else ()
        formula = compile_formula(expression.text, names=names, functions=self._functions, value_maps=self._maps)
        given = f"{{'_index': _Decimal(i{depth})}}" if depth and "_index" in expression.text else self._keep({})
        return f"{self._keep(formula.run)}(d{depth}, d0, {given})"

    def _call(self, rule: Rule) -> str:
        return self._keep(self._functions[rule.function].call)


def _refers(rule: Rule) -> bool:
    return bool(rule.ref) or any(_refers(inner) for inner in rule.rules)


def uses_item(rule: Rule) -> bool:
    """Whether the list holds plain values, read as `_item`."""
    paths = [p for r in rule.rules for p in (r.source, r.each, *r.arguments) if p is not None]
    texts = [e.text for r in (*rule.rules, rule) for e in (r.formula, r.when, r.where) if e]
    return any(p.segments[:1] == ("_item",) for p in paths) or any("_item" in t for t in texts)
