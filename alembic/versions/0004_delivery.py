"""penalties that outlive a restart; engine deaths; what was answered together"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Forward."""
    # Plain ADD COLUMN: a batch would copy the tables, and with them lose the partial index of replies.
    op.add_column("replies", sa.Column("alone", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("replies", sa.Column("strikes", sa.Integer(), server_default="0", nullable=False))
    op.add_column("replies", sa.Column("not_before", sa.BigInteger(), nullable=True))
    op.add_column("replies", sa.Column("merged_into", sa.BigInteger(), nullable=True))
    op.create_index("ix_inbox_author", "inbox", ["platform", "author_id", "received_at"])
    op.create_index("ix_replies_not_before", "replies", ["not_before"])


def downgrade() -> None:
    """Back."""
    op.drop_index("ix_replies_not_before", "replies")
    op.drop_index("ix_inbox_author", "inbox")
    for column in ("merged_into", "not_before", "strikes", "alone"):
        op.drop_column("replies", column)
