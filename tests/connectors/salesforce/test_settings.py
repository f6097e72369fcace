"""Settings choose the login, refuse what cannot work, and show no secret to anybody."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
import rich.console
from joserfc.jwk import RSAKey
from tests.connectors.salesforce.org import Served, settings_for

from tieline.connectors.salesforce.connector import SalesforceConnector
from tieline.connectors.salesforce.settings import SalesforceSettings
from tieline.errors import AuthorizationFailed, ConfigurationError
from tieline_sandbox.salesforce import Sandbox

URL = "https://acme.my.salesforce.com"
KEY = RSAKey.generate_key(2048)
USER = "integration@tieline.example"


def private_pem() -> str:
    return KEY.as_pem(private=True).decode()


def test_no_secret_is_ever_shown() -> None:
    """Settings end up in logs and tracebacks sooner or later."""
    settings = SalesforceSettings(
        url=URL, client_id="c", client_secret="s3cret-1", private_key="s3cret-2", outbound_message_token="s3cret-3"
    )
    shown = io.StringIO()
    rich.console.Console(file=shown).print(settings)

    for text in (repr(settings), str(settings), shown.getvalue()):
        assert "s3cret" not in text
        assert "acme" in text


async def test_a_signed_assertion_opens_the_org(served: Served, org: Sandbox) -> None:
    org.configure({"jwt_public_key": KEY.as_pem(private=False).decode()})
    settings = settings_for(served.url, client_secret="", username=USER, private_key=private_pem())
    connector = SalesforceConnector("salesforce", settings)

    assert "Tieline Sandbox" in await connector.check()
    await connector.close()


async def test_an_assertion_the_org_does_not_know_is_refused(served: Served) -> None:
    settings = settings_for(served.url, client_secret="", username=USER, private_key=private_pem())
    connector = SalesforceConnector("salesforce", settings)

    with pytest.raises(AuthorizationFailed):
        await connector.check()
    await connector.close()


def test_a_key_that_is_none_is_refused_without_being_quoted() -> None:
    settings = SalesforceSettings(url=URL, client_id="c", username=USER, private_key="not-a-key-s3cret")

    with pytest.raises(ConfigurationError) as refused:
        settings.auth()

    assert "s3cret" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_settings_without_a_way_in_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="client_secret"):
        SalesforceSettings(url=URL, client_id="c").auth()


def test_an_org_with_one_currency_must_name_it() -> None:
    with pytest.raises(ConfigurationError, match="currency"):
        SalesforceSettings(url=URL, client_id="c", client_secret="s", multi_currency=False)


@pytest.mark.parametrize("size", [0, 501])
def test_a_page_of_changes_is_bounded(size: int) -> None:
    with pytest.raises(ConfigurationError, match="page_size"):
        SalesforceSettings(url=URL, client_id="c", client_secret="s", page_size=size)


WITHOUT_THE_EXTRA = """
import sys
for name in ("grpc", "fastavro", "google.protobuf"):
    sys.modules[name] = None
from tieline.connectors.salesforce import CONNECTOR
from tieline.errors import ConfigurationError
from tieline_sandbox.kernel.world import World
from tieline_sandbox.salesforce import Sandbox

given = {"url": "http://127.0.0.1:1", "client_id": "c", "client_secret": "s"}
CONNECTOR.open("crm", CONNECTOR.settings(**given))
for ask in (
    lambda: CONNECTOR.open("crm", CONNECTOR.settings(**given, change_events=("account",))),
    lambda: Sandbox(World()).act("pubsub", {}),
):
    try:
        ask()
    except (ConfigurationError, ValueError) as error:
        assert "pubsub" in str(error), error
    else:
        raise AssertionError("the missing packages were not missed")
"""


def test_a_plain_install_works_and_says_what_listening_needs() -> None:
    """gRPC and Avro are an extra: who does not listen to change events does not carry them."""
    done = subprocess.run([sys.executable, "-c", WITHOUT_THE_EXTRA], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
