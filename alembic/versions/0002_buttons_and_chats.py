"""answers that were cut and go on, chats that are closed to the bot"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Forward."""
    # Plain ADD COLUMN: a batch would copy the tables, and with them lose the partial index of replies.
    op.add_column("chats", sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False))
    op.add_column("messages", sa.Column("cut", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("replies", sa.Column("goes_on", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    """Back."""
    op.drop_column("replies", "goes_on")
    op.drop_column("messages", "cut")
    op.drop_column("chats", "active")
