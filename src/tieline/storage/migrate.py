"""Bring a database file to the schema of this version, with Alembic; refuse one that a newer version wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pysqlite3 import dbapi2 as sqlite

from tieline.errors import ConfigurationError

HEAD = "0008"
"""The newest revision in `migrations/versions`; a test holds the two together."""


def bring_up_to_date(path: Path) -> None:
    """Create or upgrade the file. Raises ConfigurationError when it cannot be written or is of a newer Tieline."""
    if not path.parent.is_dir():
        raise ConfigurationError(
            f"{path.parent}: there is no such folder; create it, or change `database` in tieline.toml"
        )
    found = _revision(path)
    if found == HEAD:
        return
    if found is not None and found not in known_revisions():
        raise ConfigurationError(
            f"{path}: the database was written by a newer Tieline (schema {found}, this version knows {HEAD}); "
            "install that version, or restore the backup made before the upgrade"
        )
    _upgrade(path)


def known_revisions() -> set[str]:
    """Every schema that this version can read or bring up to date."""
    return {p.stem.split("_")[0] for p in (Path(__file__).parent / "migrations" / "versions").glob("*.py")}


def refuse_older(path: Path) -> None:
    """Raises ConfigurationError for a file that an older Tieline wrote: who only reads cannot upgrade it."""
    found = _revision(path)
    if found is not None and found < HEAD:
        raise ConfigurationError(
            f"{path}: the database is still as an older Tieline left it (schema {found}, this version reads {HEAD}); "
            "`tieline up` upgrades it when it starts the hub"
        )


def _revision(path: Path) -> str | None:
    try:
        return _revision_in(path)
    except sqlite.Error as error:
        raise ConfigurationError(
            f"{path}: cannot be opened as a database ({error}); check the path and permissions"
        ) from error


def _revision_in(path: Path) -> str | None:
    connection = sqlite.connect(str(path), timeout=30)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "alembic_version" not in tables:
            if tables:
                raise ConfigurationError(f"{path}: this is a database, but not one of Tieline; choose another file")
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return row[0] if row else None
    finally:
        connection.close()


def _upgrade(path: Path) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.pool import StaticPool

    connection: Any = sqlite.connect(str(path), timeout=30, check_same_thread=False)
    engine = create_engine("sqlite://", creator=lambda: connection, module=sqlite, poolclass=StaticPool)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    try:
        with engine.begin() as sa_connection:
            config.attributes["connection"] = sa_connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()
        connection.close()
