"""How a connector writes: once, whatever becomes of the answers."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from tieline.connectors.sdk.contract.account import Account, Standing
from tieline.connectors.sdk.contract.liar import DROPPED, LATE, LOST, throttled, through
from tieline.engine.ports import Absent, Applied, Call, Connector, Finding, Operation, Outcome, Safety
from tieline.errors import (
    AuthorizationFailed,
    ConfigurationError,
    OutcomeUnknown,
    PermanentError,
    RateLimited,
    TielineError,
    VendorUnavailable,
)

ONCE = Standing(1, 1)
IMPATIENT_S = 0.2


async def outcomes(connector: Connector, operation: Operation, calls: Sequence[Call]) -> Sequence[Outcome]:
    """What became of each call; an exception speaks for all of them."""
    try:
        return await connector.send(operation, calls)
    except TielineError as error:
        return [error] * len(calls)


async def outcome(connector: Connector, operation: Operation, call: Call) -> Outcome:
    (one,) = await outcomes(connector, operation, [call])
    return one


async def finding(connector: Connector, operation: Operation, call: Call) -> Finding:
    """What a probe of one call found."""
    try:
        (one,) = await connector.probe(operation, [call])
    except TielineError as error:
        return error
    return one


async def settled(connector: Connector, operation: Operation, call: Call) -> Applied:
    """What the engine does with a doubt: ask, and send again only what is absent."""
    found = await finding(connector, operation, call)
    if isinstance(found, Absent):
        found = await outcome(connector, operation, msgspec.structs.replace(call, external_id=found.external_id))
    assert isinstance(found, Applied), found
    return found


class WritingContract:
    """Every operation of the manifest, on the vendor's sandbox."""

    async def test_a_document_is_written_once(self, account: Account, operation: Operation) -> None:
        external_id = await account.prepare(operation, 1)
        call = account.call(operation, 1, external_id=external_id)
        async with account.connected() as connector:
            done = await outcome(connector, operation, call)
        assert isinstance(done, Applied), done
        assert account.standing(operation, call) == ONCE

    async def test_what_was_sent_before_is_not_doubled_by_sending_it_again(
        self, account: Account, operation: Operation
    ) -> None:
        """A redelivered call, with its idempotency key. Where nothing is kept unique, the engine asks first."""
        if operation.safety is Safety.LOOK_UP_FIRST:
            pytest.skip("look up first: the engine probes before it sends again, as the tests of doubt do")
        external_id = await account.prepare(operation, 1)
        call = account.call(operation, 1, external_id=external_id)
        async with account.connected() as connector:
            await outcome(connector, operation, call)
            again = await outcome(connector, operation, call)
            if isinstance(again, OutcomeUnknown):
                again = await settled(connector, operation, call)
        assert isinstance(again, Applied), again
        assert account.standing(operation, call) == ONCE

    async def test_a_known_document_is_changed_in_place(self, account: Account, operation: Operation) -> None:
        if not account.changes_content(operation):
            pytest.skip("this vendor takes no other content for it")
        external_id = await account.prepare(operation, 1)
        async with account.connected() as connector:
            first = await outcome(connector, operation, account.call(operation, 1, external_id=external_id))
            assert isinstance(first, Applied), first
            changed = account.call(operation, 1, content=1, external_id=first.external_id)
            second = await outcome(connector, operation, changed)
        assert isinstance(second, Applied), second
        assert second.external_id == first.external_id
        assert account.standing(operation, changed) == ONCE

    async def test_a_probe_tells_absent_standing_and_other_content(
        self, account: Account, operation: Operation
    ) -> None:
        external_id = await account.prepare(operation, 1)
        call = account.call(operation, 1, external_id=external_id)
        async with account.connected() as connector:
            assert isinstance(await finding(connector, operation, call), Absent)
            done = await outcome(connector, operation, call)
            assert isinstance(done, Applied), done
            found = await finding(connector, operation, call)
            assert isinstance(found, Applied), found
            assert found.external_id == done.external_id
            if account.changes_content(operation):
                other = account.call(operation, 1, content=1, external_id=done.external_id)
                differing = await finding(connector, operation, other)
                assert differing == Absent(external_id=done.external_id)

    async def test_a_lost_answer_is_a_doubt_that_asking_settles(self, account: Account, operation: Operation) -> None:
        external_id = await account.prepare(operation, 1)
        call = account.call(operation, 1, external_id=external_id)
        async with through(account, LOST, writes=True) as proxy, account.connected(proxy.url) as connector:
            lost = await outcome(connector, operation, call)
            assert isinstance(lost, OutcomeUnknown), lost
            assert isinstance(await finding(connector, operation, call), Applied)
        assert account.standing(operation, call) == ONCE

    async def test_a_request_that_never_arrived_is_found_absent(self, account: Account, operation: Operation) -> None:
        external_id = await account.prepare(operation, 1)
        call = account.call(operation, 1, external_id=external_id)
        async with through(account, DROPPED, writes=True) as proxy, account.connected(proxy.url) as connector:
            dropped = await outcome(connector, operation, call)
            assert isinstance(dropped, OutcomeUnknown), dropped
            assert isinstance(await finding(connector, operation, call), Absent)
            await settled(connector, operation, call)
        assert account.standing(operation, call) == ONCE

    async def test_a_write_without_an_answer_in_time_is_in_doubt(self, account: Account, operation: Operation) -> None:
        external_id = await account.prepare(operation, 1)
        call = account.call(operation, 1, external_id=external_id)
        async with (
            through(account, LATE, writes=True) as proxy,
            account.connected(proxy.url, IMPATIENT_S) as connector,
        ):
            assert isinstance(await outcome(connector, operation, call), OutcomeUnknown)

    async def test_one_refused_document_does_not_harm_its_neighbours(
        self, account: Account, operation: Operation
    ) -> None:
        """Each call has its own answer, in order."""
        bad = await account.refused(operation)
        if bad is None:
            pytest.skip("the vendor refuses no content of it")
        ids = [await account.prepare(operation, number) for number in (1, 2)]
        first, second = (account.call(operation, n, external_id=i) for n, i in zip((1, 2), ids, strict=True))
        async with account.connected() as connector:
            one, refused, two = await outcomes(connector, operation, [first, bad, second])
        assert isinstance(one, Applied), one
        assert isinstance(refused, PermanentError), refused
        assert isinstance(two, Applied), two
        assert account.standing(operation, first) == account.standing(operation, second) == ONCE

    async def test_nothing_to_send_is_nothing_to_ask(self, account: Account, operation: Operation) -> None:
        async with through(account) as proxy, account.connected(proxy.url) as connector:
            assert list(await connector.send(operation, [])) == []
            assert list(await connector.probe(operation, [])) == []
            assert proxy.requests == 0

    async def test_credentials_that_are_not_accepted_are_no_refusal_of_the_document(
        self, account: Account, operation: Operation
    ) -> None:
        external_id = await account.prepare(operation, 1)
        call = account.call(operation, 1, external_id=external_id)
        async with account.connected(**account.wrong_credentials) as connector:
            assert isinstance(await outcome(connector, operation, call), AuthorizationFailed)

    async def test_every_throttle_is_a_wait_and_not_a_refusal(self, account: Account) -> None:
        """With the wait the vendor asks for, in seconds or as a date; one of our own where it names none."""
        operation = self._first(account)
        external_id = await account.prepare(operation, 1)
        call = account.call(operation, 1, external_id=external_id)
        for refusal in account.throttles:
            for header, least, most in (("", 0.01, 3600.0), ("7", 7.0, 7.0), ("+7", 5.0, 7.5), ("soon", 0.01, 3600.0)):
                lie = throttled(refusal, header)
                async with through(account, lie, writes=True) as proxy, account.connected(proxy.url) as connector:
                    await connector.check()
                    limited = await outcome(connector, operation, call)
                assert isinstance(limited, RateLimited), (refusal, limited)
                assert least <= limited.retry_after_s <= most, (refusal, header, limited.retry_after_s)
        assert account.standing(operation, call) != ONCE

    async def test_nobody_answering_means_that_nothing_was_done(self, account: Account) -> None:
        operation = self._first(account)
        external_id = await account.prepare(operation, 1)
        call = account.call(operation, 1, external_id=external_id)
        async with account.connected("http://127.0.0.1:9") as connector:
            assert isinstance(await outcome(connector, operation, call), VendorUnavailable)

    async def test_an_operation_it_does_not_offer_is_a_mistake_of_the_project(self, account: Account) -> None:
        operation = self._first(account)
        unknown = msgspec.structs.replace(operation, action="frobnicate")
        async with account.connected() as connector:
            with pytest.raises(ConfigurationError):
                await connector.send(unknown, [account.call(operation, 1)])

    def _first(self, account: Account) -> Operation:
        if not account.connector.manifest.operations:
            pytest.skip("it writes nothing")
        return account.connector.manifest.operations[0]
