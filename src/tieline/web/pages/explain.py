"""Explain: any number of any document, back through its rules to the record that a person typed."""

from __future__ import annotations

import re
from pathlib import Path

from litestar import Response, get
from litestar.params import FromPath, FromQuery
from markupsafe import Markup, escape

from tieline.app.vendor_pages import vendor_page
from tieline.app.views.explain import explain_document
from tieline.app.views.words import APPROVAL
from tieline.engine.records import CaseRow
from tieline.web.given import TheDesk, TheSite
from tieline.web.pages.deals import deal_path, document_path, explain_path, rule_path
from tieline.web.site import Section, WebRequest

_EVENT = re.compile(r"#(\d+)")


@get("/explain/{connection:str}/{kind:str}/{document:str}")
async def explain(
    request: WebRequest,
    desk: TheDesk,
    site: TheSite,
    connection: FromPath[str],
    kind: FromPath[str],
    document: FromPath[str],
    field: FromQuery[str] = "",
) -> Response[str]:
    """Every field of a document, or the whole way of one."""
    view = desk.view
    lineage = await explain_document(view, connection, kind, document, field)
    run = await view.store.run(lineage.run_id)
    deal = run.correlation_id if run else ""
    cases = await view.store.cases(correlation_id=deal) if deal else []
    return site.page(
        request,
        "explain/explain.html",
        lineage=lineage,
        field=field,
        deal=deal,
        approvals=[case for case in cases if _approved(case)],
        at_vendor=vendor_page(desk.project, connection, lineage.kind, lineage.external_id),
        with_links=with_links,
        rule_path=rule_path,
        table_file=table_file,
        explain_path=explain_path,
        document_path=document_path,
        deal_path=deal_path,
    )


SECTION = Section(title="", path="/explain", handlers=[explain])


def with_links(text: str) -> Markup:
    """A text with the events that it names as links: `OpportunityWon #12`."""
    return Markup(_EVENT.sub(r'<a href="/audit/events/\1">#\1</a>', str(escape(text))))  # noqa: S704 - escaped first


def table_file(file: str) -> str:
    """Where a table stands: the end of its path, which is the same on every machine."""
    return "/".join(Path(file).parts[-3:])


def _approved(case: CaseRow) -> bool:
    return case.case_class == APPROVAL and case.closed_at is not None
