"""How a connector reads: the truth in the order asked, every change at least once, and no unsigned word believed."""

from __future__ import annotations

from datetime import datetime

import pytest

from tieline.connectors.sdk.contract.account import Account
from tieline.connectors.sdk.contract.liar import LATE, through
from tieline.connectors.sdk.contract.writing import IMPATIENT_S, outcome
from tieline.engine.ports import Applied, Connector
from tieline.errors import AuthorizationFailed, ConfigurationError, InvalidMessage, VendorUnavailable

MOST_PAGES = 100


async def told(connector: Connector, stream: str, cursor: str = "") -> tuple[list[tuple[str, str]], str]:
    """Everything a stream tells behind a cursor, and the cursor behind that."""
    changed: list[tuple[str, str]] = []
    for _ in range(MOST_PAGES):
        page = await connector.changes(stream, cursor)
        changed += page.changed
        cursor = page.cursor
        if not page.more:
            return changed, cursor
    raise AssertionError(f"{stream} told more than {MOST_PAGES} pages")


class ReadingContract:
    """Every kind and stream of the manifest, on the vendor's sandbox."""

    @pytest.mark.live
    async def test_the_connection_says_who_we_are(self, account: Account) -> None:
        async with account.connected() as connector:
            assert await connector.check()

    @pytest.mark.live
    async def test_wrong_credentials_are_told_as_such(self, account: Account) -> None:
        async with account.connected(**account.wrong_credentials) as connector:
            with pytest.raises(AuthorizationFailed):
                await connector.check()

    @pytest.mark.live
    async def test_closing_twice_is_closing(self, account: Account) -> None:
        async with account.connected() as connector:
            await connector.check()
            await connector.close()

    @pytest.mark.live
    async def test_what_does_not_stand_is_none_in_its_place(self, account: Account, kind: str) -> None:
        missing = account.missing[kind]
        async with account.connected() as connector:
            assert list(await connector.fetch(kind, [missing, "", missing])) == [None, None, None]
            assert list(await connector.fetch(kind, [])) == []

    async def test_what_stands_is_fetched_in_the_order_asked(self, account: Account, kind: str) -> None:
        try:
            standing = await account.record(kind)
        except KeyError:
            pytest.skip(f"the account cannot let {kind} stand by itself")
        async with account.connected() as connector:
            missing, found = await connector.fetch(kind, [account.missing[kind], standing])
        assert missing is None
        assert found

    @pytest.mark.live
    async def test_a_kind_it_does_not_hold_is_a_mistake_of_the_project(self, account: Account) -> None:
        async with account.connected() as connector:
            with pytest.raises(ConfigurationError):
                await connector.fetch("frobnicate", ["1"])
            with pytest.raises(ConfigurationError):
                await connector.catalogue("frobnicate")
            with pytest.raises(ConfigurationError):
                await connector.changes("frobnicate", "")

    @pytest.mark.live
    async def test_a_reference_list_is_read_whole(self, account: Account) -> None:
        async with account.connected() as connector:
            for catalogue in account.connector.manifest.catalogues:
                assert isinstance(await connector.catalogue(catalogue), list)

    async def test_a_document_that_stands_is_found_by_our_id(self, account: Account) -> None:
        """Find before create: by external id, tax number, name and address, never by likeness."""
        manifest = account.connector.manifest
        for operation in manifest.operations:
            if operation.kind in manifest.finds and operation.action == "ensure":
                call = account.call(operation, 1, external_id=await account.prepare(operation, 1))
                async with account.connected() as connector:
                    assert await connector.find(operation.kind, {"id": call.key.canonical_id}) == []
                    done = await outcome(connector, operation, call)
                    assert isinstance(done, Applied), done
                    found = await connector.find(operation.kind, {"id": call.key.canonical_id})
                assert [candidate.external_id for candidate in found] == [done.external_id]

    async def test_every_change_is_told_and_the_overlap_loses_none(self, account: Account, stream: str) -> None:
        """What changes between two sweeps, in the same second even, is told by the second."""
        try:
            first = await account.change(stream)
        except KeyError:
            pytest.skip(f"nothing of {stream} can change by itself")
        async with account.connected() as connector:
            before, cursor = await told(connector, stream)
            second = await account.change(stream)
            after, _ = await told(connector, stream, cursor)
        assert first in [native_id for native_id, _ in before]
        assert second in [native_id for native_id, _ in after]
        assert all(datetime.fromisoformat(stamp).tzinfo is not None for _, stamp in [*before, *after])

    @pytest.mark.live
    async def test_a_stream_stands_still_where_nothing_changed(self, account: Account, stream: str) -> None:
        async with account.connected() as connector:
            _, cursor = await told(connector, stream)
            _, again = await told(connector, stream, cursor)
            _, still = await told(connector, stream, again)
        assert still == again

    @pytest.mark.live
    async def test_a_cursor_of_somebody_else_is_refused(self, account: Account, stream: str) -> None:
        async with account.connected() as connector:
            with pytest.raises(ConfigurationError):
                await connector.changes(stream, "not a cursor of ours")

    async def test_a_read_without_an_answer_in_time_is_an_outage(self, account: Account) -> None:
        async with (
            through(account, LATE, writes=False) as proxy,
            account.connected(proxy.url, IMPATIENT_S) as connector,
        ):
            with pytest.raises(VendorUnavailable):
                await connector.check()

    async def test_no_unsigned_webhook_is_believed(self, account: Account) -> None:
        """Neither empty, nor nonsense, nor a true body without its proof."""
        delivery = account.delivery()
        bodies = [b"", b"{}", b"\xff\x00", b"[" * 1000, *([delivery.body] if delivery else [])]
        async with account.connected() as connector:
            for body in bodies:
                with pytest.raises(InvalidMessage):
                    await connector.notices({}, body, {})

    async def test_a_signed_webhook_is_read_and_known_again(self, account: Account) -> None:
        delivery = account.delivery()
        if delivery is None:
            pytest.skip("the vendor sends none")
        async with account.connected() as connector:
            first = await connector.notices(delivery.headers, delivery.body, delivery.query)
            again = await connector.notices(delivery.headers, delivery.body, delivery.query)
        assert first
        assert first == again
        assert {notice.kind for notice in first} <= set(account.connector.manifest.notices)

    @pytest.mark.live
    async def test_a_webhook_is_acknowledged_with_a_word_the_vendor_knows(self, account: Account) -> None:
        async with account.connected() as connector:
            status, media_type, body = connector.acknowledgement()
        assert 200 <= status < 500
        assert media_type
        assert isinstance(body, bytes)
