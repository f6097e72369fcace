"""Logs go to standard error as it is now, and a standard error that is gone stops nobody."""

from __future__ import annotations

import io
import sys

import pytest
import structlog

from tieline.app.logs import configure_logs


def test_a_standard_error_that_is_gone_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """`tieline up 2>&1 | head` closes it; the hub goes on."""
    gone = io.StringIO()
    monkeypatch.setattr(sys, "stderr", gone)
    configure_logs()
    gone.close()
    structlog.get_logger("test").warning("nobody reads this")
    here = io.StringIO()
    monkeypatch.setattr(sys, "stderr", here)
    structlog.get_logger("test").warning("read this", amount=1)
    assert "read this" in here.getvalue()
    assert "nobody" not in here.getvalue()
