"""The pages together: what they are made from, and where they stand.

A page is a `Section`: its place in the navigation and its handlers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import msgspec
from litestar import Request, Response
from litestar.datastructures import Cookie, State
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler
from litestar.utils.scope.state import ScopeState
from markupsafe import Markup

from tieline.app.principal import Permission, Principal
from tieline.web import present

HERE = Path(__file__).parent
HEADERS = {"Cache-Control": "no-store"}
"""What a page says beside the headers of every answer (tieline.web.headers)."""
HTML = "text/html"

WebRequest = Request[Principal | None, Any, State]


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the control room. `title` is its name in the navigation, "" for none."""

    title: str
    path: str
    handlers: Sequence[ControllerRouterHandler]


class Site:
    """Draws pages: a template, what it shows, and what every page carries."""

    def __init__(self, project: str, sections: Sequence[Section], *, demo: bool = False) -> None:
        self._templates = _templates()
        self._sections = [section for section in sections if section.title]
        self._project, self._demo = project, demo

    def page(self, request: WebRequest, template: str, *, status: int = 200, **shown: Any) -> Response[str]:
        """A whole page."""
        text = self._templates.get_template(template).render(
            project=self._project,
            demo=self._demo,
            sections=self._sections,
            **self._common(request),
            **shown,
        )
        return Response(text, media_type=HTML, status_code=status, headers=HEADERS)

    def part(self, request: WebRequest, template: str, *, status: int = 200, **shown: Any) -> Response[str]:
        """A piece of a page, for replacing what stands there (htmx)."""
        text = self._templates.get_template(template).render(**self._common(request), **shown)
        return Response(text, media_type=HTML, status_code=status, headers=HEADERS)

    def shared(self, template: str, locale: str, **shown: Any) -> str:
        """A piece that is the same for everybody who writes numbers like this: it knows neither user nor page."""
        present.LOCALE.set(locale)
        return self._templates.get_template(template).render(now=datetime.now(UTC), **shown)

    def _common(self, request: WebRequest) -> dict[str, Any]:
        present.LOCALE.set(reader_locale(request))
        user = request.scope.get("user")
        return {
            "now": datetime.now(UTC),
            "here": request.url.path,
            "user": user,
            "may": lambda right: isinstance(user, Principal) and user.may(Permission(right)),
            "csrf": _csrf_field(request),
            "with_query": lambda **changed: with_query(request, changed),
        }


def go_to(address: str, *cookies: Cookie) -> Redirect:
    """Send the browser on: after a form, so that loading the page again sends nothing twice."""
    return Redirect(address, status_code=303, headers=HEADERS, cookies=cookies or None)


def fields(form: Mapping[str, Any], begin: str) -> dict[str, str]:
    """Those fields of a form whose names begin so, without that beginning."""
    return {name.removeprefix(begin): str(form[name]) for name in form if name.startswith(begin)}


def reader_locale(request: WebRequest) -> str:
    """How the reader's browser writes numbers."""
    return present.locale_of(request.headers.get("accept-language", ""))


def with_query(request: WebRequest, changed: Mapping[str, object]) -> str:
    """This page's address with some of its query changed: for filters and pages. None or "" takes a key away."""
    held: dict[str, Any] = {**request.query_params.dict(), **changed}
    kept = {key: value for key, value in held.items() if value not in (None, "", [""])}
    address = request.url.with_replacements(query="").path
    return f"{address}?{present.query(kept)}" if kept else address


def _csrf_field(request: WebRequest) -> Markup:
    """The hidden field that every form of a page carries."""
    token = ScopeState.from_scope(request.scope).csrf_token
    return Markup('<input type="hidden" name="_csrf_token" value="{}">').format(token if isinstance(token, str) else "")


def _templates() -> jinja2.Environment:
    """The templates, with everything escaped and every name that a template misses an error."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "money": present.money,
        "figure": present.figure,
        "rate": present.rate,
        "took": present.took,
        "exact": present.exact,
        "system": present.system,
        "kind": present.kind,
        "state": present.state,
        "pretty": present.pretty,
        "browser": present.browser,
    }
    made.globals["ago"] = present.ago
    return made
