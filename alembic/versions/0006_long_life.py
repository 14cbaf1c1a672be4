"""when a penalty was stored"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Forward."""
    op.add_column("replies", sa.Column("not_before_set", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Back."""
    op.drop_column("replies", "not_before_set")
