"""Where alerts and traces may go: what the settings refuse, and what they keep to themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tieline.app.settings import Settings, load_settings
from tieline.errors import ConfigurationError

SMTP = '[alerts.smtp]\nhost = "mail.example.com"\nsender = "tieline@example.com"\n'
ENVIRONMENT = {"HOOK": "https://hooks.example.com/T0/very-secret", "PASSWORD": "hunter2", "BAD_SECRET": "whsec_!"}


def settings_of(folder: Path, text: str) -> Settings:
    (folder / "tieline.toml").write_text(text, encoding="utf-8")
    return load_settings(folder, environ=ENVIRONMENT)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[alerts.people]\nfinance = ["mail:f@example.com"]\n', r"there is no \[alerts.smtp\]"),
        ('[alerts.people]\nfinance = ["webhook:team"]\n', r"there is no \[alerts.webhooks.team\]"),
        ("[alerts.people]\nfinance = []\n", "needs a way"),
        ('[alerts.people]\nfinance = ["sms:123"]\n', "must be `mail:ADDRESS` or `webhook:NAME`"),
        ('[alerts.webhooks.team]\nurl = "http://hooks.example.com/x"\n', "must be https, or `allow_http = true`"),
        ('[alerts.webhooks.team]\nurl = "ftp://hooks.example.com/x"\n', "must be an address like"),
        ('[alerts.webhooks.team]\nurl = "https://a.example"\nsecret = "abc"\n', "is a secret and must not stand in"),
        ('[alerts.webhooks.team]\nurl = "https://a.example"\nsecret = "env:BAD_SECRET"\n', "no base 64"),
        (SMTP + 'security = "none"\nuser = "x"\npassword = "env:PASSWORD"\n', "would send the password unencrypted"),
        (SMTP + 'pasword = "env:PASSWORD"\n', "did you mean 'password'"),
        ("[alerts]\npark_minutes = 3\n", "did you mean 'parked_minutes'"),
        ('[telemetry]\notlp_endpoint = "http://collector.example.com:4318"\n', "must be https, or `allow_http"),
        ('[telemetry]\notlp_endpoint = "collector:4318"\n', "must be an address like"),
    ],
)
def test_a_mistake_is_refused_with_its_place_and_what_to_do(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as refused:
        settings_of(tmp_path, text)
    assert "tieline.toml:" in str(refused.value)


def test_what_is_allowed_in_so_many_words_is_allowed(tmp_path: Path) -> None:
    text = '[alerts.webhooks.team]\nurl = "http://hooks.example.com/x"\nallow_http = true\n'
    assert settings_of(tmp_path, text).alerts.webhooks["team"].allow_http


def test_secrets_are_read_and_shown_nowhere(tmp_path: Path) -> None:
    """The address of a webhook is one: whoever knows it can write there."""
    text = SMTP + 'user = "x"\npassword = "env:PASSWORD"\n[alerts.webhooks.team]\nurl = "env:HOOK"\n'
    alerts = settings_of(tmp_path, text).alerts
    assert alerts.smtp is not None
    assert (alerts.smtp.password, alerts.webhooks["team"].url) == ("hunter2", ENVIRONMENT["HOOK"])
    assert "hunter2" not in repr(alerts)
    assert "very-secret" not in repr(alerts)


def test_a_project_can_be_checked_without_its_secrets(tmp_path: Path) -> None:
    (tmp_path / "tieline.toml").write_text('[alerts.webhooks.team]\nurl = "env:NOWHERE"\n', encoding="utf-8")
    assert load_settings(tmp_path, environ={}, secrets=False).alerts.webhooks["team"].url == "env:NOWHERE"
