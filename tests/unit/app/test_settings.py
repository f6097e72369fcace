"""Settings: where a mistake is, which line counts, and that secrets stay references until they are needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tieline.app.settings import find_project, load_settings
from tieline.errors import ConfigurationError

TOML = """\
[project]
name = "demo"

[hub]
port = 8800

[connections.crm]
connector = "salesforce"
url = "http://crm"
client_secret = "env:CRM_SECRET"

[connections.erp]
connector = "netsuite"
url = "http://erp"
client_secret = "file:erp.secret"
poll_s = 5

[environments.prod.hub]
port = 9900

[environments.prod.connections.crm]
url = "https://crm.example"
"""
SECRETS = {"CRM_SECRET": "s3cret"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "tieline.toml").write_text(TOML, encoding="utf-8")
    (tmp_path / "erp.secret").write_text("from-a-file\n", encoding="utf-8")
    return tmp_path


def change(root: Path, old: str, new: str) -> None:
    path = root / "tieline.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_secrets_come_from_where_the_file_points(root: Path) -> None:
    settings = load_settings(root, environ=SECRETS)
    assert settings.connections["crm"].options["client_secret"] == "s3cret"
    assert settings.connections["erp"].options["client_secret"] == "from-a-file"


def test_without_secrets_the_references_stay(root: Path) -> None:
    settings = load_settings(root, environ={}, secrets=False)
    assert settings.connections["crm"].options["client_secret"] == "env:CRM_SECRET"


def test_no_secret_shows_in_a_printed_setting(root: Path) -> None:
    settings = load_settings(root, environ=SECRETS)
    assert "s3cret" not in repr(settings)
    assert "from-a-file" not in repr(settings)


def test_an_environment_changes_what_it_names_and_nothing_else(root: Path) -> None:
    settings = load_settings(root, "prod", SECRETS)
    assert (settings.hub.port, settings.environment) == (9900, "prod")
    assert settings.connections["crm"].options["url"] == "https://crm.example"
    assert settings.connections["crm"].options["client_secret"] == "s3cret"
    assert settings.connections["erp"].options["url"] == "http://erp"


def test_poll_intervals_are_the_connections_own_or_the_hubs(root: Path) -> None:
    settings = load_settings(root, environ=SECRETS)
    assert {name: c.poll_s for name, c in settings.connections.items()} == {"crm": 30.0, "erp": 5.0}


MISTAKES = {
    "a key of the second of two like sections": (
        'client_secret = "file:erp.secret"',
        'client_secret = "plain"',
        r"tieline.toml:15: connections.erp.client_secret is a secret and must not stand in the file",
    ),
    "a secret under another name": (
        'url = "http://erp"',
        'api_token = "plain"',
        r"tieline.toml:14: connections.erp.api_token is a secret",
    ),
    "a secret file that is not there": (
        "file:erp.secret",
        "file:other.secret",
        r"tieline.toml:15: connections.erp.client_secret refers to .*other.secret: No such file",
    ),
    "a variable that is not set": (
        "env:CRM_SECRET",
        "env:NOT_SET",
        r"tieline.toml:10: connections.crm.client_secret refers to \$NOT_SET, which is not set",
    ),
    "an unknown key": ("port = 8800", "prt = 8800", r"tieline.toml:5: unknown setting 'hub.prt'; did you mean 'port'"),
    "nothing like it": (
        "port = 8800",
        "zzz = 1",
        r"tieline.toml:5: unknown setting 'hub.zzz'; known: host, port, poll_s",
    ),
    "a value of the wrong type": ("port = 8800", "port = true", r"tieline.toml:4: \[hub\] Expected `int`, got `bool`"),
    "a flag for seconds": ("poll_s = 5", "poll_s = true", r"tieline.toml:16: connections.erp.poll_s must be a number"),
    "a quote that is not closed": ('name = "demo"', 'name = "demo', r"tieline.toml: .*line 2"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_its_line(name: str, root: Path) -> None:
    old, new, sentence = MISTAKES[name]
    change(root, old, new)
    with pytest.raises(ConfigurationError, match=sentence):
        load_settings(root, environ=SECRETS)


def test_a_section_that_is_a_value_is_named(tmp_path: Path) -> None:
    (tmp_path / "tieline.toml").write_text('hub = "here"\n', encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"\[hub\] must be a section"):
        load_settings(tmp_path, environ={})


def test_the_line_of_an_environment_is_its_own(root: Path) -> None:
    """The environment's line is what counts there, so it is the one to mend."""
    change(root, 'url = "https://crm.example"', 'client_secret = "env:PROD_SECRET"')
    with pytest.raises(ConfigurationError, match=r"tieline.toml:22: .*\$PROD_SECRET"):
        load_settings(root, "prod", SECRETS)


def test_an_unknown_environment_names_the_known(root: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no \[environments.moon\]; known: prod"):
        load_settings(root, "moon", SECRETS)


def test_a_project_is_found_from_inside_it(root: Path) -> None:
    inside = root / "mappings" / "deep"
    inside.mkdir(parents=True)
    assert find_project(inside) == root
    with pytest.raises(ConfigurationError, match="make a project with `tieline init`"):
        find_project(Path("/proc"))
