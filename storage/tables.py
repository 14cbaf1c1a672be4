"""The tables. Times are integer milliseconds UTC. Row ids are BIGINT; SQLite can only count up an INTEGER.

A column's key is what the code calls it, where the database has another name.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
    true,
)

from core.domain.conversation import MAX_ID_CHARACTERS

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""Named constraints, so that a migration can find each again on every database."""

_ID = BigInteger().with_variant(Integer(), "sqlite")
_EXTERNAL_ID = String(MAX_ID_CHARACTERS).with_variant(String(), "sqlite")
"""A platform's id. SQLite ignores lengths; files of older versions have others there."""
CLOSED_INBOX: dict[str, None] = {"text": None, "reply_token": None, "options": None}
"""The columns of a message that are emptied when its reply is closed: what was said is in the history alone."""
_ACTIVE_ANSWER = text("lane = 'answer' AND state IN ('generating', 'sending')")

# AUTOINCREMENT: without it SQLite gives the id of a deleted last row to the next one.

chats = Table(
    "chats",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("platform", String(32), nullable=False),
    Column("chat", _EXTERNAL_ID, nullable=False),
    Column("thread", _EXTERNAL_ID, nullable=False),
    Column("conversation", Integer, nullable=False, default=1),
    Column("served_at", BigInteger, nullable=False, default=0),
    # Whether the platform lets the bot write there.
    Column("active", Boolean, nullable=False, default=True, server_default=true()),
    UniqueConstraint("platform", "chat", "thread"),
    sqlite_autoincrement=True,
)
"""Conversations. /clear raises the number of one, so that no answer to an earlier question is stored after it."""

inbox = Table(
    "inbox",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("platform", String(32), nullable=False),
    Column("bot", _EXTERNAL_ID, nullable=False),
    Column("external_id", _EXTERNAL_ID, nullable=False),
    Column("chat_id", _ID, ForeignKey("chats.id"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("private", Boolean, nullable=False),
    Column("author_id", _EXTERNAL_ID, nullable=False),
    Column("author_name", Text, nullable=False),
    Column("locale", String(32), nullable=False),
    Column("text", Text),
    Column("origin", Text, key="reply_token"),
    # The typed values of a slash command.
    Column("options", JSON(none_as_null=True)),
    Column("received_at", BigInteger, nullable=False),
    UniqueConstraint("platform", "bot", "external_id"),
    Index("ix_inbox_author", "platform", "author_id", "received_at"),
    Index("ix_inbox_chat", "chat_id", "seq"),
    sqlite_autoincrement=True,
)
"""Incoming messages. `text` is a command's, until its reply is closed; a question's is in `messages`."""

messages = Table(
    "messages",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("chat_id", _ID, ForeignKey("chats.id"), nullable=False),
    Column("conversation", Integer, nullable=False),
    Column("role", String(16), nullable=False),
    Column("text", Text, nullable=False),
    Column("author_id", _EXTERNAL_ID, nullable=False),
    Column("author_name", Text, nullable=False),
    Column("reply_to", _ID, ForeignKey("messages.id", ondelete="CASCADE"), unique=True),
    # Whether the token limit ended the answer.
    Column("cut", Boolean, nullable=False, default=False, server_default=false()),
    Column("at", BigInteger, nullable=False),
    Index("ix_messages_history", "chat_id", "conversation", "id"),
    sqlite_autoincrement=True,
)
"""The history: questions, and the answers to the questions `reply_to`."""

replies = Table(
    "replies",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("inbox_id", _ID, ForeignKey("inbox.id"), nullable=False, unique=True),
    Column("chat_id", _ID, ForeignKey("chats.id"), nullable=False),
    Column("conversation", Integer, nullable=False),
    Column("lane", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempt", Integer, nullable=False, default=0),
    Column("question_id", _ID, ForeignKey("messages.id", ondelete="SET NULL"), index=True),
    # Whether the answer continues the question's last one.
    Column("goes_on", Boolean, nullable=False, default=False, server_default=false()),
    # Whether it is generated with no other answer beside it, because the engine died when it had just begun.
    Column("alone", Boolean, key="isolated", nullable=False, default=False, server_default=false()),
    # How often the engine died while the reply ran isolated.
    Column("strikes", Integer, key="engine_deaths", nullable=False, default=0, server_default="0"),
    # The time before which the platform accepts no call for the chat.
    Column("not_before", BigInteger),
    # When that was stored.
    Column("not_before_set", BigInteger),
    # The id of the reply that answers this one's message too.
    Column("merged_into", BigInteger),
    Column("outcome", String(16)),
    Column("final", Text),
    Column("chunks", JSON, nullable=False, default=list),
    Column("updated_at", BigInteger, nullable=False),
    Index("one_active_answer", "chat_id", unique=True, sqlite_where=_ACTIVE_ANSWER, postgresql_where=_ACTIVE_ANSWER),
    Index("ix_replies_work", "state", "lane", "chat_id", "id"),
    Index("ix_replies_chat", "chat_id", "lane", "id"),
    Index("ix_replies_not_before", "not_before"),
    sqlite_autoincrement=True,
)
"""The replies to messages: work queue and outbox in one. `attempt` is the fencing token."""

handled = Table("handled", metadata, Column("digest", LargeBinary, primary_key=True), sqlite_with_rowid=False)
"""A keyed hash of each message whose rows are pruned."""

keys = Table(
    "keys",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
"""The key of those hashes, made with the first."""

settings = Table(
    "settings",
    metadata,
    Column("chat_id", _ID, ForeignKey("chats.id"), primary_key=True),
    Column("name", String(32), primary_key=True),
    Column("value", Text, nullable=False),
    Column("set_by", Text, nullable=False),
    Column("set_at", BigInteger, nullable=False),
)
"""Conversations' values of settings, and their word lists."""

users = Table(
    "users",
    metadata,
    Column("platform", String(32), primary_key=True),
    Column("user", _EXTERNAL_ID, primary_key=True),
    Column("language", String(8), nullable=False),
    Column("set_at", BigInteger, nullable=False),
)
"""People's interface languages."""

identifies = Table(
    "identifies",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("platform", String(32), nullable=False),
    Column("bot", _EXTERNAL_ID, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("ix_identifies_account", "platform", "bot", "at"),
    sqlite_autoincrement=True,
)
"""Logins at a gateway that limits logins a day."""

menus = Table(
    "menus",
    metadata,
    Column("platform", String(32), primary_key=True),
    Column("bot", _EXTERNAL_ID, primary_key=True),
    Column("fingerprint", String(64), nullable=False),
)
"""The command menus that were published last."""
