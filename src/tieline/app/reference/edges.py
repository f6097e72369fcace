"""What people turn: commands, settings, connectors, and the control API of the sandboxes."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points
from typing import Any

from tieline.app.connectors import ObjectRow, deed, limits_of, objects_of
from tieline.app.entrance import OidcSettings
from tieline.app.outbound import AlertSettings, SmtpSettings, TelemetrySettings, WebhookSettings
from tieline.app.reference.markdown import fields_table, listed, page, prose, quoted, table
from tieline.app.reference.shipped import shipped_connectors
from tieline.app.settings import SHIPPED_PROCESSES, ArchiveSettings, HubSettings
from tieline.engine.ports import Operation

_CONTROL = {
    ("GET", "/"): "the page of the sandbox, for people",
    ("GET", "/health"): "the vendor, its clock, how many requests it has seen, the snapshots, the recording",
    ("GET", "/kinds"): "how many documents of each kind stand there now",
    ("POST", "/reset"): "forget documents, tokens, settings, faults, webhooks and the request log",
    ("POST", "/seed"): '`{"kind": [record, …]}`: store records as if they had always been there; they announce nothing',
    ("GET", "/documents"): "what stands there now, by kind, in the vendor's shapes; `?text=acme&last=100`",
    ("GET", "/documents/{kind}"): "the same, of one kind",
    ("GET", "/requests"): "the latest requests with status, time and the vendor's words of refusal; `?last=100`",
    (
        "POST",
        "/record",
    ): '`{"bodies": true, "last": 5000}`: keep headers and bodies in the request log too, so many of them',
    ("POST", "/recording"): "begin to record requests with their answers, and forget an earlier recording",
    ("DELETE", "/recording"): "end the recording; it stays until the next one begins",
    (
        "GET",
        "/recording",
    ): "the recording as JSON lines, secrets hidden, for `--replay`; ends by itself at 100,000 requests or 200 MB",
    ("GET", "/webhooks"): "webhooks under way, given up, and the log of deliveries",
    ("POST", "/webhooks"): "send again what was given up",
    ("GET", "/clock"): "what time it is",
    (
        "POST",
        "/clock",
    ): (
        '`{"days": 30}`, `{"seconds": 60}` or `{"to": "2026-12-31"}`: move the one clock of all vendors forward, '
        "playing every midnight"
    ),
    ("GET", "/faults"): "the faults in force",
    ("POST", "/faults"): "order a fault, see below",
    ("GET", "/faults/struck"): "how often each kind of fault has struck since the last reset",
    ("DELETE", "/faults"): "end all faults",
    ("DELETE", "/faults/{id}"): "end one",
    ("POST", "/snapshot"): (
        '`{"name": "before"}`: remember the world of all vendors as it is now; done when `/health` shows another '
        "`branch`"
    ),
    ("POST", "/restore"): (
        '`{"name": "before"}`, or the latest: bring that world back and forget what was remembered after it; done when '
        "`/health` shows another `branch`"
    ),
    ("POST", "/configure"): "settings of the vendor, see below; answers with those in force",
    ("POST", "/act/{action}"): "a deed of a person at the vendor that has no API of its own",
}
"""The control API of every sandbox: (method, path under /_sandbox) → what it does. A test holds it to the routes."""
_SECTIONS = {
    "[hub]": HubSettings,
    "[access.oidc]": OidcSettings,
    "[archive]": ArchiveSettings,
    "[alerts]": AlertSettings,
    "[alerts.smtp]": SmtpSettings,
    "[alerts.webhooks.NAME]": WebhookSettings,
    "[telemetry]": TelemetrySettings,
}


def commands() -> str:
    """Every command with its arguments and options, as the command line itself knows them."""
    import typer

    root: Any = typer.main.get_command(_command_line())
    parts = [
        (
            "Ends with 0 when done, 1 when refused or failed, 2 when settings, files or the machine must be put right. "
            "With `--json` standard output holds exactly one JSON document; amounts are strings."
        ),
    ]
    for path, command in _commands(root, "tieline"):
        parts += [f"## {path}", prose(command.help or "")]
        rows = [(_spelling(p), _parameter(p)) for p in command.params]
        parts.append(table(("argument or option", "means"), rows))
    return page("Commands", *parts)


def _command_line() -> Any:
    # the application does not know its edges: the command is found as a shell finds it
    (point,) = entry_points(group="console_scripts", name="tieline")
    return importlib.import_module(point.module).app


def _commands(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if getattr(command, "invoke_without_command", False):
            yield f"{path} {name}", command
        if hasattr(command, "commands"):
            yield from _commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def _spelling(parameter: Any) -> str:
    if not parameter.opts[0].startswith("-"):
        name = (parameter.metavar or parameter.name).upper()
        return f"`{name}`" if parameter.required else f"`[{name}]`"
    value = "" if parameter.is_flag else f" {(parameter.metavar or parameter.name).upper()}"
    return ", ".join(f"`{option}{value}`" for option in [*parameter.opts, *parameter.secondary_opts])


def _parameter(parameter: Any) -> str:
    shown = isinstance(parameter.default, int | str) and parameter.default not in ("", True, False)
    default = f" Default: `{parameter.default}`." if shown else ""
    return f"{parameter.help or ''}{' May be repeated.' if parameter.multiple else ''}{default}"


def settings() -> str:
    """tieline.toml: its sections, and what each connector's section takes."""
    project_rows = [
        ("`name`", "the folder's name", "what the project is called"),
        ("`database`", '`"tieline.db"`', "the SQLite file, from the project's folder"),
        (
            "`processes`",
            ", ".join(f"`{name}`" for name in SHIPPED_PROCESSES),
            "process modules; each has a list `PROCESSES`",
        ),
    ]
    common = [
        ("`connector`", "required", "one of: " + ", ".join(f"`{name}`" for name in shipped_connectors())),
        ("`poll_s`", "that of `[hub]`", "seconds between sweeps of this connection; 0 switches them off"),
    ]
    parts = [
        (
            "Everything a project says in `tieline.toml`. Secrets are references: `env:NAME` is read from the "
            "environment, `file:path` from a file beside the project. A secret written out is refused, as is "
            "an unknown setting."
        ),
        "## [project]",
        table(("setting", "default", "means"), project_rows),
        *(part for section, kind in _SECTIONS.items() for part in _section(section, kind)),
        "## [environments.NAME]",
        (
            "Any of the sections above and below once more; what stands there replaces the rest when `--env NAME` "
            "is given."
        ),
        "## [connections.NAME]",
        "The name is part of every canonical id that comes from this connection: choose it once.",
        table(("setting", "default", "means"), common),
    ]
    for name, kind in shipped_connectors().items():
        parts += _section(f"connector = {quoted(name)}", kind.settings)
    return page("Settings", *parts)


def _section(heading: str, kind: type[Any]) -> tuple[str, ...]:
    return f"## {heading}", prose(inspect.getdoc(kind) or ""), fields_table(kind)


def connectors() -> str:
    """What each connector can do, from its manifest."""
    parts = [
        (
            "From the manifests; `tieline connectors` prints the same, of every connector that is installed. "
            "*Safe by* says why sending cannot double: a **native key** is ours and the "
            "system keeps it unique; an **external-id upsert** creates and updates in one idempotent call; "
            "**look up first** means that the system is asked before anything is sent again."
        ),
    ]
    for name, kind in shipped_connectors().items():
        manifest = kind.manifest
        limits = ", ".join(f"{limit} {value:,}" for limit, value in limits_of(manifest).items())
        parts += [
            f"## {name}",
            (
                f"API version {manifest.api_version}. Limits by default: {limits}. Set-up, behaviour and gaps: "
                f"[its README](../../src/tieline/connectors/{name}/README.md)."
            ),
            table(
                ("object", "written", "safe by", "a call", "side by side", "table", "fetched", "found", "heard"),
                [row for one in objects_of(manifest) for row in _object(one)],
            ),
            table(
                ("", ""),
                [
                    ("sweeps", listed(manifest.streams)),
                    ("reference lists", listed(manifest.catalogues)),
                    ("tells its fields (`tieline connectors drift`)", "yes" if kind.describes_fields else "no"),
                    ("rights its credentials need", ", ".join(manifest.scopes)),
                ],
            ),
        ]
    return page("Connectors", *parts)


def _object(one: ObjectRow) -> Iterator[tuple[str, ...]]:
    marks = tuple("yes" if mark else "" for mark in (one.fetched, one.found, one.heard))
    writes = [_operation(o) for o in one.writes] or [("",) * 5]
    for place, write in enumerate(writes):
        yield (f"`{one.kind}`" if place == 0 else "", *write, *(marks if place == 0 else ("", "", "")))


def _operation(o: Operation) -> tuple[str, ...]:
    return deed(o), o.safety.value, str(o.bulk), str(o.concurrency), f"`{o.mapping}`"


def sandbox_control() -> str:
    """The control API of the sandboxes, the faults of all of them and the particulars of each."""
    # a program of its own: what it says of itself is read, nothing of it is used
    faults = importlib.import_module("tieline_sandbox.kernel.faults")
    vendors: Sequence[str] = importlib.import_module("tieline_sandbox.__main__").VENDORS
    parts = [
        (
            "Each sandbox answers under `/_sandbox` beside the vendor's own paths. How to use it: "
            "[use the sandboxes](../how-to/use-the-sandboxes.md)."
        ),
        table(("call", "does"), [(f"`{method} {path}`", text) for (method, path), text in _CONTROL.items()]),
        "## Faults",
        inspect.getdoc(faults) or "",
        prose(inspect.getdoc(faults.Fault) or ""),
        fields_table(faults.Fault),
    ]
    for name in vendors:
        module = importlib.import_module(f"tieline_sandbox.{name}")
        parts += [f"## {name}", inspect.getdoc(module) or ""]
        parts += [
            text
            for text in (_own_doc(module.Sandbox), _own_doc(module.Sandbox.configure), _own_doc(module.Sandbox.act))
            if text
        ]
    return page("Control API of the sandboxes", *parts)


def control_calls() -> set[tuple[str, str]]:
    """The (method, path) pairs that the page describes."""
    return set(_CONTROL)


def _own_doc(thing: Any) -> str:
    text = inspect.cleandoc(thing.__doc__ or "")
    return text if len(text.split()) > len(["The", "vendor's", "name", "."]) else ""
