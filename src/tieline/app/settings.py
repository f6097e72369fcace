"""Settings: one frozen tree from tieline.toml and the environment. Nothing else reads `os.environ`.

Secrets are references: "env:NAME" or "file:path"; they are resolved here and kept out of every repr and error. The
sections [alerts] and [telemetry] are defined in outbound.py, [access] in entrance.py.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from tieline.app.entrance import AccessSettings, OidcSettings
from tieline.app.outbound import (
    LOOPBACK,
    SECRET_SCHEMES,
    AlertSettings,
    SmtpSettings,
    TelemetrySettings,
    WebhookSettings,
)
from tieline.errors import ConfigurationError

FILE_NAME = "tieline.toml"
_SECRET_WORDS = ("secret", "password", "private_key", "token")
S = TypeVar("S", bound=msgspec.Struct)


class HubSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The hub's own port (loopback by default), and how often connections are polled for what webhooks missed.

    `demo`: sandboxes and invented companies only; the pages say so and ask nobody to sign in. On loopback only.
    `public_url`: the https address at which people reach it behind a proxy; a host that is not loopback needs one.
    `proxies`: the addresses whose word about where a request comes from is taken.
    """

    host: str = "127.0.0.1"
    port: int = 8800
    poll_s: float = 30.0
    demo: bool = False
    public_url: str = ""
    proxies: tuple[str, ...] = ("127.0.0.1",)

    def __post_init__(self) -> None:
        address = urlsplit(self.public_url)
        if self.public_url and (address.scheme != "https" or not address.hostname or address.path.strip("/")):
            raise ValueError('public_url must be like "https://tieline.example.com", without a path')
        if self.demo and (self.public_url or self.host not in LOOPBACK):
            raise ValueError("demo lets everybody in: its host must be loopback (127.0.0.1), without a public_url")
        if not self.public_url and self.host not in LOOPBACK:
            raise ValueError(
                f"host {self.host} can be reached from elsewhere, and passwords must not travel unencrypted: put a "
                'proxy with https before it and write its address here, `public_url = "https://…"`'
            )

    @property
    def secure(self) -> bool:
        """Whether people reach it over https."""
        return bool(self.public_url)

    def address(self, port: int = 0) -> str:
        """Where people reach it; `port` is the one in use where the settings leave it open."""
        return self.public_url.rstrip("/") or f"http://{self.host}:{port or self.port}"

    @property
    def names(self) -> frozenset[str]:
        """The host names under which people may ask for a page."""
        return LOOPBACK | {self.host, urlsplit(self.public_url).hostname or self.host}


class ArchiveSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where ended runs are archived (`""`: the folder `archive` beside the database), and after how many days the hub
    does it by itself, a whole month at a time (0: never)."""

    folder: str = ""
    after_days: int = 0

    def __post_init__(self) -> None:
        if self.after_days < 0:
            raise ValueError("after_days must be 0 or more")


class ConnectionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One connection: the connector that speaks to it and the connector's own settings (secrets resolved)."""

    name: str
    connector: str
    options: dict[str, Any]
    poll_s: float

    def __repr__(self) -> str:
        return f"ConnectionSettings(name={self.name!r}, connector={self.connector!r})"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a project says in tieline.toml, for one environment."""

    name: str
    environment: str
    root: Path
    database: Path
    processes: tuple[str, ...]
    hub: HubSettings
    access: AccessSettings
    archive: ArchiveSettings
    alerts: AlertSettings
    telemetry: TelemetrySettings
    connections: dict[str, ConnectionSettings]

    @property
    def archive_folder(self) -> Path:
        return self.root / self.archive.folder if self.archive.folder else self.database.parent / "archive"


SHIPPED_PROCESSES = (
    "tieline.processes.intake",
    "tieline.processes.quote_to_cash",
    "tieline.processes.posting",
    "tieline.processes.deal_status",
)


def find_project(start: Path) -> Path:
    """The folder with tieline.toml: this one or the nearest above. Raises ConfigurationError saying what to do."""
    for folder in (start, *start.parents):
        if (folder / FILE_NAME).is_file():
            return folder
    raise ConfigurationError(
        f"no {FILE_NAME} in {start} or above; make a project with `tieline init`, or name one with --project"
    )


def load_settings(
    root: Path, environment: str = "", environ: Mapping[str, str] | None = None, *, secrets: bool = True
) -> Settings:
    """Read the settings of a project. Raises ConfigurationError with the file, the line where known, and the remedy.

    `secrets` false leaves references to secrets as they are: enough to check a project where they are not to be had.
    """
    path = root / FILE_NAME
    text = _read(path)
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    reader = _Reader(path, text, environment, os.environ if environ is None else environ, secrets)
    if environment:
        tree = _overlay(tree, reader.section(tree, "environments").get(environment), environment, path)
    sections = ("project", "hub", "access", "archive", "alerts", "telemetry", "connections", "environments")
    reader.only(tree, sections, "")
    project = reader.section(tree, "project")
    reader.only(project, ("name", "database", "processes"), "project.")
    hub = reader.section(tree, "hub")
    reader.only(hub, HubSettings.__struct_fields__, "hub.")
    hub_settings = reader.convert(hub, HubSettings, "hub")
    archive = reader.section(tree, "archive")
    reader.only(archive, ArchiveSettings.__struct_fields__, "archive.")
    return Settings(
        name=str(project.get("name") or root.name),
        environment=environment,
        root=root,
        database=root / str(project.get("database", "tieline.db")),
        processes=reader.names("project.processes", project.get("processes", SHIPPED_PROCESSES)),
        hub=hub_settings,
        access=reader.access(reader.section(tree, "access")),
        archive=reader.convert(archive, ArchiveSettings, "archive"),
        alerts=reader.alerts(reader.section(tree, "alerts")),
        telemetry=reader.resolved("telemetry", reader.section(tree, "telemetry"), TelemetrySettings),
        connections={
            name: reader.connection(name, options, hub_settings.poll_s)
            for name, options in reader.section(tree, "connections").items()
        },
    )


class _Reader:
    """Reads sections and remembers where, so that errors name the line."""

    def __init__(self, path: Path, text: str, environment: str, environ: Mapping[str, str], secrets: bool) -> None:
        self._path, self._lines, self._environment = path, text.splitlines(), environment
        self._environ, self._secrets = environ, secrets

    def section(self, tree: dict[str, Any], name: str) -> dict[str, Any]:
        found: Any = tree.get(name, {})
        if not isinstance(found, dict):
            raise ConfigurationError(f"{self._where(name)}: [{name}] must be a section")
        return dict(found)

    def only(self, tree: dict[str, Any], known: tuple[str, ...], prefix: str) -> None:
        for key in tree:
            if key not in known:
                near = get_close_matches(key, known, 1)
                hint = f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(known)}"
                raise ConfigurationError(f"{self._where(prefix + key)}: unknown setting '{prefix}{key}'{hint}")

    def convert(self, tree: dict[str, Any], kind: type[S], name: str) -> S:
        try:
            return msgspec.convert(tree, kind)
        except msgspec.ValidationError as error:
            raise ConfigurationError(f"{self._where(name)}: [{name}] {error}") from error

    def connection(self, name: str, options: Any, poll_s: float) -> ConnectionSettings:
        if not isinstance(options, dict) or not options.get("connector"):
            where = self._where(f"connections.{name}")
            raise ConfigurationError(f'{where}: [connections.{name}] needs a line `connector = "…"`')
        poll_s = self.number(f"connections.{name}.poll_s", options.get("poll_s", poll_s))
        resolved = {key: self._secret(f"connections.{name}.{key}", key, value) for key, value in options.items()}
        resolved.pop("poll_s", None)
        connector = str(resolved.pop("connector"))
        return ConnectionSettings(name=name, connector=connector, options=resolved, poll_s=poll_s)

    def access(self, tree: dict[str, Any]) -> AccessSettings:
        self.only(tree, AccessSettings.__struct_fields__, "access.")
        oidc = self.section(tree, "oidc")
        return AccessSettings(oidc=self.resolved("access.oidc", oidc, OidcSettings) if oidc else None)

    def alerts(self, tree: dict[str, Any]) -> AlertSettings:
        webhooks = self.section(tree, "webhooks")
        for name in webhooks:
            place = f"alerts.webhooks.{name}"
            webhooks[name] = self.resolved(place, self.section(webhooks, name), WebhookSettings)
        if smtp := self.section(tree, "smtp"):
            tree = {**tree, "smtp": self.resolved("alerts.smtp", smtp, SmtpSettings)}
        self.only(tree, AlertSettings.__struct_fields__, "alerts.")
        return self.convert({**tree, "webhooks": webhooks}, AlertSettings, "alerts")

    def resolved(self, place: str, tree: dict[str, Any], kind: type[S]) -> S:
        """A section whose values may refer to secrets."""
        self.only(tree, kind.__struct_fields__, f"{place}.")
        held = {key: self._secret(f"{place}.{key}", key, value) for key, value in tree.items()}
        return self.convert(held, kind, place)

    def number(self, place: str, value: Any) -> float:
        """A number of seconds. Raises ConfigurationError."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigurationError(f"{self._where(place)}: {place} must be a number of seconds, not {value!r}")
        return float(value)

    def names(self, place: str, value: Any) -> tuple[str, ...]:
        """A list of names. Raises ConfigurationError."""
        if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
            raise ConfigurationError(f'{self._where(place)}: {place} must be a list like ["name", "name"]')
        return tuple(value)

    def _secret(self, place: str, key: str, value: Any) -> Any:
        if isinstance(value, str) and value.startswith(SECRET_SCHEMES) and not self._secrets:
            return value
        if isinstance(value, str) and value.startswith("env:"):
            variable = value.removeprefix("env:")
            if variable not in self._environ:
                raise ConfigurationError(
                    f"{self._where(place)}: {place} refers to ${variable}, which is not set in the environment"
                )
            return self._environ[variable]
        if isinstance(value, str) and value.startswith("file:"):
            path = self._path.parent / value.removeprefix("file:")
            try:
                return path.read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ConfigurationError(f"{self._where(place)}: {place} refers to {path}: {error.strerror}") from error
        if (
            isinstance(value, str)
            and value
            and any(word in key for word in _SECRET_WORDS)
            and not key.endswith(("_url", "_id"))
        ):
            raise ConfigurationError(
                f"{self._where(place)}: {place} is a secret and must not stand in the file; "
                f'write "env:NAME" or "file:path" and put it there'
            )
        return value

    def _where(self, place: str) -> str:
        """FILE:LINE of a dotted setting, or of its section; the environment's own line before the common one."""
        section, _, key = place.rpartition(".")
        prefixes = [f"environments.{self._environment}.", ""] if self._environment else [""]
        for prefix in prefixes:
            found = self._line(prefix + section, key) or self._line(prefix + place, "")
            if found:
                return f"{self._path}:{found}"
        return f"{self._path}:{self._line(section, '')}" if self._line(section, "") else str(self._path)

    def _line(self, section: str, key: str) -> int:
        """The line of a key in a section, or of the section itself where no key is asked; 0 when it is not there."""
        current = ""
        for number, line in enumerate(self._lines, 1):
            text = line.split("#")[0].strip()
            if text.startswith("["):
                current = text.strip("[] ")
                if not key and current == section:
                    return number
            elif key and current == section and text.partition("=")[0].strip() == key:
                return number
        return 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error


def _overlay(tree: dict[str, Any], changes: Any, environment: str, path: Path) -> dict[str, Any]:
    if not isinstance(changes, dict):
        known = ", ".join(tree.get("environments", {})) or "none"
        raise ConfigurationError(f"{path}: there is no [environments.{environment}]; known: {known}")
    return _merged(tree, changes)


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        held = result.get(key)
        result[key] = _merged(held, value) if isinstance(held, dict) and isinstance(value, dict) else value
    return result
