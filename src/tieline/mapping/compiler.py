"""Check a parsed formula and write it as Python: one walk that types each part and emits its code."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from tieline.mapping.grammar import ROOT, Parsed
from tieline.mapping.operations import clean
from tieline.mapping.paths import FieldPath
from tieline.mapping.problems import nearest_hint
from tieline.mapping.shapes import (
    ANYTHING,
    BLANK,
    BOOLEAN,
    NUMBER,
    TEXT,
    Shape,
    follow,
    list_of,
    union,
)  # fmt: skip
from tieline.mapping.signatures import Function
from tieline.mapping.values import Unfit, as_date, to_decimal

_CONSTANT_NAMES = {"true": True, "false": False, "blank": None}
_ARITHMETIC = {ast.Add: "_add", ast.Sub: "_sub", ast.Mult: "_mul", ast.Div: "_div"}
_ORDER = {ast.Lt: "_lt({0}, {1})", ast.LtE: "_le({0}, {1})", ast.Gt: "_lt({1}, {0})", ast.GtE: "_le({1}, {0})"}
_OTHER = {ast.Eq: "_eq({0}, {1})", ast.NotEq: "(not _eq({0}, {1}))"}
_OTHER |= {ast.In: "_in({0}, {1})", ast.NotIn: "(not _in({0}, {1}))"}


class Maps(Protocol):
    """A value map as formulas see it: its columns, and the value of a key."""

    @property
    def columns(self) -> frozenset[str]: ...

    def get(self, key: Any, column: str = "") -> Any: ...


ValueMaps = Mapping[str, Maps]


class Issue(msgspec.Struct, frozen=True):
    """Something wrong at an offset of the formula's text."""

    offset: int
    message: str


class Scope(NamedTuple):
    """What names mean: the fields of `item`, `$.` the fields of `root`, and the caller's own `names`."""

    item: Shape
    root: Shape
    names: Mapping[str, Shape]
    prefix: tuple[str, ...] | None = ()


class Part(NamedTuple):
    code: str
    shape: Shape


class Compiler:
    """Walks one formula. `issues`, `reads` and `constants` are complete after `compile`."""

    def __init__(self, parsed: Parsed, functions: Mapping[str, Function], maps: ValueMaps | None) -> None:
        self.parsed = parsed
        self.functions = functions
        self.maps = maps
        self.issues: list[Issue] = []
        self.reads: list[FieldPath] = []
        self.constants: dict[str, Any] = {}
        self._kept = 0

    def compile(self, scope: Scope) -> Part:
        return self.part(self.parsed.tree, scope)

    def part(self, node: ast.expr, scope: Scope) -> Part:
        match node:
            case ast.Constant():
                return self.constant(node)
            case ast.Name() | ast.Attribute():
                return self.field(node, scope)
            case ast.BinOp():
                return self.arithmetic(node, scope)
            case ast.UnaryOp():
                return self.unary(node, scope)
            case ast.BoolOp():
                return self.logic(node, scope)
            case ast.Compare():
                return self.comparison(node, scope)
            case ast.IfExp():
                return self.choice(node, scope)
            case ast.List():
                parts = [self.part(item, scope) for item in node.elts]
                item = union(*(p.shape for p in parts)) if parts else ANYTHING
                return Part(f"[{', '.join(p.code for p in parts)}]", list_of(item))
            case ast.Subscript():
                return self.position(node, scope)
            case ast.Call():
                return self.call(node, scope)
        raise self.parsed.error(node, f"{type(node).__name__} is not part of formulas")

    def issue(self, node: ast.AST, message: str) -> None:
        found = Issue(self.parsed.offset(node), message)
        if found not in self.issues:
            self.issues.append(found)

    def keep(self, value: Any, prefix: str = "k") -> str:
        name = f"_{prefix}{len(self.constants)}"
        self.constants[name] = value
        return name

    def constant(self, node: ast.Constant) -> Part:
        if node.value is None or isinstance(node.value, bool):
            return Part(repr(node.value), BLANK if node.value is None else BOOLEAN)
        if isinstance(node.value, str):
            return Part(self.keep(node.value), TEXT)
        return Part(self.keep(self.parsed.literal(node)), NUMBER)

    # --- fields

    def field(self, node: ast.Name | ast.Attribute, scope: Scope) -> Part:
        names: list[str] = []
        base: ast.expr = node
        while isinstance(base, ast.Attribute):
            names.insert(0, base.attr)
            base = base.value
        if not isinstance(base, ast.Name):
            inner = self.part(base, scope)
            return self.path(node, inner.code, inner.shape, tuple(names))
        if base.id == ROOT:
            return self.start(node, "r", scope.root, tuple(names), FieldPath(tuple(names), root=True))
        if base.id in _CONSTANT_NAMES and not names:
            value = _CONSTANT_NAMES[base.id]
            return Part(repr(value), BLANK if value is None else BOOLEAN)
        if base.id in scope.names:
            return self.path(node, f"n[{self.keep(base.id)}]", scope.names[base.id], tuple(names), clean=True)
        if base.id == "_item":
            return self.path(node, "d", scope.item, tuple(names), clean=True)
        whole = (base.id, *names)
        read = FieldPath((*scope.prefix, *whole)) if scope.prefix is not None else None
        return self.start(node, "d", scope.item, whole, read, scope.names)

    def start(
        self, node: ast.expr, code: str, shape: Shape, names: tuple[str, ...], read: FieldPath | None,
        also: Mapping[str, Shape] | None = None,
    ) -> Part:  # fmt: skip
        if read is not None and read not in self.reads:
            self.reads.append(read)
        if names and names[0] in self.functions and not shape.is_any and shape.field(names[0]) is None:
            self.issue(node, f"{names[0]} is a function: write {names[0]}(…)")
            return Part("None", ANYTHING)
        if also and not shape.is_any and len(names) == 1 and shape.field(names[0]) is None:
            known = [*shape.names, *also]
            self.issue(node, f"unknown field '{names[0]}'{nearest_hint(names[0], known)}")
            return Part("None", ANYTHING)
        return self.path(node, code, shape, names)

    def path(self, node: ast.expr, code: str, shape: Shape, names: tuple[str, ...], *, clean: bool = False) -> Part:
        if not names:
            return Part(f"_clean({code})" if clean else code, shape)
        found = follow(shape, names, through_lists=True)
        if isinstance(found, str):
            self.issue(node, found)
            found = ANYTHING
        return Part(f"_path({code}, {self.keep(names)})", found)

    def position(self, node: ast.Subscript, scope: Scope) -> Part:
        inner = self.part(node.value, scope)
        at = node.slice.value if isinstance(node.slice, ast.Constant) else None
        if type(at) is not int or at > 9_999:
            self.issue(node.slice, "a position is a whole number, as in lines[0]")
            return Part("None", ANYTHING)
        self.expect(node, inner.shape, Shape({"list"}), "a position in square brackets")
        return Part(f"_at({inner.code}, {at})", inner.shape.item)

    # --- operators

    def arithmetic(self, node: ast.BinOp, scope: Scope) -> Part:
        left, right = self.part(node.left, scope), self.part(node.right, scope)
        if isinstance(node.op, ast.BitAnd):
            for side, part in ((node.left, left), (node.right, right)):
                if part.shape.solid <= {"list", "object"} and part.shape.solid:
                    self.issue(side, f"& joins texts, and this is {part.shape}")
            return Part(f"_join({left.code}, {right.code})", TEXT)
        if isinstance(node.op, ast.Add) and left.shape.solid == right.shape.solid == {"text"}:
            self.issue(node, "+ adds numbers; texts are joined with &")
            return Part("None", TEXT)
        sign = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}[type(node.op)]
        self.expect(node.left, left.shape, NUMBER, f"left of {sign}")
        self.expect(node.right, right.shape, NUMBER, f"right of {sign}")
        return Part(f"{_ARITHMETIC[type(node.op)]}({left.code}, {right.code})", NUMBER)

    def unary(self, node: ast.UnaryOp, scope: Scope) -> Part:
        inner = self.part(node.operand, scope)
        if isinstance(node.op, ast.Not):
            self.expect(node.operand, inner.shape, BOOLEAN, "after `not`")
            return Part(f"(not _truth({inner.code}))", BOOLEAN)
        self.expect(node.operand, inner.shape, NUMBER, "after the sign")
        return Part(f"_{'neg' if isinstance(node.op, ast.USub) else 'num'}({inner.code})", NUMBER)

    def logic(self, node: ast.BoolOp, scope: Scope) -> Part:
        word = "and" if isinstance(node.op, ast.And) else "or"
        parts = []
        for value in node.values:
            part = self.part(value, scope)
            self.expect(value, part.shape, BOOLEAN, f"beside `{word}`")
            parts.append(f"_truth({part.code})")
        return Part(f"({f' {word} '.join(parts)})", BOOLEAN)

    def choice(self, node: ast.IfExp, scope: Scope) -> Part:
        test, yes, no = (self.part(n, scope) for n in (node.test, node.body, node.orelse))
        self.expect(node.test, test.shape, BOOLEAN, "after `if`")
        return Part(f"({yes.code} if _truth({test.code}) else {no.code})", union(yes.shape, no.shape))

    def comparison(self, node: ast.Compare, scope: Scope) -> Part:
        sides = [node.left, *node.comparators]
        parts = [self.part(side, scope) for side in sides]
        tests = []
        left = parts[0].code
        for at, operator in enumerate(node.ops):
            self.comparable(operator, sides[at], sides[at + 1], parts[at].shape, parts[at + 1].shape)
            right = held = parts[at + 1].code
            if at + 1 < len(node.ops):
                # Written once, so that chains inside chains do not double the code at each level.
                name = f"t{self._kept}"
                self._kept += 1
                held, right = name, f"({name} := {right})"
            tests.append((_ORDER | _OTHER)[type(operator)].format(left, right))
            left = held
        return Part(f"({' and '.join(tests)})", BOOLEAN)

    def comparable(self, operator: ast.cmpop, left: ast.expr, right: ast.expr, a: Shape, b: Shape) -> None:
        if isinstance(operator, (ast.In, ast.NotIn)):
            if not b.is_any and not b.solid & {"list", "text"}:
                self.issue(right, f"`in` needs a list or a text, and this is {b}")
            elif "list" in b.kinds and isinstance(right, ast.List):
                for item in right.elts:
                    self.chosen(item, a)
            return
        if a.is_any or b.is_any or not a.solid or not b.solid:
            return
        ordering = isinstance(operator, (ast.Lt, ast.LtE, ast.Gt, ast.GtE))
        if ordering and (a.solid | b.solid) & {"list", "object"}:
            self.issue(left, f"{a} and {b} have no order")
        elif not _meet(a, b) or not self.literals_fit(left, right, a, b):
            self.issue(left, f"{a} and {b} never agree here")
        self.chosen(right, a)
        self.chosen(left, b)

    def literals_fit(self, left: ast.expr, right: ast.expr, a: Shape, b: Shape) -> bool:
        """Whether a text written beside a number or date could be one."""
        for node, shape in ((right, a), (left, b)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                reads = {"number": to_decimal, "date": as_date, "datetime": as_date}
                wanted = [reads[k] for k in shape.solid if k in reads]
                if wanted and "text" not in shape.solid and not any(_accepts(read, node.value) for read in wanted):
                    return False
        return True

    def chosen(self, node: ast.expr, other: Shape) -> None:
        """Report a text that is none of the values its counterpart can have."""
        if not other.choices or other.solid != {"text"}:
            return
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in other.choices:
            hint = nearest_hint(node.value, other.choices)
            self.issue(node, f"'{node.value}' is none of {', '.join(sorted(other.choices))}{hint}")

    # --- calls

    def call(self, node: ast.Call, scope: Scope) -> Part:
        if not isinstance(node.func, ast.Name):
            self.issue(node.func, "only functions of the language can be called")
            return Part("None", ANYTHING)
        name = node.func.id
        if name == "lookup":
            return self.lookup(node, scope)
        if name == "field":
            return self.named_field(node, scope)
        known = self.functions.get(name)
        if known is None:
            self.issue(node, f"unknown function '{name}'{nearest_hint(name, [*self.functions, 'lookup', 'field'])}")
            return Part("None", ANYTHING)
        if wrong := known.wrong_count(len(node.args)):
            self.issue(node, wrong)
            return Part("None", known.gives)
        if known.item_wise:
            return self.item_wise(node, known, scope)
        parts = [self.part(argument, scope) for argument in node.args]
        for at, (argument, part) in enumerate(zip(node.args, parts, strict=True)):
            parameter = known.parameter(at)
            if parameter is not None:
                self.expect(argument, part.shape, parameter.shape, f"as argument {at + 1} of {known.signature}")
        codes = [f"(lambda: {p.code})" if known.lazy else p.code for p in parts]
        gives = _given(known, [p.shape for p in parts])
        if known.group:
            return Part(f"{self.keep(known.call, 'f')}({', '.join(codes)})", gives)
        return Part(f"{self.keep(_guarded(known), 'f')}({', '.join(codes)})", gives)

    def item_wise(self, node: ast.Call, known: Function, scope: Scope) -> Part:
        """`sum(lines, amount, kind == "usage")`: the second and third argument see the fields of each item."""
        items = self.part(node.args[0], scope)
        self.expect(node.args[0], items.shape, Shape({"list"}), f"as argument 1 of {known.signature}")
        inner = Scope(items.shape.item, scope.root, scope.names, self._prefix(node.args[0], scope))
        parts = [self.part(argument, inner) for argument in node.args[1:]]
        for at, (argument, part) in enumerate(zip(node.args[1:], parts, strict=True)):
            parameter = known.parameter(at + 1)
            if parameter is not None:
                self.expect(argument, part.shape, parameter.shape, f"as argument {at + 2} of {known.signature}")
        value = parts[0].shape if parts else items.shape.item
        if known.name == "sum":
            self.expect(node.args[min(1, len(parts))], value, NUMBER, "inside sum()")
        lambdas = [f"lambda d: {p.code}" for p in parts]
        source = f"_picked({items.code}, {', '.join([*lambdas, 'None'][:2])})" if parts else f"_rows({items.code})"
        gives = value if known.name == "first" else list_of(value) if "list" in known.gives.kinds else known.gives
        return Part(f"{self.keep(known.call, 'f')}({source})", gives)

    def _prefix(self, node: ast.expr, scope: Scope) -> tuple[str, ...] | None:
        names: list[str] = []
        while isinstance(node, ast.Attribute):
            names.insert(0, node.attr)
            node = node.value
        if isinstance(node, ast.Name) and scope.prefix is not None and node.id not in scope.names and node.id != ROOT:
            return (*scope.prefix, node.id, *names)
        return None

    def lookup(self, node: ast.Call, scope: Scope) -> Part:
        """`lookup("terms", payment_terms, "netsuite")`: the value of a key in a value map."""
        name = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
        column = node.args[2].value if len(node.args) == 3 and isinstance(node.args[2], ast.Constant) else ""
        if not 2 <= len(node.args) <= 3 or not isinstance(name, str) or not isinstance(column, str):
            self.issue(node, 'lookup() is written lookup("map", key) or lookup("map", key, "column")')
            return Part("None", ANYTHING)
        key = self.part(node.args[1], scope)
        self.expect(node.args[1], key.shape, Shape({"text", "number", "boolean"}), "as the key of lookup()")
        if self.maps is None or name not in self.maps:
            self.issue(node.args[0], f"unknown value map '{name}'{nearest_hint(name, self.maps or ())}")
            return Part("None", ANYTHING)
        if problem := column_problem(name, self.maps[name].columns, column):
            self.issue(node.args[-1], problem)
        find = self.keep(self.maps[name].get, "f")
        return Part(f"_clean({find}({key.code}, {self.keep(column)}))", ANYTHING)

    def named_field(self, node: ast.Call, scope: Scope) -> Part:
        """`field("Invoice Number")`: a field whose name is no plain word."""
        name = node.args[0].value if len(node.args) == 1 and isinstance(node.args[0], ast.Constant) else None
        if not isinstance(name, str):
            self.issue(node, 'field() is written field("Invoice Number")')
            return Part("None", ANYTHING)
        read = FieldPath((*scope.prefix, name)) if scope.prefix is not None else None
        return self.start(node, "d", scope.item, (name,), read)

    def expect(self, node: ast.expr, found: Shape, wanted: Shape, where: str) -> None:
        if found.is_any or wanted.is_any or not found.solid or found.kinds & wanted.kinds - {"blank"}:
            return
        self.issue(node, f"this is {found}, and {where} {_words(wanted)} is needed")


def column_problem(name: str, columns: frozenset[str], column: str) -> str:
    """A sentence when a value map cannot answer for this column."""
    if column and column not in columns:
        return f"value map '{name}' has no column '{column}'{nearest_hint(column, columns)}"
    if columns and not column:
        return f"value map '{name}' has several columns; name one of {', '.join(sorted(columns))}"
    return ""


def _guarded(known: Function) -> Callable[..., Any]:
    """A registered function whose errors are ours, and whose numbers are exact."""

    def call(*arguments: Any) -> Any:
        try:
            return clean(known.call(*arguments))
        except Unfit:
            raise
        except Exception as exc:  # whatever a registered function raises, the document is what cannot be read
            raise Unfit(f"{known.name}() failed: {exc or type(exc).__name__}") from exc

    return call


def _words(shape: Shape) -> str:
    return "yes or no" if shape.solid == {"boolean"} else str(shape)


def _meet(a: Shape, b: Shape) -> bool:
    # Texts may read as numbers or dates; a date and a moment compare by day.
    loose = {"text", "number"}, {"text", "date", "datetime"}
    return bool(a.solid & b.solid) or any(a.solid & group and b.solid & group for group in loose)


def _accepts(read: Any, value: str) -> bool:
    try:
        read(value)
    except Unfit:
        return False
    return True


def _given(known: Function, arguments: list[Shape]) -> Shape:
    """min, max, coalesce and if_error give what they are given."""
    if known.name in ("min", "max") and len(arguments) == 1 and "list" in arguments[0].kinds:
        return arguments[0].item
    if known.name in ("min", "max", "coalesce", "if_error") and known.group:
        return union(*arguments)
    return known.gives
