"""Indexes in the order that lists are read, and counts that are kept instead of counted"""

import sqlalchemy as sa
from alembic import op

from tieline.storage.tallies import COUNTED, count_now

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_index("event_type", "event", ["type", "seq"])
    op.create_index("run_process", "run", ["process", "event_seq", "id"])
    op.drop_index("effect_state", "effect")
    op.create_index("effect_state", "effect", ["state", "intended_at"])
    op.create_index("effect_connection", "effect", ["connection", "intended_at"])
    op.create_table(
        "tally",
        sa.Column("counted", sa.String(), nullable=False),
        sa.Column("a", sa.String(), nullable=False),
        sa.Column("b", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("counted", "a", "b", "state"),
        sqlite_with_rowid=False,
    )
    for table in COUNTED:
        op.execute(count_now(table))
