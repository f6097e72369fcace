"""Who may come in: users, sessions, tokens."""

from tieline.app.access.access import Access, access_database

__all__ = ["Access", "access_database"]
