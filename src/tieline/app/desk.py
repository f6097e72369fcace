"""What the pages and the API work with: one project, the worker that runs it, and readers that never hold it up."""

from __future__ import annotations

import asyncio

from tieline.app.access import Access
from tieline.app.access.oidc import Provider
from tieline.app.chain import ChainWatch
from tieline.app.project import Project
from tieline.app.views.now import Board
from tieline.app.views.reading import View, view_with
from tieline.app.views.rules_read import RulesView
from tieline.engine.ports import Store
from tieline.engine.worker import Worker


class Desk:
    """Look through `view`; change through `store`, which is the worker's own."""

    def __init__(self, project: Project, worker: Worker, reader: Store, access: Access) -> None:
        self.project, self.worker, self.access, self._reader = project, worker, access, reader
        oidc = project.settings.access.oidc
        self.provider = Provider(oidc) if oidc else None
        """Where people sign in beside a password."""
        self.closing = asyncio.Event()
        """Set when the hub stops: whoever holds a connection open lets go of it."""
        self.chain = ChainWatch(worker.store, reader)
        self.board = Board(project, worker, reader, lambda: self.chain.state.broken_at if self.chain.state else 0)

    @property
    def demo(self) -> bool:
        """Whether nothing here is real."""
        return self.project.settings.hub.demo

    @property
    def store(self) -> Store:
        """Where changes are committed: the worker hears of them at once."""
        return self.worker.store

    @property
    def view(self) -> View:
        """What stands now, with the value maps as corrected up to now; read beside the worker."""
        return view_with(self.project, self.worker.resources.mappings, self._reader)

    @property
    def rules(self) -> RulesView:
        """The rules as they stand now, and as the files have them."""
        view = self.view
        return RulesView(
            project=self.project,
            store=view.store,
            mappings=view.mappings,
            corrections=self.worker.resources.corrections,
            operations=view.operations,
        )
