"""Commands about users: who may come in, and what they are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from tieline.app.access import Access, User, access_database, people
from tieline.app.access.links import PASSWORD_FOR
from tieline.app.principal import Role
from tieline.app.settings import Settings
from tieline.cli.opening import By, acting, open_settings
from tieline.cli.output import AsJson, Environment, ProjectFolder, out, print_json, print_table, run
from tieline.storage.sqlite import SqliteStore

T = TypeVar("T")
Name = Annotated[str, typer.Argument(help="The user.")]
Roles = Annotated[list[Role], typer.Option("--role", help="A role; may be given several times.")]

users = typer.Typer(help="Who may come in: list, add, roles, disable, enable, link.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    app.add_typer(users, name="users")


@users.callback()
def default(
    context: typer.Context, folder: ProjectFolder = None, environment: Environment = "", as_json: AsJson = False
) -> None:
    """Who may come in: list, add, roles, disable, enable, link. Without a command: the list."""
    if context.invoked_subcommand is None:
        list_users(folder, environment, as_json)


@users.command("list")
def list_users(folder: ProjectFolder = None, environment: Environment = "", as_json: AsJson = False) -> None:
    """Everybody who may come in, or might once."""

    async def work(desk: AccessDesk) -> list[User]:
        return desk.access.users.list()

    found = run(at_access(folder, environment, work))
    if as_json:
        print_json([_plain(user) for user in found])
    elif not found:
        told = "no users yet: `tieline up` prints a one-time link for the first admin; or `tieline users add`"
        out.print(told, soft_wrap=True)
    else:
        rows = [[u.name, ", ".join(sorted(u.roles)), _state(u), u.email, _when(u)] for u in found]
        print_table("", ["user", "roles", "state", "e-mail", "last signed in"], rows)


@users.command()
def add(
    name: Name,
    role: Roles,
    email: Annotated[str, typer.Option(help="Where alerts for this person go.")] = "",
    by: By = "",
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """Add a user; prints the one-time link with which they choose a password."""

    async def work(desk: AccessDesk) -> tuple[User, str]:
        user = await people.add_user(desk.store, desk.access, name, email, role, by=acting(by))
        return user, await _link(desk, user.name, by)

    user, address = run(at_access(folder, environment, work))
    _print_link(user, address, as_json)


@users.command("roles")
def set_roles(
    name: Name,
    role: Roles,
    by: By = "",
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """Give a user these roles, and no others."""
    _change(
        folder, environment, as_json, lambda desk: people.set_roles(desk.store, desk.access, name, role, by=acting(by))
    )


@users.command()
def disable(
    name: Name, by: By = "", folder: ProjectFolder = None, environment: Environment = "", as_json: AsJson = False
) -> None:
    """Let a user in no more: sessions end, tokens stop working."""
    _disabled(folder, environment, name, by, as_json, disabled=True)


@users.command()
def enable(
    name: Name, by: By = "", folder: ProjectFolder = None, environment: Environment = "", as_json: AsJson = False
) -> None:
    """Let a user in again."""
    _disabled(folder, environment, name, by, as_json, disabled=False)


@users.command()
def link(
    name: Name, by: By = "", folder: ProjectFolder = None, environment: Environment = "", as_json: AsJson = False
) -> None:
    """Print a one-time link with which a user chooses a new password."""

    async def work(desk: AccessDesk) -> tuple[User, str]:
        address = await _link(desk, name, by)
        return desk.access.users.get(name), address

    user, address = run(at_access(folder, environment, work))
    _print_link(user, address, as_json)


class AccessDesk:
    """What a command about access works with."""

    def __init__(self, settings: Settings, store: SqliteStore, access: Access) -> None:
        self.settings, self.store, self.access = settings, store, access


async def at_access(folder: Path | None, environment: str, work: Callable[[AccessDesk], Awaitable[T]]) -> T:
    """Do some work on the files of a project, beside a hub or without one."""
    settings = open_settings(folder, environment)
    store, access = SqliteStore(settings.database), Access(access_database(settings.database))
    try:
        return await work(AccessDesk(settings, store, access))
    finally:
        await store.close()
        await access.close()


def _disabled(folder: Path | None, environment: str, name: str, by: str, as_json: bool, *, disabled: bool) -> None:
    async def work(desk: AccessDesk) -> User:
        return await people.set_disabled(desk.store, desk.access, name, disabled=disabled, by=acting(by))

    _change(folder, environment, as_json, work)


def _change(
    folder: Path | None, environment: str, as_json: bool, work: Callable[[AccessDesk], Awaitable[User]]
) -> None:
    user = run(at_access(folder, environment, work))
    if as_json:
        print_json(_plain(user))
        return
    out.print(f"{user.name}: {', '.join(sorted(user.roles))}; {_state(user)}", markup=False)


async def _link(desk: AccessDesk, name: str, by: str) -> str:
    secret = await people.make_link(desk.store, desk.access, name, by=acting(by))
    return f"{desk.settings.hub.address()}/welcome/{secret}"


def _print_link(user: User, address: str, as_json: bool) -> None:
    if as_json:
        print_json({**_plain(user), "link": address})
        return
    out.print(f"{user.name}: {', '.join(sorted(user.roles))}", markup=False)
    out.print(address, markup=False, soft_wrap=True)
    hours = int(PASSWORD_FOR.total_seconds() // 3600)
    out.print(f"it works once, for {hours} hours: whoever opens it chooses the password of {user.name}", soft_wrap=True)


def _plain(user: User) -> dict[str, Any]:
    return {
        "name": user.name,
        "email": user.email,
        "roles": sorted(user.roles),
        "state": _state(user),
        "created_at": user.created_at,
        "signed_in_at": user.signed_in_at,
    }


def _state(user: User) -> str:
    return "disabled" if user.disabled else "may sign in" if user.can_sign_in else "no password yet"


def _when(user: User) -> str:
    return f"{user.signed_in_at:%Y-%m-%d %H:%M} UTC" if user.signed_in_at else "never"
