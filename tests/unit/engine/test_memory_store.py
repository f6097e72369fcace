"""The memory store under the store contract."""

import pytest
from tests.contracts.store_contract import StoreContract

from tieline.storage.memory import MemoryStore


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()
