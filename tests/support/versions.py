"""A process in a file that is changed between two lives of a worker, as an operator changes it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from tests.support.engine import NOW

from tieline.engine.ports import Batch, Store
from tieline.engine.process import Process
from tieline.engine.records import RunRow
from tieline.engine.source import Source, load
from tieline.engine.versions import to_keep
from tieline.events import MoveRequested, make_event

MODULE = "project_processes.titled"

TITLED = '''
"""Opens a project once somebody replied."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from tests.support.engine import project

from tieline.engine.process import process
from tieline.engine.run import Run
from tieline.events import VendorNotified


class Seen(msgspec.Struct):
    number: str


@process("titled", on=VendorNotified, key=lambda d: d.native_id, accepts=lambda d: d.kind == "deal")
async def titled(run: Run, data: VendorNotified) -> None:
    seen: Seen = await run.step(look, data)
    await run.wait(VendorNotified, f"crm/reply/{seen.number}", timedelta(days=1))
    await run.ensure("erp", project(seen.number, title()))


def look(data: VendorNotified) -> Seen:
    return Seen(data.native_id)


def title() -> str:
    return "first"


PROCESSES = [titled]
'''


def changed(*replacements: tuple[str, str], text: str = TITLED) -> str:
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, new)
    return text


def loaded(path: Path, text: str) -> list[Process]:
    """What a fresh process finds in the project's file: nothing of an earlier life is in memory."""
    for name in [name for name in sys.modules if name.startswith(f"{MODULE}@")]:
        del sys.modules[name]
    path.write_text(text)
    processes: list[Process] = load(Source.of(MODULE, text), str(path), kept=False).PROCESSES
    return processes


async def ask_to_move(store: Store, rows: Sequence[RunRow], version: Process) -> None:
    """What `tieline runs move --yes` puts into the log."""
    events = [
        make_event(
            MoveRequested(
                process=row.process, run=row.id, contract=row.correlation_id, to_version=version.version, by="ada"
            ),
            source="people",
            id=f"move/{row.id}/{uuid4()}",
            time=NOW,
        )
        for row in rows
    ]
    await store.commit(Batch(events=events, versions=[to_keep(version, NOW)]))
