"""ids of up to 255 characters; typed values of slash commands"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

OLD_LENGTHS = {
    ("chats", "chat"): 64,
    ("chats", "thread"): 64,
    ("inbox", "bot"): 64,
    ("inbox", "external_id"): 128,
    ("inbox", "author_id"): 64,
    ("messages", "author_id"): 64,
    ("users", "user"): 64,
    ("identifies", "bot"): 64,
    ("menus", "bot"): 64,
}


def upgrade() -> None:
    """Forward."""
    _set_lengths(dict.fromkeys(OLD_LENGTHS, 255))
    op.add_column("inbox", sa.Column("options", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Back. Fails where an id is too long for the old column: a part of it could be another person's."""
    op.drop_column("inbox", "options")
    _set_lengths(OLD_LENGTHS)


def _set_lengths(lengths: dict[tuple[str, str], int]) -> None:
    """SQLite ignores a length, and would have to copy the tables to change it."""
    if op.get_context().dialect.name == "sqlite":
        return
    for (table, column), length in lengths.items():
        op.alter_column(table, column, type_=sa.String(length=length), existing_nullable=False)
