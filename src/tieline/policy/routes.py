"""Which connection plays a role for a document: the first route that fits, and the shadows that run beside it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from tieline.errors import ConfigurationError
from tieline.mapping.formula import Formula
from tieline.mapping.operations import truth
from tieline.mapping.problems import Mark, nearest_hint
from tieline.mapping.shapes import JsonSchema
from tieline.mapping.values import Unfit, as_date
from tieline.mapping.yaml_source import Fields, Node, read_yaml, read_yaml_file
from tieline.policy.formulas import Extra, Reader

TABLE_KEYS = ("routes", "version", "owner", "note")
ROUTE_KEYS = ("role", "when", "to", "from_date", "until_date", "shadow", "owner", "note")


class NoRoute(ConfigurationError):
    """No route of the table fits the document."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One line: documents of `role` for which `when` holds go to the connection `to`; both dates are inclusive."""

    role: str
    to: str
    when: Formula | None = None
    from_date: date | None = None
    until_date: date | None = None
    shadow: bool = False
    owner: str = ""
    note: str = ""
    line: int = 0


class Routes(msgspec.Struct, frozen=True):
    """The routing table."""

    routes: tuple[Route, ...]
    version: int = 1
    file: str = ""

    @property
    def connections(self) -> set[str]:
        return {route.to for route in self.routes}

    def route(self, role: str, context: dict[str, Any], *, on: date | None = None) -> str:
        """The connection of the first route that fits.

        `on` is the day that counts; needed when a route of this role has dates. Raises NoRoute, and
        ConfigurationError when a condition cannot be judged: a document must not go to the next-best books.
        """
        for route in self._of(role, shadow=False):
            if self._fits(route, context, on):
                return route.to
        roles = {route.role for route in self.routes}
        if role not in roles:
            raise NoRoute(f"{self.file}: no route has the role '{role}'{nearest_hint(role, roles)}")
        tried = "; ".join(route.when.text if route.when else "always" for route in self._of(role, shadow=False))
        raise NoRoute(f"{self.file}: no route of the role '{role}' fits this document; tried: {tried}")

    def shadows(self, role: str, context: dict[str, Any], *, on: date | None = None) -> list[str]:
        """The connections that are to receive the document beside the authoritative one, without posting."""
        found = [route.to for route in self._of(role, shadow=True) if self._fits(route, context, on)]
        return list(dict.fromkeys(found))

    def _of(self, role: str, *, shadow: bool) -> list[Route]:
        return [route for route in self.routes if route.role == role and route.shadow is shadow]

    def _fits(self, route: Route, context: dict[str, Any], on: date | None) -> bool:
        if route.from_date or route.until_date:
            if on is None:
                raise ConfigurationError(f"{self.file}:{route.line}: this route has dates; routing needs a day")
            if (route.from_date and on < route.from_date) or (route.until_date and on > route.until_date):
                return False
        try:
            return route.when is None or truth(route.when.run(context, context, {}))
        except Unfit as exc:
            text = route.when.text if route.when else ""
            raise ConfigurationError(f"{self.file}:{route.line}: `{text}` could not be judged: {exc}") from exc


def load_routes(
    source: Path | str, *, functions: Extra | None = None, schema: JsonSchema | None = None, file: str = ""
) -> Routes:
    """Read a routing table from a file or a text. Raises ProblemsFound with everything wrong in it."""
    root, problems = read_yaml_file(source) if isinstance(source, Path) else read_yaml(source, file or "<text>")
    fields = Fields(root, problems, "a routing table")
    fields.only(TABLE_KEYS)
    fields.require("routes")
    reader = Reader(problems, functions, schema, None)
    routes = [_route(node, reader, fields.text("owner")) for node in fields.items("routes")]
    _unreachable(routes, reader)
    problems.raise_if_any()
    return Routes(tuple(routes), fields.integer("version", 1), problems.file)


def _route(node: Node, reader: Reader, owner: str) -> Route:
    fields = Fields(node, reader.problems, "a route")
    fields.only(ROUTE_KEYS)
    fields.require("role")
    fields.require("to")
    return Route(
        role=fields.text("role"), to=fields.text("to"), when=reader.formula(fields, "when", truth=True),
        from_date=_date(fields, "from_date"), until_date=_date(fields, "until_date"), shadow=fields.flag("shadow"),
        owner=fields.text("owner") or owner, note=fields.text("note"), line=node.mark.line,
    )  # fmt: skip


def _date(fields: Fields, key: str) -> date | None:
    text = fields.text(key)
    try:
        return as_date(text) if text else None
    except Unfit as exc:
        fields.problems.add(fields.mark(key), f"'{text}' {exc}")
        return None


def _unreachable(routes: list[Route], reader: Reader) -> None:
    """A route behind one that always fits is never taken: nearly always a mistake of order."""
    always: dict[str, Route] = {}
    for route in routes:
        if route.shadow:
            continue
        if route.role in always:
            first = always[route.role].line
            reader.problems.add(Mark(route.line), f"this route is never taken: the one on line {first} always fits")
        elif route.when is None and not route.from_date and not route.until_date:
            always[route.role] = route
