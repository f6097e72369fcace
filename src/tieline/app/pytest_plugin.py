"""A plugin for pytest, for whoever runs the connector contract.

`pytest --live=CONNECTION` runs it on a real account, from inside a project or with its folder: only the tests that
change nothing there ("live"), and never without being asked for. What it needs is imported when it is asked.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tieline.connectors.sdk import ConnectorType

HOSTILE = "tieline.connectors.sdk.contract.hostile"
_KIND = pytest.StashKey["ConnectorType"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("tieline", "the connector contract")
    group.addoption("--live", metavar="CONNECTION", default="", help="run the contract on this real connection")
    group.addoption("--live-project", metavar="FOLDER", default="", help="the project that names it (default: here)")
    group.addoption("--live-env", metavar="ENV", default="", help="the environment of tieline.toml to use")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "live: also runs against a real account (pytest --live=CONNECTION)")
    name = config.getoption("--live")
    if name:
        _go_live(config, name, Path(config.getoption("--live-project") or Path.cwd()), config.getoption("--live-env"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep of a live run only what changes nothing, of the one connector that is meant."""
    if _KIND not in config.stash:
        return
    left_out = [item for item in items if not _wanted(item, config.stash[_KIND])]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """What is not filled in yet fails the honest tests; a hundred lies about it would only bury the sentence."""
    try:
        return (yield)
    except NotImplementedError as missing:
        if isinstance(item, pytest.Function) and item.function.__module__ == HOSTILE:
            pytest.skip(f"not filled in yet: {missing}")
        raise


def _go_live(config: pytest.Config, name: str, folder: Path, environment: str) -> None:
    from tieline.connectors.sdk.contract import LIVE
    from tieline.errors import ConfigurationError

    try:
        config.stash[_KIND], config.stash[LIVE] = _connection(name, folder, environment)
    except ConfigurationError as error:
        raise pytest.UsageError(str(error)) from error


def _connection(name: str, folder: Path, environment: str) -> tuple[ConnectorType, Any]:
    """A connection's connector and its settings. Raises ConfigurationError."""
    from tieline.app.project import connector_settings, installed_connectors
    from tieline.app.settings import find_project, load_settings
    from tieline.errors import ConfigurationError

    settings, connectors = load_settings(find_project(folder), environment), installed_connectors()
    connection = settings.connections.get(name)
    if connection is None or connection.connector not in connectors:
        raise ConfigurationError(f"{name!r} is no connection with a connector: {', '.join(settings.connections)}")
    kind = connectors[connection.connector]
    return kind, connector_settings(connection, kind)


def _wanted(item: pytest.Item, kind: ConnectorType) -> bool:
    account_type = getattr(getattr(item, "cls", None), "account_type", None)
    return item.get_closest_marker("live") is not None and getattr(account_type, "connector", None) is kind
