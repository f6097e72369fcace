"""Cases by cause, and cases in the order they were opened, among many that are closed; amounts that can be added up"""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.execute("UPDATE \"case\" SET amount = replace(amount, ',', '')")  # 1,234.00 EUR would be summed as 1 EUR
    op.create_index("case_list", "case", ["state", "opened_at", "id", "case_class", "owner", "due_at", "cause"])
    op.create_index(
        "case_group", "case", ["state", "cause", "case_class", "owner", "opened_at", "due_at", "id", "amount"]
    )
