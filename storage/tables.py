"""The tables. Times are integer milliseconds UTC. Row ids are BIGINT; SQLite can only count up an INTEGER."""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
    true,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from core.domain.conversation import MAX_ID_CHARACTERS

Id = BigInteger().with_variant(Integer(), "sqlite")
ExternalId = String(MAX_ID_CHARACTERS).with_variant(String(), "sqlite")
"""A platform's id. SQLite ignores lengths; files of older versions have others there."""
_AUTOINCREMENT = {"sqlite_autoincrement": True}
"""Without it SQLite gives the id of a deleted last row to the next one."""
CLOSED_INBOX: dict[str, None] = {"text": None, "reply_token": None, "options": None}
"""The columns of a message that are emptied when its reply is closed: what was said is in the history alone."""
_ACTIVE_ANSWER = text("lane = 'answer' AND state IN ('generating', 'sending')")


class Base(DeclarativeBase):
    """Named constraints, so that a migration can find each again on every database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class ChatRow(Base):
    """A conversation. /clear raises its number, so that no answer to an earlier question is stored after it."""

    __tablename__ = "chats"
    __table_args__ = (UniqueConstraint("platform", "chat", "thread"), _AUTOINCREMENT)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    platform: Mapped[str] = mapped_column(String(32))
    chat: Mapped[str] = mapped_column(ExternalId)
    thread: Mapped[str] = mapped_column(ExternalId)
    conversation: Mapped[int] = mapped_column(Integer, default=1)
    served_at: Mapped[int] = mapped_column(BigInteger, default=0)
    active: Mapped[bool] = mapped_column(default=True, server_default=true())
    """Whether the platform lets the bot write there."""


class InboxRow(Base):
    """An incoming message. `text` is a command's, until its reply is closed; a question's is in its MessageRow."""

    __tablename__ = "inbox"
    __table_args__ = (
        UniqueConstraint("platform", "bot", "external_id"),
        Index("ix_inbox_author", "platform", "author_id", "received_at"),
        _AUTOINCREMENT,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    platform: Mapped[str] = mapped_column(String(32))
    bot: Mapped[str] = mapped_column(ExternalId)
    external_id: Mapped[str] = mapped_column(ExternalId)
    chat_id: Mapped[int] = mapped_column(ForeignKey("chats.id"))
    seq: Mapped[int] = mapped_column(BigInteger)
    private: Mapped[bool]
    author_id: Mapped[str] = mapped_column(ExternalId)
    author_name: Mapped[str] = mapped_column(Text)
    locale: Mapped[str] = mapped_column(String(32))
    text: Mapped[str | None] = mapped_column(Text)
    reply_token: Mapped[str | None] = mapped_column("origin", Text)
    """Deleted with the text."""
    options: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """The typed values of a slash command; deleted with the text."""
    received_at: Mapped[int] = mapped_column(BigInteger)


class MessageRow(Base):
    """A message of the history: a question, or the answer to the question `reply_to`."""

    __tablename__ = "messages"
    __table_args__ = (Index("ix_messages_history", "chat_id", "conversation", "id"), _AUTOINCREMENT)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    chat_id: Mapped[int] = mapped_column(ForeignKey("chats.id"))
    conversation: Mapped[int]
    role: Mapped[str] = mapped_column(String(16))
    text: Mapped[str] = mapped_column(Text)
    author_id: Mapped[str] = mapped_column(ExternalId)
    author_name: Mapped[str] = mapped_column(Text)
    reply_to: Mapped[int | None] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), unique=True)
    cut: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether the token limit ended the answer."""
    at: Mapped[int] = mapped_column(BigInteger)


class ReplyRow(Base):
    """The reply to a message: work queue and outbox in one. `attempt` is the fencing token."""

    __tablename__ = "replies"
    __table_args__ = (
        Index(
            "one_active_answer",
            "chat_id",
            unique=True,
            sqlite_where=_ACTIVE_ANSWER,
            postgresql_where=_ACTIVE_ANSWER,
        ),
        Index("ix_replies_work", "state", "lane", "chat_id", "id"),
        Index("ix_replies_not_before", "not_before"),
        _AUTOINCREMENT,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    inbox_id: Mapped[int] = mapped_column(ForeignKey("inbox.id"), unique=True)
    chat_id: Mapped[int] = mapped_column(ForeignKey("chats.id"))
    conversation: Mapped[int]
    lane: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    attempt: Mapped[int] = mapped_column(default=0)
    question_id: Mapped[int | None] = mapped_column(ForeignKey("messages.id", ondelete="SET NULL"), index=True)
    goes_on: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether the answer continues the question's last one."""
    isolated: Mapped[bool] = mapped_column("alone", default=False, server_default=false())
    """Whether it is generated with no other answer beside it, because the engine died while it ran."""
    engine_deaths: Mapped[int] = mapped_column("strikes", default=0, server_default="0")
    """How often the engine died while the reply ran isolated."""
    not_before: Mapped[int | None] = mapped_column(BigInteger)
    """The time before which the platform accepts no call for the chat."""
    merged_into: Mapped[int | None] = mapped_column(BigInteger)
    """The id of the reply that answers this one's message too."""
    outcome: Mapped[str | None] = mapped_column(String(16))
    final: Mapped[str | None] = mapped_column(Text)
    chunks: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    updated_at: Mapped[int] = mapped_column(BigInteger)


class SettingRow(Base):
    """A conversation's value of a setting, or one of its word lists."""

    __tablename__ = "settings"

    chat_id: Mapped[int] = mapped_column(ForeignKey("chats.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[str] = mapped_column(Text)
    set_by: Mapped[str] = mapped_column(Text)
    set_at: Mapped[int] = mapped_column(BigInteger)


class UserRow(Base):
    """A person's interface language."""

    __tablename__ = "users"

    platform: Mapped[str] = mapped_column(String(32), primary_key=True)
    user: Mapped[str] = mapped_column(ExternalId, primary_key=True)
    language: Mapped[str] = mapped_column(String(8))
    set_at: Mapped[int] = mapped_column(BigInteger)


class IdentifyRow(Base):
    """A login at a gateway that limits logins a day."""

    __tablename__ = "identifies"
    __table_args__ = (Index("ix_identifies_account", "platform", "bot", "at"), _AUTOINCREMENT)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    platform: Mapped[str] = mapped_column(String(32))
    bot: Mapped[str] = mapped_column(ExternalId)
    at: Mapped[int] = mapped_column(BigInteger)


class MenuRow(Base):
    """The command menu that was published last for an account."""

    __tablename__ = "menus"

    platform: Mapped[str] = mapped_column(String(32), primary_key=True)
    bot: Mapped[str] = mapped_column(ExternalId, primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
