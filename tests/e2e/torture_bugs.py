"""Bugs to be planted: hubs that break the discipline, and programs that lose what they took. Torture must say so."""

from __future__ import annotations

import http.server
import json
import sys
from pathlib import Path
from typing import Any, cast

import msgspec

from tieline.app.project import Project
from tieline.app.torture.boundaries import MortalStore, Toll, mortal
from tieline.app.wiring import Seam
from tieline.engine.ports import AppendResult, Batch, Store
from tieline.engine.records import EffectState


class ForgetfulStore(MortalStore):
    """Keeps no intention for Kantata: what was about to be sent is not known to the next life."""

    async def commit(self, batch: Batch) -> list[AppendResult]:
        kept = [e for e in batch.effects if e.connection != "kantata" or e.state is not EffectState.INTENDED]
        return await super().commit(msgspec.structs.replace(batch, effects=kept))


def forgets_intentions(name: str = "", nth: int = 1, record: str = "") -> Seam:
    """A mortal hub that sends before the intention is durable, in the life that is to end."""
    seam, toll = mortal(name, nth, record), Toll()
    if not name:
        return seam

    def store(project: Project) -> Store:
        return cast("Store", ForgetfulStore(seam.store(project), toll))

    return msgspec.structs.replace(seam, store=store)


class Careless(http.server.BaseHTTPRequestHandler):
    """A contender that takes every deal and does nothing."""

    def do_GET(self) -> None:
        self._answer({"pending": 0})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer({})

    def log_message(self, *_: Any) -> None:
        """Nothing to say."""

    def _answer(self, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    listen = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["listen"]
    http.server.ThreadingHTTPServer((listen["host"], listen["port"]), Careless).serve_forever()
