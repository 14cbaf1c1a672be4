"""where a reply goes that answers no message; logins and menus of accounts"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Forward."""
    op.add_column("inbox", sa.Column("origin", sa.Text(), nullable=True))
    op.create_table(
        "identifies",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("platform", sa.String(length=32), nullable=False),
        sa.Column("bot", sa.String(length=64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identifies")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_identifies_account", "identifies", ["platform", "bot", "at"])
    op.create_table(
        "menus",
        sa.Column("platform", sa.String(length=32), nullable=False),
        sa.Column("bot", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("platform", "bot", name=op.f("pk_menus")),
    )


def downgrade() -> None:
    """Back."""
    op.drop_table("menus")
    op.drop_index("ix_identifies_account", "identifies")
    op.drop_table("identifies")
    op.drop_column("inbox", "origin")
