"""Alerts over real servers: SMTP with STARTTLS and a password, webhooks with a signature, one after the other."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
import pytest_asyncio
from tests.support.engine import NOW
from tests.support.post_office import Hook, MailServer, webhook
from tests.unit.app.alerts.test_concerns import case
from typer.testing import CliRunner

from tieline.app.alerts import memory, watch
from tieline.app.alerts.channels import Mail, Sender, Undelivered
from tieline.app.alerts.memory import SETTLES_IN, Message
from tieline.app.alerts.use import list_alerts, unheard
from tieline.app.alerts.watch import Watch
from tieline.app.demo.world import SECRETS
from tieline.app.hub import running
from tieline.app.outbound import SmtpSettings
from tieline.app.project import Project, load_project
from tieline.app.settings import load_settings
from tieline.app.template import make_project
from tieline.cli.main import app
from tieline.engine.ports import Batch
from tieline.engine.records import CaseState
from tieline.events import AlertSent, decode_event
from tieline.storage.sqlite import SqliteStore

pytestmark = pytest.mark.asyncio(loop_scope="module")
SENDER = Sender(project="acme", url="https://tieline.example.com")
SETTINGS = """
[alerts.people]
revops = ["mail:revops@example.com", "webhook:team"]
default = ["webhook:team"]

[alerts.smtp]
host = "localhost"
port = {port}
user = "tieline"
password = "env:MAIL_PASSWORD"
sender = "Tieline <tieline@example.com>"

[alerts.webhooks.team]
url = "env:HOOK"
secret = "env:HOOK_SECRET"
"""


@pytest.fixture(scope="module")
def mail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    server = MailServer(tmp_path_factory.mktemp("tls"))
    server.start()
    yield server
    server.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hook() -> AsyncIterator[Hook]:
    async with webhook() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, mail: MailServer, hook: Hook) -> Project:
    folder = tmp_path_factory.mktemp("alerts") / "project"
    make_project(folder)
    with (folder / "tieline.toml").open("a") as settings:
        settings.write(SETTINGS.format(port=mail.port))
    return load_project(load_settings(folder, environ=secrets(hook)))


def secrets(hook: Hook) -> dict[str, str]:
    return {**SECRETS, "MAIL_PASSWORD": "s3cret", "HOOK": hook.url, "HOOK_SECRET": "whsec_c2VjcmV0"}


class Office:
    """A project with a store of its own, a mail server and a webhook, and a clock that is held."""

    def __init__(self, project: Project, database: Path, mail: MailServer, hook: Hook) -> None:
        settings = msgspec.structs.replace(project.settings, database=database)
        self.project = msgspec.structs.replace(project, settings=settings)
        self.mail, self.hook, self.at = mail, hook, NOW
        for kept in (mail.mails, mail.refuse, hook, hook.answers):
            kept.clear()
        self.store = SqliteStore(database)
        self.restart()

    def restart(self) -> None:
        self.watch = Watch(self.project, self.store, self, SENDER)

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("a look never sleeps: whoever holds the clock says when the next one is")

    async def look(self, after: timedelta = SETTLES_IN) -> None:
        self.at += after
        await self.watch.look()

    def project_mail(self) -> Mail:
        assert self.project.settings.alerts.smtp is not None
        return Mail(self.project.settings.alerts.smtp, "ada@example.com")

    async def told(self) -> list[AlertSent]:
        return [decode_event(e) for e in await self.store.events(type="AlertSent")]  # type: ignore[misc]


@pytest_asyncio.fixture(loop_scope="module")
async def office(
    tmp_path: Path, project: Project, mail: MailServer, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Office]:
    monkeypatch.setenv("SSL_CERT_FILE", str(mail.ca))
    made = Office(project, tmp_path / "tieline.db", mail, hook)
    await made.store.commit(Batch(cases=[case(n) for n in range(300)]))
    yield made
    await made.store.close()


async def test_three_hundred_cases_are_one_mail_and_a_restart_sends_none_again(office: Office) -> None:
    await office.look()
    await office.look()
    (mail,) = office.mail.mails
    assert mail["Subject"] == "[acme] 300 cases: unknown product"
    assert (mail["From"], mail["To"]) == ("Tieline <tieline@example.com>", "revops@example.com")
    assert mail["Auto-Submitted"] == "auto-generated"
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert "30,150.00 USD" in text.get_content()
    assert html is not None
    assert "https://tieline.example.com/cases?class=unknown-product" in html.get_content()
    office.restart()
    await office.look(timedelta(hours=1))
    assert len(office.mail.mails) == 1
    assert [t.channel for t in await office.told()] == ["mail"]


async def test_when_mail_fails_the_webhook_has_it_and_mail_rests(office: Office) -> None:
    office.mail.refuse[:] = ["451 try later"]
    await office.look()
    await office.look()
    assert (len(office.mail.mails), len(office.hook)) == (0, 1)
    assert [t.channel for t in await office.told()] == ["webhook:team"]
    headers, body = office.hook[0]
    assert json.loads(body)["text"] == "[acme] 300 cases: unknown product"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(b"secret", signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


async def test_what_no_channel_took_is_sent_when_one_works_again(office: Office) -> None:
    office.mail.refuse[:] = ["554 no"]
    office.hook.answers[:] = [(429, {"Retry-After": "60"})]
    await office.look()
    await office.look()
    assert (await office.told(), len(office.hook)) == ([], 1)
    await office.look()
    assert len(office.hook) == 1, "both rest"
    office.restart()  # rests are not kept: a restart tries at once
    await office.look()
    (mail,) = office.mail.mails
    assert mail["Message-ID"] == f"<{office.hook[0][0]['webhook-id']}@example.com>"


async def test_a_redirect_is_not_followed(office: Office) -> None:
    """The message would go to a host that nobody named."""
    office.mail.refuse[:] = ["554 no"]
    office.hook.answers[:] = [(307, {"Location": f"{office.hook.url}/elsewhere"})]
    await office.look()
    await office.look()
    assert (len(office.hook), await office.told()) == (1, [])


async def test_what_is_over_is_told_and_what_escalates_goes_to_the_next(office: Office) -> None:
    await office.look()
    await office.look()
    rows = await office.store.cases(limit=1_000)
    closed = [msgspec.structs.replace(row, state=CaseState.CLOSED) for row in rows[1:]]
    late = msgspec.structs.replace(rows[0], owner="cfo", escalated_at=office.at)
    await office.store.commit(Batch(cases=[*closed, late]))
    await office.look()
    await office.look()
    assert json.loads(office.hook[0][1])["text"] == "[acme] 1 overdue case: unknown product"
    assert (len(office.mail.mails), (await office.told())[-1].recipient) == (1, "default")
    gone = msgspec.structs.replace(late, state=CaseState.CLOSED)
    await office.store.commit(Batch(cases=[gone]))
    await office.look(timedelta(minutes=6))
    assert office.mail.mails[-1]["Subject"] == "[acme] over: 300 cases: unknown product"
    assert json.loads(office.hook[-1][1])["text"] == "[acme] over: 1 overdue case: unknown product"


async def test_the_list_says_who_was_told_and_who_was_not(office: Office) -> None:
    (before,) = await list_alerts(office.project, office.store, office.at)
    assert [h.told_at for h in before.heard] == [None]
    await office.look()
    await office.look()
    (after,) = await list_alerts(office.project, office.store, office.at)
    assert [(h.recipient, h.told_at) for h in after.heard] == [("revops", office.at)]


async def test_the_check_names_owners_whom_nobody_reaches(office: Office) -> None:
    (note,) = unheard(office.project)
    assert "controller" in note
    assert "revops" not in note
    assert note.endswith("go to 'default'")


async def test_the_test_command_says_what_each_server_answered(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in secrets(office.hook).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOOK", "http://127.0.0.1:9")
    command = ["alerts", "test", "--to", "revops", "-p", str(office.project.settings.root), "--json"]
    done = await asyncio.to_thread(CliRunner().invoke, app, command)
    tried: list[dict[str, Any]] = json.loads(done.stdout)
    assert done.exit_code == 1
    assert tried[0] == {"way": "mail:revops@example.com", "taken": True, "answer": "250 OK queued as 4711"}
    assert (tried[1]["taken"], tried[1]["answer"]) == (
        False,
        "webhook:team at 127.0.0.1 cannot be reached: ClientConnectorError",
    )
    assert office.mail.mails[0]["Subject"] == f"[{office.project.settings.name}] test of alerts"


@pytest.mark.parametrize("security", ["tls", "none"])
async def test_mail_goes_over_tls_or_in_the_clear_where_the_settings_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, security: Literal["tls", "none"]
) -> None:
    server = MailServer(tmp_path, security)
    monkeypatch.setenv("SSL_CERT_FILE", str(server.ca))
    server.start()
    try:
        settings = SmtpSettings(host="localhost", port=server.port, security=security, sender="t@example.com")
        answer = await Mail(settings, "ada@example.com").send(Message(recipient="ada", at=NOW), SENDER)
    finally:
        server.stop()
    assert (answer, len(server.mails)) == ("250 OK queued as 4711", 1)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"password": "guess"}, "answered 535"),
        ({"sender": "täter@example.com"}, "cannot be used"),
        ({"security": "tls"}, "cannot be used: SSLError"),
    ],
)
async def test_what_the_mail_server_refuses_is_said_without_the_password(
    office: Office, wrong: dict[str, str], says: str
) -> None:
    assert office.project.settings.alerts.smtp is not None
    settings = msgspec.structs.replace(office.project.settings.alerts.smtp, **wrong)
    with pytest.raises(Undelivered, match=says) as refused:
        await Mail(settings, "ada@example.com").send(Message(recipient="ada", at=NOW), SENDER)
    assert "guess" not in str(refused.value)


async def test_a_certificate_that_nobody_vouches_for_is_refused(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(Undelivered, match="SSLCertVerificationError"):
        await office.project_mail().send(Message(recipient="ada", at=NOW), SENDER)


async def test_the_hub_watches_by_itself(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the settings name somebody; the messages lead to its own address."""
    monkeypatch.setattr(memory, "SETTLES_IN", timedelta(0))
    monkeypatch.setattr(watch, "LOOK_EVERY_S", 0.05)
    await office.store.close()
    async with running(office.project, port=0) as (desk, url):
        while not (told := await desk.store.events(type="AlertSent")):
            await desk.worker.clock.sleep(0.02)
    assert told[0].subject == "revops"
    text = office.mail.mails[0].get_body(("plain",))
    assert text is not None
    assert f"{url}/cases?class=unknown-product" in text.get_content()


async def test_the_list_reads_well_in_a_terminal(office: Office) -> None:
    """What stands, for whom, and that nobody hears of it where nobody is named."""
    folder = office.project.settings.database.parent / "quiet"
    make_project(folder)
    store = SqliteStore(folder / "tieline.db")
    await store.commit(Batch(cases=[case(1)]))
    await store.close()
    done = await asyncio.to_thread(CliRunner().invoke, app, ["alerts", "-p", str(folder)])
    assert done.stdout.splitlines() == [
        "1 case: unknown product  for revops",
        "  At stake: 100.50 USD.",
        "  Since 01 Mar 12:00 UTC, due 01 Mar 20:00 UTC.",
        "  Case C-1.",
        "  Next: Add the product.",
        "  nobody is told: none of them stands in [alerts.people]",
        "alerts are off: [alerts.people] names nobody",
    ]
