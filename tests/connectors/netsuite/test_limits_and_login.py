"""Throttles in every disguise, outages, tokens that die, credentials that never worked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tests.connectors.netsuite.conftest import CUSTOMER, Books, changed

from tieline.connectors.netsuite import NetSuiteConnector, NetSuiteSettings
from tieline.connectors.netsuite.errors import LOGIN_DOUBT_CALLS, LOGIN_DOUBT_S, Refusals
from tieline.connectors.sdk import Answer
from tieline.engine.ports import Applied
from tieline.errors import AuthorizationFailed, ConfigurationError, RateLimited, VendorUnavailable
from tieline.mapping import MappingSet
from tieline_sandbox.netsuite import Sandbox


@pytest.fixture(scope="session")
def key_pair() -> tuple[str, str]:
    """(private, public) PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


@pytest_asyncio.fixture(loop_scope="session")
async def machine(
    sandbox: tuple[Sandbox, str], key_pair: tuple[str, str], mappings: MappingSet
) -> AsyncIterator[Books]:
    """A connection by OAuth 2.0 machine to machine."""
    account, url = sandbox
    account.configure({"certificates": {"cert-1": key_pair[1]}, "client_id": "client-1"})
    settings = NetSuiteSettings(
        url=url, client_id="client-1", certificate_id="cert-1", private_key=key_pair[0], subsidiary="Northwind GmbH"
    )
    connector = NetSuiteConnector("netsuite", settings)
    yield Books(account, connector, mappings)
    await connector.close()


async def test_a_machine_logs_in_with_its_certificate_and_renews_a_dead_token(machine: Books) -> None:
    assert "2 subsidiaries" in await machine.connector.check()
    machine.sandbox.act("revoke_tokens", {})
    assert isinstance(await machine.send("customer", CUSTOMER), Applied)


def test_a_key_of_another_kind_than_the_algorithm_is_a_setting_to_put_right() -> None:
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    settings = NetSuiteSettings(
        url="https://x.example", client_id="c", certificate_id="k", private_key=key.decode(), algorithm="PS256"
    )
    with pytest.raises(ConfigurationError, match="not a PEM key that PS256 can sign with"):
        NetSuiteConnector("netsuite", settings)
    NetSuiteConnector("netsuite", changed(settings, algorithm="ES256"))


async def test_a_wrong_certificate_is_told_without_the_key(machine: Books, key_pair: tuple[str, str]) -> None:
    machine.sandbox.configure({"certificates": {}})
    with pytest.raises(AuthorizationFailed) as refused:
        await machine.connector.check()
    assert "PRIVATE KEY" not in str(refused.value)


@pytest.mark.parametrize("disguise", ["", "misleading_login", "limit_as_400"])
async def test_beyond_the_accounts_slots_every_disguise_is_a_throttle(books: Books, disguise: str) -> None:
    await books.post_customer()
    books.sandbox.configure({"slots": 0})
    if disguise:
        books.fail(disguise)
    with pytest.raises(RateLimited) as limited:
        await books.send("customer", CUSTOMER)
    assert limited.value.retry_after_s > 0
    books.sandbox.configure({"slots": 5})
    assert isinstance(await books.send("customer", CUSTOMER), Applied)


async def test_the_connection_never_has_more_calls_in_flight_than_its_slots(books: Books) -> None:
    books.sandbox.configure({"service_ms": 5})
    calls = [books.call("customer", CUSTOMER | {"id": f"salesforce-{n}"}) for n in range(20)]
    outcomes = await books.connector.send(books.operation("customer"), calls)
    assert all(isinstance(outcome, Applied) for outcome in outcomes)
    (slots,) = books.sandbox.documents()["slots"]
    assert slots == {"refused": 0, "peak": 5}


async def test_an_outage_is_unavailability_when_nothing_was_sent(books: Books) -> None:
    books.fail("status", status=503, times=2)
    with pytest.raises(VendorUnavailable):
        await books.send("customer", CUSTOMER)
    with pytest.raises(VendorUnavailable):
        await books.connector.catalogue("currency")


async def test_a_read_is_tried_again_when_a_kept_connection_breaks(books: Books) -> None:
    await books.connector.catalogue("currency")
    books.fail("drop_request", method="POST", path="suiteql")
    assert len(await books.connector.catalogue("currency")) == 4


async def test_a_wrong_login_that_never_worked_is_no_throttle(
    sandbox: tuple[Sandbox, str], settings: NetSuiteSettings
) -> None:
    connector = NetSuiteConnector("netsuite", changed(settings, token_secret="wrong"))
    try:
        with pytest.raises(AuthorizationFailed, match="does not accept our login"):
            await connector.check()
    finally:
        await connector.close()


async def test_calls_that_run_together_are_each_signed_with_their_own_nonce(books: Books) -> None:
    """The account refuses a nonce that was used before."""
    asked = [books.connector.client.query("SELECT id FROM currency") for _ in range(10)]
    answers = await asyncio.gather(*asked)
    assert len(answers) == 10
    assert all(rows == answers[0] and rows for rows in answers)


def test_credentials_that_went_bad_are_told_after_a_while() -> None:
    """A 401 after success is first taken for a throttle, but not for ever."""
    now = [0.0]
    refusals = Refusals(clock=lambda: now[0])
    bad = Answer(401, {}, b'{"o:errorDetails": [{"detail": "Invalid login attempt.", "o:errorCode": "INVALID_LOGIN"}]}')
    assert refusals(Answer(204, {}, b"")) is None
    assert isinstance(refusals(bad), RateLimited)
    for _ in range(LOGIN_DOUBT_CALLS):
        assert isinstance(refusals(bad), RateLimited)
    now[0] = LOGIN_DOUBT_S + 1
    assert isinstance(refusals(bad), AuthorizationFailed)
    refusals(Answer(200, {}, b"{}"))
    assert isinstance(refusals(bad), RateLimited)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"url": "netsuite.example"}, "url must be"),
        ({"url": "https://x.suitetalk.api.netsuite.com/services"}, "without a path"),
        ({"consumer_key": ""}, "also needs consumer_key"),
        ({"client_id": "c"}, "also needs certificate_id, private_key"),
        ({"client_id": "c", "certificate_id": "k", "private_key": "p"}, "both OAuth 2.0 and token-based"),
        ({"time_zone": "Mars/Base"}, "time_zone 'Mars/Base'"),
        ({"slots": 0}, "slots"),
        ({"page_size": 5000}, "page_size"),
    ],
)
def test_settings_that_cannot_work_are_told_at_once(wrong: dict[str, object], told: str) -> None:
    right: dict[str, object] = {
        "url": "https://1234567.suitetalk.api.netsuite.com",
        "account": "1234567",
        "consumer_key": "ck",
        "consumer_secret": "cs",
        "token_id": "tk",
        "token_secret": "ts",
    }
    with pytest.raises(ConfigurationError, match=told):
        NetSuiteSettings(**(right | wrong))  # type: ignore[arg-type]


def test_secrets_show_neither_in_the_settings_nor_in_the_error_about_a_bad_key(settings: NetSuiteSettings) -> None:
    shown = repr(changed(settings, consumer_secret="hush", token_secret="hush"))
    assert "hush" not in shown
    broken = NetSuiteSettings(url="https://x.example", client_id="c", certificate_id="k", private_key="hush")
    with pytest.raises(ConfigurationError) as refused:
        NetSuiteConnector("netsuite", broken)
    assert "hush" not in str(refused.value)
    assert refused.value.__cause__ is None
