"""Sessions, tokens, links and failed sign-ins, on the file itself, with a clock that the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from tieline.app.access import Access, access_database, new_user, people
from tieline.app.access.links import FIRST_ADMIN, LinkSpent
from tieline.app.access.passwords import PasswordRefused, Passwords, check_password
from tieline.app.access.sessions import IDLE, LONGEST
from tieline.app.access.signing_in import Caller, SignInFailed, sign_in, use_link
from tieline.app.access.throttle import FREE_FOR_ADDRESS, FREE_FOR_USER, TooManyAttempts
from tieline.app.access.users import user_name
from tieline.app.principal import NotAllowed, Permission, Principal, Role, local_principal
from tieline.errors import ConfigurationError, TielineError
from tieline.storage.memory import MemoryStore

PASSWORD = "correct horse battery"
HOME = Caller(address="10.0.0.1", browser="Firefox")
EASY = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
"""Hashes of little effort, so that the tests are quick."""
ROOT = local_principal("root")


class Time:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 2, 9, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def pass_by(self, span: timedelta) -> None:
        self.at += span


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def access(tmp_path: Path, time: Time) -> AsyncIterator[Access]:
    opened = Access(tmp_path / "tieline-access.db", time.now)
    opened.passwords = EASY
    yield opened
    await opened.close()


async def make(access: Access, name: str, *roles: Role, password: str = "") -> Principal:
    await access.users.add(new_user(name, "", roles or (Role.VIEWER,), access.now()))
    if password:
        await access.users.set_password(name, await access.passwords.hash(password))
    return access.users.get(name).principal()


async def told(store: MemoryStore) -> list[tuple[str, bytes]]:
    return [(event.type.split(".")[1], event.data) for event in await store.events()]


# --- sessions ---------------------------------------------------------------------------------------------------------


async def test_a_session_ends_when_it_is_not_used(access: Access, time: Time) -> None:
    cookie = await access.open_session(await make(access, "ada"))
    for _ in range(3):
        time.pass_by(IDLE - timedelta(minutes=1))
        assert await access.principal(cookie) is not None
    time.pass_by(IDLE)
    assert await access.principal(cookie) is None


async def test_a_session_ends_after_a_week_however_much_it_is_used(access: Access, time: Time) -> None:
    cookie = await access.open_session(await make(access, "ada"))
    for _ in range(LONGEST // timedelta(hours=7)):
        assert await access.principal(cookie) is not None
        time.pass_by(timedelta(hours=7))
    assert await access.principal(cookie) is None


async def test_a_page_that_refreshes_itself_does_not_keep_its_session_open(access: Access, time: Time) -> None:
    cookie = await access.open_session(await make(access, "ada"))
    time.pass_by(IDLE / 2)
    assert access.goes_on(cookie)
    time.pass_by(IDLE / 2)
    assert not access.goes_on(cookie)


async def test_roles_are_those_of_now_and_who_is_disabled_is_out_at_once(access: Access, store: MemoryStore) -> None:
    cookie = await access.open_session(await make(access, "ada", Role.VIEWER))
    await people.set_roles(store, access, "ada", [Role.STEWARD], by=ROOT)
    ada = await access.principal(cookie)
    assert ada is not None
    assert ada.may(Permission.CORRECT)
    await people.set_disabled(store, access, "ada", disabled=True, by=ROOT)
    assert await access.principal(cookie) is None


async def test_sessions_and_the_secret_of_forms_survive_a_restart(access: Access, time: Time, tmp_path: Path) -> None:
    cookie = await access.open_session(await make(access, "ada"))
    again = Access(tmp_path / "tieline-access.db", time.now)
    assert await again.principal(cookie) is not None
    assert again.secret == access.secret
    await again.close()


# --- tokens -----------------------------------------------------------------------------------------------------------


async def test_a_token_speaks_for_its_owner_within_its_scopes(access: Access, store: MemoryStore) -> None:
    """And makes no other token that may do more than itself."""
    ada = await make(access, "ada", Role.STEWARD)
    _, secret = await people.issue_token(store, access, "export", [Permission.READ], 30, by=ada)
    bearer = await access.bearer(secret)
    assert bearer is not None
    assert bearer.name == "ada"
    with pytest.raises(NotAllowed, match="no scope 'correct'"):
        bearer.require(Permission.CORRECT)
    with pytest.raises(NotAllowed, match="no scope 'correct'"):
        await people.issue_token(store, access, "more", [Permission.CORRECT], 30, by=bearer)


async def test_a_token_allows_no_more_than_its_owner_may_now(access: Access, store: MemoryStore) -> None:
    ada = await make(access, "ada", Role.STEWARD)
    _, secret = await people.issue_token(store, access, "maps", [Permission.READ, Permission.CORRECT], 30, by=ada)
    await people.set_roles(store, access, "ada", [Role.VIEWER], by=ROOT)
    bearer = await access.bearer(secret)
    assert bearer is not None
    assert not bearer.may(Permission.CORRECT)


async def test_a_token_that_expired_was_revoked_or_whose_owner_is_disabled_is_nobody(
    access: Access, store: MemoryStore, time: Time
) -> None:
    ada = await make(access, "ada")
    short, long, mine = [
        await people.issue_token(store, access, f"{days}", [Permission.READ], days, by=ada) for days in (1, 9, 9)
    ]
    time.pass_by(timedelta(days=1))
    assert await access.bearer(short[1]) is None
    await people.revoke_token(store, access, long[0].id, by=ada)
    assert await access.bearer(long[1]) is None
    assert await access.bearer(mine[1]) is not None
    await people.set_disabled(store, access, "ada", disabled=True, by=ROOT)
    assert await access.bearer(mine[1]) is None
    assert await access.bearer("tl_made_up") is None


async def test_nobody_makes_a_token_with_a_right_they_lack_or_for_another(access: Access, store: MemoryStore) -> None:
    ada = await make(access, "ada", Role.VIEWER)
    await make(access, "bo", Role.ADMIN)
    with pytest.raises(NotAllowed):
        await people.issue_token(store, access, "more", [Permission.OPERATE], 30, by=ada)
    with pytest.raises(NotAllowed):
        await people.issue_token(store, access, "other", [Permission.READ], 30, by=ada, owner="bo")
    token, _ = await people.issue_token(store, access, "bo's", [Permission.READ], 30, by=ROOT, owner="bo")
    with pytest.raises(NotAllowed):
        await people.revoke_token(store, access, token.id, by=ada)


# --- links ------------------------------------------------------------------------------------------------------------


async def test_a_link_works_once(access: Access, store: MemoryStore) -> None:
    await make(access, "ada")
    link = await people.make_link(store, access, "ada", by=ROOT)
    assert await access.principal(await use_link(store, access, link, "", PASSWORD, HOME)) is not None
    with pytest.raises(LinkSpent):
        await use_link(store, access, link, "", PASSWORD + "!", HOME)
    await sign_in(store, access, "ada", PASSWORD, HOME)


async def test_a_refused_password_does_not_spend_the_link(access: Access, store: MemoryStore) -> None:
    await make(access, "ada")
    link = await people.make_link(store, access, "ada", by=ROOT)
    with pytest.raises(PasswordRefused):
        await use_link(store, access, link, "", "short", HOME)
    await use_link(store, access, link, "", PASSWORD, HOME)


async def test_a_link_is_over_when_its_time_is_or_when_a_newer_one_is_made(
    access: Access, store: MemoryStore, time: Time
) -> None:
    await make(access, "ada")
    first = await people.make_link(store, access, "ada", by=ROOT)
    second = await people.make_link(store, access, "ada", by=ROOT)
    with pytest.raises(LinkSpent):
        access.links.find(first)
    time.pass_by(timedelta(hours=24))
    with pytest.raises(LinkSpent):
        access.links.find(second)


async def test_the_first_admin_comes_by_a_link(access: Access, store: MemoryStore) -> None:
    link = await access.links.make(FIRST_ADMIN)
    assert not access.users.has_admin()
    await use_link(store, access, link, "Ada", PASSWORD, HOME)
    assert access.users.has_admin()
    assert access.users.get("ada").roles == {Role.ADMIN}


# --- admins -----------------------------------------------------------------------------------------------------------


async def test_the_last_admin_who_can_sign_in_stays(access: Access, store: MemoryStore) -> None:
    ada = await make(access, "ada", Role.ADMIN, password=PASSWORD)
    await people.add_user(store, access, "bo", "", [Role.ADMIN], by=ada)  # has no password yet: no way in
    with pytest.raises(TielineError, match="only admin"):
        await people.set_disabled(store, access, "ada", disabled=True, by=ada)
    with pytest.raises(TielineError, match="only admin"):
        await people.set_roles(store, access, "ada", [Role.VIEWER], by=ada)
    link = await people.make_link(store, access, "bo", by=ada)
    await use_link(store, access, link, "", PASSWORD, HOME)
    await people.set_disabled(store, access, "ada", disabled=True, by=ada)
    assert access.users.get("ada").disabled


async def test_only_an_admin_changes_users(access: Access, store: MemoryStore) -> None:
    eve = await make(access, "eve", Role.VIEWER, Role.OPERATOR, Role.STEWARD, Role.APPROVER)
    for refused in (
        people.add_user(store, access, "friend", "", [Role.ADMIN], by=eve),
        people.set_roles(store, access, "eve", [Role.ADMIN], by=eve),
        people.set_disabled(store, access, "eve", disabled=True, by=eve),
        people.make_link(store, access, "eve", by=eve),
    ):
        with pytest.raises(NotAllowed):
            await refused
    assert await told(store) == []


@pytest.mark.parametrize("name", ["", " ", "a b", "Ädä", "-a", "x" * 101, "a/b", "а"])
def test_names_that_could_be_taken_for_another_are_refused(name: str) -> None:
    with pytest.raises(TielineError, match="user name"):
        user_name(name)


# --- passwords and failed sign-ins ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "password", ["short", "aaaaaaaaaaaaaaaa", "ada.lovelace1815", "Ada.Lovelace@example.com", "x" * 300]
)
def test_passwords_that_are_easy_to_guess_are_refused(password: str) -> None:
    with pytest.raises(PasswordRefused):
        check_password(password, "ada.lovelace@example.com")


async def test_a_hash_of_less_effort_is_replaced_at_sign_in(access: Access, store: MemoryStore) -> None:
    await make(access, "ada", password=PASSWORD)
    weak, access.passwords = access.users.password("ada"), Passwords()
    await sign_in(store, access, "ada", PASSWORD, HOME)
    assert access.passwords.outdated(weak)
    assert not access.passwords.outdated(access.users.password("ada"))


async def test_a_disabled_user_does_not_come_in_and_is_not_told_why(access: Access, store: MemoryStore) -> None:
    await make(access, "ada", password=PASSWORD)
    await people.set_disabled(store, access, "ada", disabled=True, by=ROOT)
    with pytest.raises(SignInFailed, match="the name or the password is wrong"):
        await sign_in(store, access, "ada", PASSWORD, HOME)


async def fail(access: Access, store: MemoryStore, name: str, caller: Caller) -> None:
    with pytest.raises(SignInFailed):
        await sign_in(store, access, name, "wrong", caller)


async def test_failed_sign_ins_wait_longer_each_time_also_after_a_restart(
    access: Access, store: MemoryStore, time: Time, tmp_path: Path
) -> None:
    await make(access, "ada", password=PASSWORD)
    for _ in range(FREE_FOR_USER):
        await fail(access, store, "ada", HOME)
    again = Access(tmp_path / "tieline-access.db", time.now)
    again.passwords = EASY
    with pytest.raises(TooManyAttempts) as refused:
        await sign_in(store, again, "ada", PASSWORD, HOME)
    assert refused.value.retry_after_s == 1
    time.pass_by(timedelta(seconds=1))
    await fail(again, store, "ada", HOME)
    with pytest.raises(TooManyAttempts) as refused:
        await sign_in(store, again, "ada", PASSWORD, HOME)
    assert refused.value.retry_after_s == 2
    time.pass_by(timedelta(seconds=2))
    await sign_in(store, again, "ada", PASSWORD, HOME)
    await again.close()


async def test_who_guesses_elsewhere_does_not_keep_a_person_out_where_they_are_known(
    access: Access, store: MemoryStore
) -> None:
    await make(access, "ada", password=PASSWORD)
    await sign_in(store, access, "ada", PASSWORD, HOME)
    elsewhere = Caller(address="203.0.113.9")
    for _ in range(FREE_FOR_USER):
        await fail(access, store, "ada", elsewhere)
    with pytest.raises(TooManyAttempts):
        await sign_in(store, access, "ada", PASSWORD, elsewhere)
    await sign_in(store, access, "ada", PASSWORD, HOME)


async def test_one_address_does_not_try_name_after_name(access: Access, time: Time) -> None:
    for number in range(FREE_FOR_ADDRESS):
        await access.throttle.attempt(f"name{number}", "203.0.113.9")
    with pytest.raises(TooManyAttempts):
        await access.throttle.attempt("another", "203.0.113.9")
    await access.throttle.attempt("another", "10.0.0.1")
    time.pass_by(timedelta(hours=25))
    await access.throttle.attempt("another", "203.0.113.9")


# --- what is kept -----------------------------------------------------------------------------------------------------


async def test_secrets_stand_neither_in_the_log_nor_in_the_file(
    access: Access, store: MemoryStore, tmp_path: Path
) -> None:
    ada = await make(access, "ada", Role.ADMIN)
    link = await people.make_link(store, access, "ada", by=ada)
    cookie = await use_link(store, access, link, "", PASSWORD, HOME)
    _, token = await people.issue_token(store, access, "export", [Permission.READ], 30, by=ada)
    await fail(access, store, "my-password-in-the-wrong-field", HOME)
    await fail(access, store, "ada", HOME)
    session = cookie
    await people.change_password(
        store, access, PASSWORD, PASSWORD + " two", session=session, address=HOME.address, by=ada
    )
    secrets = [link, cookie, token, PASSWORD, "my-password-in-the-wrong-field"]
    log = b"".join(data for _, data in await told(store))
    await access.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())  # noqa: ASYNC240 - a few pages
    assert [s for s in secrets if s.encode() in log or s.encode() in kept] == []
    assert [name for name, _ in await told(store)] == [
        "UserChanged",
        "UserChanged",
        "SignedIn",
        "TokenIssued",
        "SignInRefused",
        "SignInRefused",
        "UserChanged",
    ]


async def test_the_file_is_for_its_owner_only_and_a_newer_one_is_refused(access: Access, tmp_path: Path) -> None:
    path = access_database(tmp_path / "tieline.db")
    assert path == tmp_path / "tieline-access.db"
    assert path.stat().st_mode & 0o077 == 0
    await access._file.write(lambda connection: connection.execute("PRAGMA user_version = 99") and None)
    with pytest.raises(ConfigurationError, match="newer Tieline"):
        Access(path)
