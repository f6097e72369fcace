"""The contract of all connectors, as a test suite that each one inherits with a line.

It ships with the package, because a connector may live in a package of its own. It needs pytest and pytest-asyncio.
"""

import pytest

pytest.register_assert_rewrite(f"{__name__}.suite", f"{__name__}.writing", f"{__name__}.reading", f"{__name__}.hostile")

from tieline.connectors.sdk.contract.account import LIVE, Account, Codes, Delivery, Refusal, Standing  # noqa: E402
from tieline.connectors.sdk.contract.suite import ConnectorContract  # noqa: E402

__all__ = ["LIVE", "Account", "Codes", "ConnectorContract", "Delivery", "Refusal", "Standing"]
