"""What the pages and the API work with: one project, the worker that runs it, and readers that never hold it up."""

from __future__ import annotations

from tieline.app.access import Access
from tieline.app.project import Project
from tieline.app.views.reading import View, view_with
from tieline.engine.ports import Store
from tieline.engine.worker import Worker


class Desk:
    """Look through `view`; change through `store`, which is the worker's own."""

    def __init__(self, project: Project, worker: Worker, reader: Store, access: Access) -> None:
        self.project, self.worker, self.access, self._reader = project, worker, access, reader

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
