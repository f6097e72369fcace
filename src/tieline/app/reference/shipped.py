"""What is shipped, loaded once: the connectors of this package and the template project."""

from __future__ import annotations

from functools import cache

from tieline.app.project import Project, installed_connectors, load_project
from tieline.app.settings import load_settings
from tieline.app.template import DEFAULT, TEMPLATES
from tieline.connectors.sdk import ConnectorType


@cache
def template() -> Project:
    return load_project(load_settings(TEMPLATES / DEFAULT, secrets=False))


@cache
def shipped_connectors() -> dict[str, ConnectorType]:
    shipped = {
        name: kind for name, kind in installed_connectors().items() if kind.settings.__module__.startswith("tieline.")
    }
    return dict(sorted(shipped.items()))
