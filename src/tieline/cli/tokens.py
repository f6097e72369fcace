"""Commands about API tokens: what programs act with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from tieline.app.access import Token, people
from tieline.app.principal import Permission
from tieline.cli.opening import By, acting
from tieline.cli.output import AsJson, Environment, ProjectFolder, err, out, print_json, print_table, run
from tieline.cli.users import AccessDesk, at_access

tokens = typer.Typer(help="API tokens: list, create, revoke.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    app.add_typer(tokens, name="tokens")


@tokens.callback()
def default(
    context: typer.Context, folder: ProjectFolder = None, environment: Environment = "", as_json: AsJson = False
) -> None:
    """API tokens: list, create, revoke. Without a command: those that work."""
    if context.invoked_subcommand is None:
        list_tokens(folder=folder, environment=environment, as_json=as_json)


@tokens.command("list")
def list_tokens(
    user: Annotated[str | None, typer.Option(help="Only tokens of this user.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over or revoked.")] = False,
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """Tokens, the newest first; never what makes them tokens."""

    async def work(desk: AccessDesk) -> list[Token]:
        return desk.access.tokens.list(user)

    now = datetime.now(UTC)
    found = [token for token in run(at_access(folder, environment, work)) if everything or token.stands(now)]
    if as_json:
        print_json([_plain(token) for token in found])
    elif not found:
        out.print("no tokens; `tieline tokens create LABEL --user NAME --scope read` makes one")
    else:
        rows = [
            [t.id, t.user, t.label, ", ".join(sorted(t.scopes)), _state(t), f"{t.expires_at:%Y-%m-%d}", _used(t)]
            for t in found
        ]
        print_table("", ["token", "user", "for", "scopes", "state", "until", "last used"], rows)


@tokens.command()
def create(
    label: Annotated[str, typer.Argument(help="What it is for.")],
    user: Annotated[str, typer.Option(help="For whom it speaks; their roles limit it, too.")],
    scope: Annotated[list[Permission], typer.Option(help="What it may do; may be given several times.")],
    days: Annotated[int, typer.Option(help="How long it lasts.")] = 90,
    per_minute: Annotated[int, typer.Option(help="How many requests a minute; 0: as many as the API lets any.")] = 0,
    by: By = "",
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """Make a token, and print it this once."""

    async def work(desk: AccessDesk) -> tuple[Token, str]:
        return await people.issue_token(
            desk.store, desk.access, label, scope, days, by=acting(by), owner=user, per_minute=per_minute
        )

    token, secret = run(at_access(folder, environment, work))
    if as_json:
        print_json({**_plain(token), "secret": secret})
        return
    out.print(secret, markup=False, soft_wrap=True)
    err.print(
        f"token {token.id} of {token.user} until {token.expires_at:%Y-%m-%d}: {', '.join(sorted(token.scopes))}. "
        "It is not shown again",
        soft_wrap=True,
    )


@tokens.command()
def revoke(
    token_id: Annotated[str, typer.Argument(help="The token, as `tieline tokens` shows it.")],
    by: By = "",
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """A token works no more, from now on."""

    async def work(desk: AccessDesk) -> Token:
        return await people.revoke_token(desk.store, desk.access, token_id, by=acting(by))

    token = run(at_access(folder, environment, work))
    if as_json:
        print_json(_plain(token))
        return
    out.print(f"{token.id} ({token.label}) of {token.user} works no more", markup=False)


def _plain(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "user": token.user,
        "label": token.label,
        "scopes": sorted(token.scopes),
        "state": _state(token),
        "per_minute": token.per_minute,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "used_at": token.used_at,
        "revoked_at": token.revoked_at,
    }


def _state(token: Token) -> str:
    return "revoked" if token.revoked_at else "works" if token.stands(datetime.now(UTC)) else "over"


def _used(token: Token) -> str:
    return f"{token.used_at:%Y-%m-%d %H:%M} UTC" if token.used_at else "never"
