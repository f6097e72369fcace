"""The list of deals, the words it is searched by, and which deals changed since they were put on it"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "deal",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("customer", sa.String(), nullable=False),
        sa.Column("customer_name", sa.String(), nullable=False),
        sa.Column("customer_folded", sa.String(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("amount", sa.String(), nullable=False),
        sa.Column("amount_e4", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("waits_for", sa.Text(), nullable=False),
        sa.Column("won_on", sa.String(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("deal_list", "deal", ["seq", "status", "currency", "amount_e4", "won_on"], unique=True)
    op.create_index("deal_customer", "deal", ["customer", "seq"])
    op.create_index("deal_name", "deal", ["customer_folded", "seq"])
    op.create_table(
        "deal_change",
        sa.Column("deal", sa.String(), nullable=False),
        sa.Column("changes", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("deal"),
        sqlite_with_rowid=False,
    )
    op.create_index("deal_change_since", "deal_change", ["since"])
    op.execute(
        "CREATE VIRTUAL TABLE deal_words USING fts5(words, content='', contentless_delete=1, tokenize='trigram')"
    )
    op.execute("INSERT INTO deal_change SELECT id, 1, 0 FROM entity WHERE kind = 'contract'")
