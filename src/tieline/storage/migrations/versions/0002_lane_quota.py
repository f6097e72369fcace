"""What a lane has used of the day's quota"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("lane", sa.Column("per_day", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("lane", sa.Column("used_today", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("lane", sa.Column("hours", sa.Text(), nullable=False, server_default="[]"))
