"""How a process goes, read from the text that defines it: what starts it, and in order what it does and waits for.

The text is read, never run. The invariant: a box stands for a call that the text makes; what cannot be told from the
text alone (which branch is taken, how often) is marked, not guessed.
"""

from __future__ import annotations

import ast
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

from tieline.domain import KINDS
from tieline.engine.process import Process
from tieline.engine.records import JournalEntry

DEEPEST = 6
"""Functions that call functions: so many levels are followed."""
_KIND_OF = {kind: name for name, kind in KINDS.items()}


class FlowStep(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a process does: step, ensure, perform, publish, record, wait, case or link.

    `says` is the first line of what the text says of a step's function. `name` is the function, the kind of document,
    the event or the class of case, "" where the text does not tell; `where` the role of the system ("billing"), `tells`
    the event that a record publishes. `sometimes`: under a condition; `many`: for each of several. `undoes`: only when
    the run is cancelled.
    """

    does: str
    name: str
    says: str = ""
    where: str = ""
    action: str = ""
    tells: str = ""
    sometimes: bool = False
    many: bool = False
    undoes: bool = False

    def is_of(self, entry: JournalEntry) -> bool:
        """Whether a journal entry is of this step."""
        match self.does:
            case "step" | "publish":
                return (entry.kind, entry.name) == (self.does, self.name)
            case "wait":
                return entry.kind == "wait" and entry.name.startswith(f"{self.name}:")
            case "record":
                return entry.kind == "record" and entry.name.partition("/")[0] == self.name
            case "link":
                return entry.kind == "link" and _kind(entry.name) == self.name
            case "ensure" | "perform":
                deed = f" ({self.action})" if self.action else ""
                return entry.kind == "effect" and _kind(entry.name) == self.name + deed
        return False


def flow_of(process: Process) -> list[FlowStep]:
    """What a process does, in the order of its text, each thing once."""
    reader = _Reader(process.source.text, process.function.__globals__)
    return reader.read(process.function.__name__)


def step_words(step: FlowStep) -> str:
    """What a step does, in a few words."""
    kind = step.name.replace("_", " ")
    match step.does:
        case "ensure":
            return f"write {kind or 'document'}"
        case "perform":
            return f"{step.action} {kind}".strip()
        case "publish":
            return f"tell {step.name}" if step.name else "tell an event"
        case "record":
            return f"keep {kind}" + (f", tell {step.tells}" if step.tells else "")
        case "wait":
            return f"wait for {step.name}"
        case "case":
            return f"ask a person: {step.name.replace('-', ' ')}" if step.name else "ask a person"
        case "link":
            return f"link a {kind} that was found"
    return kind


def systems_of(step: FlowStep, entries: Sequence[JournalEntry]) -> list[str]:
    """The connections that a step of runs went to."""
    return sorted({entry.name.partition("/")[0] for entry in entries if step.is_of(entry)})


def _kind(effect: str) -> str:
    """`erp/order/k-1 (withdraw)` → `order (withdraw)`"""
    parts = effect.split("/")
    deed = effect[effect.rindex(" (") :] if effect.endswith(")") and " (" in effect else ""
    return (parts[1] if len(parts) > 1 else "") + deed


class _Context(msgspec.Struct, frozen=True):
    sometimes: bool = False
    many: bool = False
    undoes: bool = False


class _Scope(msgspec.Struct):
    """A function that is read: what its run is called, and the types of its variables as far as they are told."""

    run: str
    types: dict[str, tuple[type, ...]]
    depth: int


class _Reader:
    def __init__(self, text: str, names: Mapping[str, Any]) -> None:
        tree = ast.parse(text)
        self._names = names
        self._functions = {
            node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        self._steps: dict[tuple[str, ...], FlowStep] = {}

    def read(self, function: str) -> list[FlowStep]:
        if function in self._functions:
            self._function(function, 0, _Context())
        return list(self._steps.values())

    def _function(self, name: str, depth: int, context: _Context) -> None:
        node = self._functions[name]
        parameters = [*node.args.posonlyargs, *node.args.args]
        if not parameters or depth > DEEPEST:
            return
        told = {p.arg: self._annotated(p.annotation) for p in parameters}
        scope = _Scope(parameters[0].arg, told, depth)
        for statement in node.body:
            self._visit(statement, scope, context)

    def _visit(self, node: ast.AST, scope: _Scope, context: _Context) -> None:
        """In the order in which the text is carried out: arguments before the call, conditions before branches."""
        match node:
            case ast.If() | ast.While():
                self._visit(node.test, scope, context)
                inner = msgspec.structs.replace(context, sometimes=True)
                self._all([*node.body, *node.orelse], scope, inner)
            case ast.For() | ast.AsyncFor():
                self._visit(node.iter, scope, context)
                self._learn(node.target, (), scope)
                self._all(node.body, scope, msgspec.structs.replace(context, many=True))
            case ast.GeneratorExp() | ast.ListComp():
                self._visit(node.elt, scope, msgspec.structs.replace(context, many=True))
            case ast.AnnAssign() if node.value is not None:
                self._visit(node.value, scope, context)
                self._learn(node.target, self._annotated(node.annotation), scope)
            case ast.Assign():
                self._visit(node.value, scope, context)
                self._learn(node.targets[0], self._types(node.value, scope), scope)
            case ast.Call():
                self._call(node, scope, context)
            case ast.Lambda() | ast.FunctionDef() | ast.AsyncFunctionDef():
                pass  # carried out by whoever calls it
            case _:
                self._all(list(ast.iter_child_nodes(node)), scope, context)

    def _all(self, nodes: Sequence[ast.AST], scope: _Scope, context: _Context) -> None:
        for node in nodes:
            self._visit(node, scope, context)

    def _call(self, node: ast.Call, scope: _Scope, context: _Context) -> None:
        called = node.func
        if isinstance(called, ast.Attribute) and _is_name(called.value, scope.run):
            if called.attr == "compensate_with":
                for made in node.args:
                    if isinstance(made, ast.Lambda):
                        self._visit(made.body, scope, msgspec.structs.replace(context, undoes=True))
                return
            self._note(called.attr, node.args, scope, context)
            return
        self._all([*node.args, *(keyword.value for keyword in node.keywords)], scope, context)
        if isinstance(called, ast.Name) and called.id in self._functions and _gets(node, scope.run):
            self._function(called.id, scope.depth + 1, context)

    # --- one step -----------------------------------------------------------------------------------------------------

    def _note(self, does: str, args: list[ast.expr], scope: _Scope, context: _Context) -> None:
        marks = msgspec.structs.asdict(context)
        match does, args:
            case "step", [function, *_]:
                self._keep(FlowStep(does=does, name=_last(function), says=self._says(_last(function)), **marks))
            case "ensure", [where, document, *_]:
                self._keep(FlowStep(does=does, name=self._kind(document, scope), where=_role(where), **marks))
            case "perform", [where, action, document, *_]:
                deed = str(action.value) if isinstance(action, ast.Constant) else ""
                kind = self._kind(document, scope)
                self._keep(FlowStep(does=does, name=kind, where=_role(where), action=deed, **marks))
            case "publish", [event, *_]:
                self._keep(FlowStep(does=does, name=self._event(event, scope), **marks))
            case "record", [entity, news]:
                told = self._event(news.body, scope) if isinstance(news, ast.Lambda) else ""
                self._keep(FlowStep(does=does, name=self._kind(entity, scope), tells=told, **marks))
            case "wait", [event, *_]:
                self._keep(FlowStep(does=does, name=_last(event), **marks))
            case (("case" | "approval"), [problem, *_]):
                marks["sometimes"] = True
                self._keep(FlowStep(does="case", name=self._case_class(problem), **marks))
            case "link", [_, kind, *_]:
                marks["sometimes"] = True
                self._keep(FlowStep(does=does, name=self._kind_text(kind, scope), **marks))

    def _keep(self, step: FlowStep) -> None:
        self._steps.setdefault((step.does, step.name, step.action, step.where if step.does == "ensure" else ""), step)

    def _says(self, function: str) -> str:
        node = self._functions.get(function)
        return ((ast.get_docstring(node) if node else "") or "").partition("\n")[0]

    def _kind(self, document: ast.expr, scope: _Scope) -> str:
        return next((_KIND_OF[t] for t in self._types(document, scope) if t in _KIND_OF), "")

    def _kind_text(self, kind: ast.expr, scope: _Scope) -> str:
        if isinstance(kind, ast.Call) and kind.args:
            return self._kind(kind.args[0], scope)
        return str(kind.value) if isinstance(kind, ast.Constant) else ""

    def _event(self, made: ast.expr, scope: _Scope) -> str:
        return next((t.__name__ for t in self._types(made, scope)), "")

    def _case_class(self, problem: ast.expr) -> str:
        """What a Problem is made with, here or in the function that makes it."""
        if isinstance(problem, ast.Call) and isinstance(problem.func, ast.Name) and problem.func.id in self._functions:
            problem_calls: Iterator[ast.AST] = ast.walk(self._functions[problem.func.id])
        else:
            problem_calls = ast.walk(problem)
        for node in problem_calls:
            if isinstance(node, ast.keyword) and node.arg == "case_class" and isinstance(node.value, ast.Constant):
                return str(node.value.value)
        return ""

    # --- types, as far as the text tells them -------------------------------------------------------------------------

    def _learn(self, target: ast.expr, told: tuple[type, ...], scope: _Scope) -> None:
        if isinstance(target, ast.Name) and (told or target.id not in scope.types):
            scope.types[target.id] = told

    def _types(self, node: ast.expr, scope: _Scope) -> tuple[type, ...]:
        match node:
            case ast.Name():
                return scope.types.get(node.id, ())
            case ast.Await():
                return self._types(node.value, scope)
            case ast.Attribute():
                owners = self._types(node.value, scope)
                return tuple(t for owner in owners for t in _parts(_hints(owner).get(node.attr)))
            case ast.Call(func=ast.Attribute(attr="replace")) if node.args:
                return self._types(node.args[0], scope)
            case ast.Call(func=ast.Name(id=name)):
                made = self._names.get(name)
                return (made,) if isinstance(made, type) else _parts(_hints(made).get("return"))
        return ()

    def _annotated(self, annotation: ast.expr | None) -> tuple[type, ...]:
        match annotation:
            case ast.Name():
                found = self._names.get(annotation.id)
                return (found,) if isinstance(found, type) else ()
            case ast.BinOp():
                return (*self._annotated(annotation.left), *self._annotated(annotation.right))
        return ()


def _parts(hint: Any) -> tuple[type, ...]:
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(part for one in get_args(hint) for part in _parts(one))
    return (hint,) if isinstance(hint, type) and hint is not type(None) else ()


def _hints(of: Any) -> dict[str, Any]:
    try:
        return get_type_hints(of) if of is not None else {}
    except (NameError, TypeError, AttributeError):
        return {}


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _gets(node: ast.Call, name: str) -> bool:
    return bool(node.args) and _is_name(node.args[0], name)


def _last(node: ast.expr) -> str:
    """`parties.erp` → `erp`."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _role(node: ast.expr) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else _last(node)
