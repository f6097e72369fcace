"""The system's Chromium."""

from __future__ import annotations

import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",  # in a container there is no user to drop to
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--no-first-run",
]


def find_chromium() -> str | None:
    """Its path; None where it is not installed."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)
