"""Who may come in: users, sessions, tokens."""

from tieline.app.access.access import Access
from tieline.app.access.file import access_database
from tieline.app.access.sessions import Session, session_id
from tieline.app.access.tokens import Token, new_token
from tieline.app.access.users import User, new_user

__all__ = ["Access", "Session", "Token", "User", "access_database", "new_token", "new_user", "session_id"]
