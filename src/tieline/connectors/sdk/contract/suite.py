"""The suite a connector inherits: what it says of itself, how it writes, how it reads, whom it believes.

    class TestContract(ConnectorContract):
        account_type = AcmeAccount

and a fixture `sandbox_account` that gives an empty one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from tieline.connectors.sdk.connector import ConnectorType
from tieline.connectors.sdk.contract.account import LIVE, Account
from tieline.connectors.sdk.contract.hostile import HostileContract
from tieline.connectors.sdk.contract.liar import LIES, READ_LIES, STAMPS_WITHOUT_ZONE, WORST, WORST_READ
from tieline.connectors.sdk.contract.reading import ReadingContract
from tieline.connectors.sdk.contract.writing import WritingContract
from tieline.mapping import MappingSet


class ManifestContract:
    """What a connector says of itself is whole and true."""

    account_type: ClassVar[type[Account]]

    @property
    def connector(self) -> ConnectorType:
        return self.account_type.connector

    def test_the_manifest_says_what_people_ask_first(self) -> None:
        manifest = self.connector.manifest
        assert manifest.vendor == self.connector.vendor
        assert manifest.api_version
        assert manifest.scopes, (
            "fill in connector.py, manifest(): name the rights that the credentials need, in the vendor's words"
        )
        assert manifest.limits.slots >= 1

    def test_each_operation_is_told_once_and_can_be_carried_out(self) -> None:
        operations = self.connector.manifest.operations
        assert len({(o.kind, o.action) for o in operations}) == len(operations)
        for operation in operations:
            assert operation.bulk >= 1, operation.kind
            assert operation.concurrency >= 1, operation.kind

    def test_every_operation_has_its_mapping_table(self) -> None:
        """The table ships with the connector; a project may replace it by name."""
        tables = MappingSet.load(self.connector.mappings, functions=self.connector.functions).names
        named = {o.mapping for o in self.connector.manifest.operations}
        assert named <= set(tables)

    def test_the_folder_explains_itself(self) -> None:
        readme = Path(self.connector.mappings).parent / "README.md"
        assert readme.is_file(), "what is covered, pinned API version, rights, known gaps"

    def test_no_secret_shows_in_the_settings(self, account: Account) -> None:
        given = account.settings("http://127.0.0.1:9", 5.0) | dict(account.wrong_credentials)
        shown = repr(self.connector.settings(**given))
        assert [name for name, value in account.wrong_credentials.items() if str(value) in shown] == []

    def test_every_code_of_the_vendor_has_a_row(self, account: Account) -> None:
        """A code nobody thought of is a guess; one that is left to its default on purpose is named."""
        codes = account.codes()
        assert codes.answered, "the sandbox names no code at all"
        missing = sorted(codes.answered - codes.mapped - account.unmapped_on_purpose)
        assert missing == [], "fill in errors.py: a row for each of these codes, or name it in unmapped_on_purpose"


class ConnectorContract(ManifestContract, WritingContract, ReadingContract, HostileContract):
    """Everything. Each test that takes `operation`, `kind`, `stream` or `lie` runs once for each."""

    @pytest.fixture
    def account(self, request: pytest.FixtureRequest) -> Account:
        """The real account when `--live` names one, else the sandbox's."""
        live = request.config.stash.get(LIVE, None)
        found: Account = self.account_type.of_live(live) if live else request.getfixturevalue("sandbox_account")
        return found

    def pytest_generate_tests(self, metafunc: Any) -> None:
        manifest = self.connector.manifest
        wanted = {
            "operation": [pytest.param(o, id=f"{o.kind}-{o.action}") for o in manifest.operations],
            "kind": list(manifest.reads),
            "stream": list(manifest.streams),
            "lie": [pytest.param(lie, id=lie.name) for lie in LIES],
            "read_lie": [pytest.param(lie, id=lie.name) for lie in READ_LIES],
            "change_lie": [pytest.param(lie, id=lie.name) for lie in WORST],
            "fetch_lie": [pytest.param(lie, id=lie.name) for lie in WORST_READ],
            "stream_lie": [pytest.param(lie, id=lie.name) for lie in (*WORST_READ, STAMPS_WITHOUT_ZONE)],
        }
        for name, values in wanted.items():
            if name in metafunc.fixturenames:
                metafunc.parametrize(name, values)
