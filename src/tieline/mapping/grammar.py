"""Parse a formula: a small part of Python's expression syntax, read with `ast`; anything else is refused."""

from __future__ import annotations

import ast
import warnings
from decimal import Decimal

from tieline.errors import ConfigurationError
from tieline.mapping.problems import Mark
from tieline.mapping.values import MAX_DIGITS

MAX_CHARACTERS = 2_000
MAX_NODES = 400
MAX_DEPTH = 40
# `$` is no Python name; one letter instead keeps every column in place. NFKC leaves it as it is.
ROOT = "ʘ"

_ALLOWED: tuple[type[ast.AST], ...] = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Call, ast.Name, ast.Attribute,
    ast.Subscript, ast.List, ast.Constant, ast.Load, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.BitAnd, ast.USub,
    ast.UAdd, ast.Not, ast.And, ast.Or, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn,
)  # fmt: skip
_REFUSED: dict[type[ast.AST], str] = {
    ast.Pow: "powers (**) are not part of formulas",
    ast.Mod: "% is not part of formulas",
    ast.FloorDiv: "// is not part of formulas; write floor(a / b)",
    ast.Lambda: "functions cannot be defined in formulas",
    ast.JoinedStr: "f-texts are not part of formulas; join texts with &",
    ast.Is: "write == instead of is",
    ast.IsNot: "write != instead of is not",
    ast.Dict: "braces are not part of formulas",
    ast.Set: "braces are not part of formulas",
    ast.Tuple: "a list is written in square brackets",
    ast.NamedExpr: "nothing can be assigned in a formula",
    ast.Slice: "slices are not part of formulas; use left(), right() or mid()",
    ast.Starred: "* before a value is not part of formulas",
    ast.keyword: "arguments are given by position, without names",
}


class FormulaError(ConfigurationError):
    """A formula that cannot be used. `column` counts from 1 inside `text`; `offset` from 0."""

    def __init__(self, text: str, offset: int, message: str) -> None:
        self.text = text
        self.offset = offset
        self.message = message
        before = text[:offset]
        self.mark = Mark(before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)
        super().__init__(f"{self.mark.line}:{self.mark.column}: {message}")

    @property
    def column(self) -> int:
        return self.mark.column


class Parsed:
    """A formula that holds only what the language knows, with the offsets of its parts."""

    def __init__(self, text: str, source: str, tree: ast.expr) -> None:
        self.text = text
        self.tree = tree
        self._source = source
        self._encoded = source.encode()

    def offset(self, node: ast.AST) -> int:
        """Where a node starts in the text (ast counts bytes, people count letters)."""
        return len(self._encoded[: getattr(node, "col_offset", 0)].decode(errors="ignore"))

    def text_of(self, node: ast.expr) -> str:
        """A part of the formula as it was written."""
        end = len(self._encoded[: node.end_col_offset].decode(errors="ignore"))
        return self.text[self.offset(node) : end]

    def literal(self, node: ast.Constant) -> Decimal:
        """The number as it was written, before anything could make a binary float of it."""
        written = self._encoded[node.col_offset : node.end_col_offset].decode()
        return Decimal(written.replace("_", ""))

    def error(self, node: ast.AST, message: str) -> FormulaError:
        return FormulaError(self.text, self.offset(node), message)


def parse(text: str) -> Parsed:
    """Parse and bound a formula. Raises FormulaError at the first thing that does not belong."""
    if not text.strip():
        raise FormulaError(text, 0, "the formula is empty")
    if len(text) > MAX_CHARACTERS:
        raise FormulaError(text, 0, f"the formula is longer than {MAX_CHARACTERS:,} characters")
    source = _prepared(text)
    parsed = Parsed(text, source, _tree(text, source))
    _bound(parsed)
    return parsed


def _prepared(text: str) -> str:
    """Outside of texts in quotes: `$` becomes a letter, line ends become blanks. Every letter keeps its place."""
    result, quote, at = [], "", 0
    while at < len(text):
        char = text[at]
        if quote:
            if char == "\\":
                raise FormulaError(text, at, "\\ has no meaning in a formula's texts")
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "\r\n\t":
            char = " "
        elif char == "$":
            char = ROOT
        elif char == "#":
            raise FormulaError(text, at, "comments belong outside of the formula")
        result.append(char)
        at += 1
    if quote:
        raise FormulaError(text, text.rfind(quote), "this text has no closing quote")
    return "".join(result)


def _tree(text: str, source: str) -> ast.expr:
    stripped = source.lstrip()
    shift = len(source) - len(stripped)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Leading blanks are an indentation to Python; a parenthesis would hide an unbalanced one.
            tree = ast.parse(stripped.rstrip(), mode="eval")
    except SyntaxError as exc:
        at = min(max((exc.offset or 1) - 1 + shift, 0), max(len(text) - 1, 0))
        if _completes(source):
            end = len(source.rstrip()) - 1
            raise FormulaError(text, end, "the formula ends too early: something is missing") from exc
        raise FormulaError(text, at, _syntax(source, at, str(exc.msg))) from exc
    except (ValueError, MemoryError, RecursionError) as exc:
        raise FormulaError(
            text, 0, "this formula cannot be read: it is nested too deeply or holds a strange letter"
        ) from exc
    for node in ast.walk(tree):
        if shift and hasattr(node, "col_offset"):
            node.col_offset += shift
            node.end_col_offset += shift  # type: ignore[attr-defined]
    return tree.body


def _syntax(source: str, at: int, message: str) -> str:
    if source[at : at + 1] == "=":
        return "write == to compare"
    if source[at : at + 2] in ("&&", "||"):
        return "write `and` and `or`"
    return f"this is not a formula: {message}"


def _completes(source: str) -> bool:
    """Whether one more value would make it a formula."""
    try:
        ast.parse(f"{source.strip()} x", mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True


def _bound(parsed: Parsed) -> None:
    waiting: list[tuple[ast.AST, int]] = [(parsed.tree, 1)]
    seen = 0
    while waiting:
        node, depth = waiting.pop()
        seen += 1
        if seen > MAX_NODES:
            raise parsed.error(parsed.tree, f"the formula has more than {MAX_NODES} parts; split it")
        if depth > MAX_DEPTH:
            raise parsed.error(node, f"the formula is nested more than {MAX_DEPTH} deep")
        _judge(parsed, node)
        waiting.extend((child, depth + 1) for child in ast.iter_child_nodes(node) if not isinstance(child, ast.Load))


def _judge(parsed: Parsed, node: ast.AST) -> None:
    if isinstance(node, _ALLOWED):
        if isinstance(node, ast.Constant):
            _judge_constant(parsed, node)
        name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
        if name.startswith("__"):
            raise parsed.error(node, f"'{name}' is not a field: names do not begin with two underscores")
        return
    for kind, message in _REFUSED.items():
        if isinstance(node, kind):
            raise parsed.error(_placed(parsed, node), message)
    raise parsed.error(_placed(parsed, node), f"{type(node).__name__} is not part of formulas")


def _placed(parsed: Parsed, node: ast.AST) -> ast.AST:
    """The node, or for an operator, which has no place of its own, the expression that holds it."""
    if hasattr(node, "col_offset"):
        return node
    holders = (n for n in ast.walk(parsed.tree) if node in ast.iter_child_nodes(n))
    return next(holders, parsed.tree)


def _judge_constant(parsed: Parsed, node: ast.Constant) -> None:
    value = node.value
    if value is None or isinstance(value, (bool, str)):
        if isinstance(value, str) and parsed.text[parsed.offset(node) : parsed.offset(node) + 1] not in "'\"":
            raise parsed.error(node, "letters before a quote are not part of formulas")
        return
    if isinstance(value, (int, float)):
        try:
            number = parsed.literal(node)
        except ArithmeticError as exc:
            raise parsed.error(node, "numbers are written like 1250 or 0.25") from exc
        if len(number.as_tuple().digits) > MAX_DIGITS or abs(number.adjusted()) > MAX_DIGITS:
            raise parsed.error(node, f"a number has at most {MAX_DIGITS} digits")
        return
    raise parsed.error(node, "only numbers, texts, true, false and blank can be written in a formula")
