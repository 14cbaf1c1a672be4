"""when a penalty was stored; hashes of pruned messages; indexes by chat"""

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
    op.create_table(
        "handled",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_handled")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "keys",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_keys")),
    )
    op.create_index("ix_inbox_chat", "inbox", ["chat_id", "seq"])
    op.create_index("ix_replies_chat", "replies", ["chat_id", "lane", "id"])


def downgrade() -> None:
    """Back. What was pruned is then not known any more: a message of then that came again would be answered again."""
    op.execute("UPDATE replies SET lane = 'notice' WHERE lane = 'look'")
    op.drop_index("ix_replies_chat", "replies")
    op.drop_index("ix_inbox_chat", "inbox")
    op.drop_table("keys")
    op.drop_table("handled")
    op.drop_column("replies", "not_before_set")
