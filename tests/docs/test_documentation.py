"""The documentation is true: generated pages are fresh, links lead somewhere, snippets run, nothing is undocumented."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from urllib.parse import unquote

import aiohttp
import msgspec
import pytest
from starlette.routing import Mount

from tieline.app.project import load_project
from tieline.app.reference import classes_in_code, control_calls, stale
from tieline.app.settings import load_settings
from tieline.app.template import make_project
from tieline.cli.main import app
from tieline.domain import KINDS
from tieline.events import EVENTS
from tieline_sandbox.__main__ import vendor_of
from tieline_sandbox.kantata import Sandbox
from tieline_sandbox.kernel.app import build_app
from tieline_sandbox.kernel.gate import Gate
from tieline_sandbox.kernel.server import serving
from tieline_sandbox.kernel.world import World

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md"), *(ROOT / "src").rglob("README.md")])
WRITTEN = [page for page in PAGES if REFERENCE not in page.parents]
SANDBOX_PAGE = DOCS / "how-to" / "use-the-sandboxes.md"
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"\btieline ((?:cases |sandbox |connectors |new )?[a-z]+)")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def test_the_generated_pages_are_what_the_code_says() -> None:
    """After a change of commands, settings, events, tables, policies: `python -m tieline.app.reference`."""
    assert stale(REFERENCE) == []


def test_generated_pages_do_not_depend_on_chance() -> None:
    """Another process, with other hashes, makes the same text: a stale page is a change, never a mood."""
    command = [sys.executable, "-m", "tieline.app.reference", "--check", "--folder", str(REFERENCE)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env={"PYTHONHASHSEED": "7", "PATH": ""}
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_something(page: Path) -> None:
    """Files exist, and headings that a link names."""
    broken = []
    for target in LINK.findall(FENCE.sub("", text_of(page))):
        path, _, anchor = unquote(target).partition("#")
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def anchors(file: Path) -> set[str]:
    """The anchors that a Markdown reader gives to headings."""
    heads = re.findall(r"^#+ (.+)$", text_of(file), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def test_every_page_is_reached_from_the_map() -> None:
    """A page that nothing links to is read by nobody."""
    seen, to_see = set[Path](), [ROOT / "README.md"]
    while to_see:
        page = to_see.pop()
        if page in seen or page.suffix != ".md" or not page.is_file():
            continue
        seen.add(page)
        targets = (unquote(t).partition("#")[0] for t in LINK.findall(text_of(page)))
        to_see += [(page.parent / target).resolve() for target in targets if target]
    assert [name_of(page) for page in PAGES if page not in seen] == []


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_commands_in_the_text_exist(page: Path) -> None:
    """`tieline frobnicate` in a page is a command that a reader would type."""
    known = set(re.findall(r"^## tieline (.+)$", text_of(REFERENCE / "commands.md"), re.MULTILINE))
    code = [body for _, body in FENCE.findall(text_of(page))] + re.findall(r"`([^`\n]+)`", FENCE.sub("", text_of(page)))
    named = {match for text in code for match in COMMAND.findall(text) if f"tieline.{match}" not in text}
    assert {name for name in named if name not in known and name.split()[0] not in ("cases", "sandbox")} == set()


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_options_in_the_text_exist(page: Path) -> None:
    """Each option that a page types is one of that command."""
    sections = re.split(r"(?m)^## tieline ", text_of(REFERENCE / "commands.md"))[1:]
    known = {head: body for head, _, body in (section.partition("\n") for section in sections)}
    unknown = []
    for _, block in FENCE.findall(text_of(page)):
        for line in re.findall(r"(?m)^(?:\$ )?tieline ([^#>\n]+)", block):
            words = line.split()
            command = next((c for c in (" ".join(words[:2]), words[0]) if c in known), f"{words[0]} list")
            options = [word.partition("=")[0] for word in words if word.startswith("-")]
            unknown += [f"{line}: {o}" for o in options if not re.search(rf"`{o}[ `]", known.get(command, ""))]
    assert unknown == []


def test_every_command_is_documented() -> None:
    import typer

    page = text_of(REFERENCE / "commands.md")
    root = typer.main.get_command(app)
    names = [name for name, command in root.commands.items() if not hasattr(command, "commands")]  # type: ignore[attr-defined]
    assert [name for name in names if f"## tieline {name}\n" not in page] == []


def test_every_event_and_entity_has_its_schema() -> None:
    """The contracts of events are files that others may validate against."""
    for name, kind in EVENTS.items():
        schema = msgspec.json.decode((REFERENCE / "schemas" / f"{name}.v{kind.version}.json").read_bytes())
        assert schema["$defs"][name]["properties"].keys() == {f.name for f in msgspec.structs.fields(kind)}
    assert [name for name in KINDS if not (REFERENCE / "schemas" / f"{name}.json").is_file()] == []


def test_every_case_class_is_documented() -> None:
    """Whatever class a person meets, the page says whose it is."""
    page = text_of(REFERENCE / "cases.md")
    assert [name for name in classes_in_code() if f"`{name}`" not in page] == []


def test_the_control_api_is_documented_call_by_call() -> None:
    """The page names every call of the sandboxes' control API and no other."""
    gate = build_app(Sandbox(World()))
    assert isinstance(gate, Gate)
    (control,) = [route for route in gate._app.routes if isinstance(route, Mount)]  # type: ignore[attr-defined]
    served = {
        (method, route.path.replace(":int", ""))  # type: ignore[attr-defined]
        for route in control.routes
        for method in route.methods - {"HEAD"}  # type: ignore[attr-defined]
    }
    assert served == control_calls()


def snippets() -> list[tuple[str, str]]:
    """Python of the hand-written pages, but not what is named after a file: that is tried where it belongs."""
    found = []
    for page in WRITTEN:
        blocks = [body for language, body in FENCE.findall(text_of(page)) if language == "python"]
        found += [(f"{name_of(page)}:{number}", body) for number, body in enumerate(blocks, 1) if body[:2] != "# "]
    return found


@pytest.mark.parametrize(
    "code", [pytest.param(body, id=name) for name, body in snippets() if "write-a-mapping" not in name]
)
def test_python_in_the_documentation_runs(code: str) -> None:
    """Its own assertions hold. The page on mappings has tests of its own."""
    exec(compile(code, "snippet", "exec"), {"__name__": "snippet"})


def test_the_process_of_the_how_to_loads_into_a_project(tmp_path: Path) -> None:
    """`processes/` of a fresh project takes the page's example."""
    (code,) = [
        body
        for language, body in FENCE.findall(text_of(DOCS / "how-to" / "write-a-process.md"))
        if language == "python"
    ]
    make_project(tmp_path / "project")
    (tmp_path / "project" / "processes" / "large_invoices.py").write_text(code, encoding="utf-8")
    project = load_project(load_settings(tmp_path / "project", secrets=False))
    assert "look-at-large-invoices" in project.processes


async def test_the_calls_of_the_sandbox_how_to_are_taken() -> None:
    """Each curl of the page, sent to sandboxes in this process: a fault or seed that is refused helps nobody."""
    calls = re.findall(r"^curl -s (.*?)'?http://127\.0\.0\.1:880(\d)(/[^\s']+)", text_of(SANDBOX_PAGE), re.MULTILINE)
    vendors = ["salesforce", "zuora", "netsuite", "kantata"]
    world = World()
    async with serving([vendor_of(name, world) for name in vendors]) as urls, aiohttp.ClientSession() as http:
        for options, number, path in calls:
            if path in ("/_sandbox/snapshot", "/_sandbox/restore"):
                continue  # they need a process of their own: tests/sandbox/kernel
            body = re.search(r"-d '(.*)'", options)
            method = "POST" if body or "POST" in options else "GET"
            url = urls[vendors[int(number) - 1]] + path
            async with http.request(method, url, data=body[1] if body else None) as answer:
                assert answer.status < 400, f"{options} {path}: {await answer.text()}"
    assert len(calls) > 8


def test_custom_fields_are_all_listed() -> None:
    """Whoever sets up an account finds every custom field that the shipped tables and queries name."""
    listed = text_of(DOCS / "how-to" / "connect-your-own-accounts.md")
    used: set[str] = set()
    for path in (ROOT / "src" / "tieline" / "connectors").rglob("*"):
        if path.suffix in (".py", ".yaml") and path.parent.name != "examples":
            used |= set(re.findall(r"\b[A-Z]\w+__c\b|\bcust(?:body|col|entity)_\w+\b", text_of(path)))
    assert sorted(name for name in used if name not in listed) == []


def test_decisions_have_their_headings() -> None:
    """Context, decision, what was rejected, consequences; numbered without a gap and listed."""
    pages = sorted((DOCS / "decisions").glob("0*.md"))
    listed = text_of(DOCS / "decisions" / "README.md")
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        text = text_of(page)
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Rejected", "Consequences"], page
        assert f"({page.name})" in listed


def test_the_picture_is_sound() -> None:
    """The SVG parses, and says in words what it shows."""
    root = ET.parse(DOCS / "images" / "way.svg").getroot()
    assert root.find("{http://www.w3.org/2000/svg}desc") is not None


def test_nothing_of_a_machine_is_in_the_documentation() -> None:
    """Paths of whoever wrote a page mean nothing to whoever reads it."""
    found = [name_of(p) for p in PAGES if re.search(r"/(home|work|root|tmp)/", text_of(p))]
    assert found == []
