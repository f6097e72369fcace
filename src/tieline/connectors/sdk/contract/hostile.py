"""What a connector may conclude from lies: nothing false, in bounded time, and never an error that is not ours.

A write: "done" only when it stands, "nothing was done" and "refused" only when the answer could know it. A probe never
says "absent" of what stands, because absent means that it is sent again. A read gives the truth or an error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from tieline.connectors.sdk.contract.account import Account, Standing
from tieline.connectors.sdk.contract.liar import DEAD_TOKEN, TOKEN_LIES, Lie, lifetime, through
from tieline.connectors.sdk.contract.reading import told
from tieline.connectors.sdk.contract.writing import IMPATIENT_S, ONCE, finding, outcome, settled
from tieline.engine.ports import Absent, Applied, Connector, Operation, Wire
from tieline.errors import AuthorizationFailed, OutcomeUnknown, TielineError, TransientError, VendorUnavailable

MOST_REQUESTS = 60
LONGEST_S = 5.0


def patience(lie: Lie) -> float:
    return IMPATIENT_S if lie.slow else LONGEST_S


class HostileContract:
    """The sandbox behind a liar."""

    async def test_no_lie_about_a_write_is_believed(self, account: Account, lie: Lie) -> None:
        """And once the lies end, the document stands exactly once."""
        operation = _creating(account)
        external_id = await account.prepare(operation, 1)
        call = account.call(operation, 1, external_id=external_id)
        async with through(account, lie, writes=True) as liar, account.connected(liar.url, patience(lie)) as connector:
            async with asyncio.timeout(LONGEST_S):
                said = await outcome(connector, operation, call)
            assert liar.told, "the lie was never told"
            assert liar.requests <= MOST_REQUESTS
        _check_word(said, lie, account.standing(operation, call))
        async with account.connected() as connector:
            await settled(connector, operation, call)
        assert account.standing(operation, call) == ONCE

    async def test_no_lie_about_a_change_or_a_deed_is_believed(self, account: Account, change_lie: Lie) -> None:
        """An update and a withdrawal have answers of other shapes than a creation."""
        manifest = account.connector.manifest
        deeds = [operation for operation in manifest.operations if operation.action != "ensure"]
        changes = [operation for operation in manifest.operations[:1] if account.changes_content(operation)]
        for operation in [*changes, *deeds]:
            external_id = await account.prepare(operation, 1)
            if operation in changes:
                async with account.connected() as connector:
                    first = await outcome(connector, operation, account.call(operation, 1, external_id=external_id))
                assert isinstance(first, Applied), first
                external_id = first.external_id
            call = account.call(operation, 1, content=1, external_id=external_id)
            async with (
                through(account, change_lie, writes=True) as liar,
                account.connected(liar.url, patience(change_lie)) as connector,
                asyncio.timeout(LONGEST_S),
            ):
                said = await outcome(connector, operation, call)
            _check_word(said, change_lie, account.standing(operation, call))

    async def test_no_lie_makes_a_standing_document_absent(self, account: Account, read_lie: Lie) -> None:
        """A probe that says "absent" of what stands has it sent a second time."""
        operation = _creating(account)
        external_id = await account.prepare(operation, 1)
        call = account.call(operation, 1, external_id=external_id)
        async with account.connected() as connector:
            assert isinstance(await outcome(connector, operation, call), Applied)
        async with (
            through(account, read_lie, writes=False) as liar,
            account.connected(liar.url, patience(read_lie)) as connector,
        ):
            async with asyncio.timeout(LONGEST_S):
                found = await finding(connector, operation, call)
            assert liar.requests <= MOST_REQUESTS
        if isinstance(found, Absent):
            # what is known to stand there is changed in place, which doubles nothing
            assert found.external_id, f"{read_lie.name} was taken for an answer"
        assert not isinstance(found, OutcomeUnknown), "a read leaves no outcome unknown"

    async def test_no_lie_hides_a_record_or_a_change(self, account: Account, fetch_lie: Lie) -> None:
        """A record that stands is fetched as it is, or the read fails; a change that is not told is not passed over."""
        kind, standing = await _readable(account)
        async with account.connected() as connector:
            (truth,) = await connector.fetch(kind, [standing])
        async with (
            through(account, fetch_lie, writes=False) as liar,
            account.connected(liar.url, patience(fetch_lie)) as connector,
        ):
            async with asyncio.timeout(LONGEST_S):
                found = await _fetched(connector, kind, standing)
            assert liar.requests <= MOST_REQUESTS
        assert isinstance(found, TielineError) or _told_at(liar.url, found) == _told_at(account.url, truth)
        assert not isinstance(found, OutcomeUnknown), "a read leaves no outcome unknown"

    async def test_no_lie_moves_a_cursor_past_a_change(self, account: Account, stream_lie: Lie) -> None:
        stream, changed = await _changed(account)
        async with (
            through(account, stream_lie, writes=False) as liar,
            account.connected(liar.url, patience(stream_lie)) as connector,
        ):
            try:
                async with asyncio.timeout(LONGEST_S):
                    page = await connector.changes(stream, "")
            except TielineError as error:
                assert not isinstance(error, OutcomeUnknown)  # noqa: PT017 - either way is right
                return
            finally:
                assert liar.requests <= MOST_REQUESTS
        async with account.connected() as connector:
            rest, _ = await told(connector, stream, page.cursor)
        assert changed in [native_id for native_id, _ in [*page.changed, *rest]], stream_lie.name

    @pytest.mark.parametrize("told_lifetime", [b'"soon"', b"-5", b"0", b"1e999", b"null", b'{"a": 1}', b"99999999999"])
    async def test_a_token_whose_lifetime_is_nonsense_is_used(self, account: Account, told_lifetime: bytes) -> None:
        _needs_tokens(account)
        async with (
            through(account, lifetime(told_lifetime), tokens=True) as liar,
            account.connected(liar.url) as connector,
        ):
            assert await connector.check()
            assert liar.told >= 1

    async def test_a_token_that_dies_before_its_time_is_renewed_once(self, account: Account) -> None:
        _needs_tokens(account)
        async with through(account, DEAD_TOKEN, times=1) as liar, account.connected(liar.url) as connector:
            assert await connector.check()
            assert liar.told == 1

    @pytest.mark.parametrize("token_lie", TOKEN_LIES, ids=lambda lie: lie.name)
    async def test_a_false_token_endpoint_leaves_the_document_unsent(self, account: Account, token_lie: Lie) -> None:
        _needs_tokens(account)
        operation = _creating(account)
        call = account.call(operation, 1, external_id=await account.prepare(operation, 1))
        async with through(account, token_lie, tokens=True) as liar, account.connected(liar.url) as connector:
            said = await outcome(connector, operation, call)
        assert isinstance(said, VendorUnavailable | AuthorizationFailed), said
        assert account.standing(operation, call) != ONCE


def _check_word(said: object, lie: Lie, standing: Standing) -> None:
    if isinstance(said, Applied):
        assert standing == ONCE, f"{lie.name} was believed: nothing stands"
        return
    assert isinstance(said, TielineError)
    if not lie.knowable:
        assert isinstance(said, OutcomeUnknown), f"{lie.name}: whether it was done cannot be known, yet {said!r}"
    elif isinstance(said, TransientError):
        assert standing != ONCE


def _creating(account: Account) -> Operation:
    operations: Sequence[Operation] = account.connector.manifest.operations
    if not operations:
        pytest.skip("it writes nothing")
    return operations[0]


async def _changed(account: Account) -> tuple[str, str]:
    """A stream and the id of something that it tells."""
    for stream in account.connector.manifest.streams:
        try:
            return stream, await account.change(stream)
        except KeyError:
            continue
    pytest.skip("nothing that a stream tells can change by itself")


async def _readable(account: Account) -> tuple[str, str]:
    for kind in account.connector.manifest.reads:
        try:
            return kind, await account.record(kind)
        except KeyError:
            continue
    pytest.skip("no record can be made to stand by itself")


def _told_at(url: str, record: Wire | None) -> bytes:
    """A record without the address it was read from, which is in its links."""
    return msgspec.json.encode(record).replace(url.encode(), b"")


async def _fetched(connector: Connector, kind: str, native_id: str) -> Wire | TielineError | None:
    try:
        (found,) = await connector.fetch(kind, [native_id])
    except TielineError as error:
        return error
    return found


def _needs_tokens(account: Account) -> None:
    if not account.token_path:
        pytest.skip("this login gets no tokens")
