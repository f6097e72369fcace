"""How a message reads, in each of its forms."""

from __future__ import annotations

from tests.support.engine import NOW

from tieline.app.alerts import words
from tieline.app.alerts.channels import signature
from tieline.app.alerts.concerns import Concern
from tieline.app.alerts.memory import Message, Told

URL = "https://tieline.example.com"
CONCERN = Concern(
    key="cases/x",
    title="14 cases: <unknown> product",
    people=("revops",),
    since=NOW,
    number=14,
    facts=("At stake: 10.00 USD.", "Cases C-1 & more."),
    path="/cases?class=x",
)
OVER = Told(recipient="revops", key="k", title="erp is parked", path="/", number=1, first_seen_at=NOW, told_at=NOW)
MESSAGE = Message(recipient="revops", at=NOW, concerns=(CONCERN,), over=(OVER,))


def test_the_subject_says_what_and_how_many() -> None:
    assert words.subject(MESSAGE, "acme") == "[acme] 14 cases: <unknown> product"
    two = Message(recipient="revops", at=NOW, concerns=(CONCERN, CONCERN, CONCERN))
    assert words.subject(two, "acme") == "[acme] 14 cases: <unknown> product, and 2 more"
    assert words.subject(Message(recipient="r", at=NOW, over=(OVER,)), "acme") == "[acme] over: erp is parked"


def test_plain_text_has_the_facts_the_link_and_what_is_over() -> None:
    assert words.plain_text(MESSAGE, URL) == (
        "14 cases: <unknown> product\n"
        "  At stake: 10.00 USD.\n"
        "  Cases C-1 & more.\n"
        f"  {URL}/cases?class=x\n\n"
        "Over:\n  erp is parked\n\n"
        f"-- \n{words.FOOTER}\n"
    )


def test_nothing_in_a_message_becomes_markup() -> None:
    page, blocks = words.html(MESSAGE, URL), words.slack(MESSAGE, "acme", URL)
    assert "14 cases: &lt;unknown&gt; product" in page
    assert "Cases C-1 &amp; more." in page
    assert blocks["text"] == "[acme] 14 cases: &lt;unknown&gt; product"
    assert blocks["blocks"][1]["text"]["text"].startswith(f"*<{URL}/cases?class=x|14 cases: &lt;unknown&gt; product>*")


def test_a_flood_is_cut_and_the_rest_counted() -> None:
    """Slack takes fifty blocks, and nobody reads more."""
    flood = Message(recipient="r", at=NOW, concerns=(CONCERN,) * 70)
    assert len(words.slack(flood, "acme", URL)["blocks"]) == words.MOST_SHOWN + 2
    assert f"and 50 more: {URL}/" in words.plain_text(flood, URL)


def test_a_test_says_that_it_is_one() -> None:
    test = Message(recipient="r", at=NOW)
    assert words.subject(test, "acme") == "[acme] test of alerts"
    assert words.TEST in words.plain_text(test, URL)
    assert words.TEST in words.html(test, URL)
    assert words.TEST in words.slack(test, "acme", URL)["blocks"][1]["text"]["text"]


def test_a_signature_is_that_of_the_standard() -> None:
    """The example of the Standard Webhooks reference implementations."""
    body = b'{"test": 2432232314}'
    made = signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body)
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
