"""The row of a reply, joined with all that a Reply is made of."""

from typing import Any

from sqlalchemy import Select, select

from core.domain.conversation import Author, ChatId, Chunk, Reply
from core.domain.reply_states import Lane, State
from storage.connections import ResultRow
from storage.tables import chats, inbox, messages, replies

_prefix = messages.alias("prefix")

REPLY_SOURCE = (
    replies.join(inbox, inbox.c.id == replies.c.inbox_id)
    .join(chats, chats.c.id == replies.c.chat_id)
    .outerjoin(messages, messages.c.id == replies.c.question_id)
    .outerjoin(_prefix, (_prefix.c.reply_to == replies.c.question_id) & replies.c.goes_on)
)
"""A reply's row, joined with all that a Reply is made of."""
REPLY_COLUMNS = (
    replies.c.id, chats.c.platform, chats.c.chat, chats.c.thread, inbox.c.private, replies.c.conversation,
    replies.c.lane, replies.c.state, replies.c.attempt, inbox.c.author_id, inbox.c.author_name, inbox.c.locale,
    inbox.c.text, inbox.c.bot, inbox.c.external_id, inbox.c.seq, inbox.c.reply_token, inbox.c.options, messages.c.id,
    messages.c.text, messages.c.author_id, messages.c.author_name, messages.c.at, replies.c.outcome, replies.c.final,
    replies.c.chunks, inbox.c.received_at, replies.c.isolated, replies.c.engine_deaths, replies.c.merged_into,
    _prefix.c.text,
)  # fmt: skip
"""In the order in which `to_reply` reads them."""


def select_replies() -> Select[*tuple[Any, ...]]:
    """The rows of replies for `to_reply`, oldest first. To be built once for each condition that is added."""
    return select(*REPLY_COLUMNS).select_from(REPLY_SOURCE).order_by(replies.c.id)


def to_reply(row: ResultRow) -> Reply:
    """The reply in a row that begins with REPLY_COLUMNS."""
    (
        id, platform, chat, thread, private, conversation, lane, state, attempt, author_id, author_name, locale,
        command, bot, external_id, seq, reply_token, options, question, question_text, asker_id, asker_name, asked_at,
        outcome, final, chunks, received_at, isolated, engine_deaths, merged_into, prefix,
    ) = row[: len(REPLY_COLUMNS)]  # fmt: skip
    asked = question is not None
    is_repeat = asked and command is not None  # a question's own text is no command's
    return Reply(
        id=id, chat=ChatId(platform, chat, thread), private=private, conversation=conversation, lane=Lane(lane),
        state=State(state), attempt=attempt, author=Author(author_id, author_name, locale),
        text=question_text if asked else command or "", bot=bot, external_id=external_id, seq=seq,
        reply_token=reply_token or "", options=options or {}, question=question,
        asker=Author(asker_id, asker_name) if asked else None, outcome=State(outcome) if outcome else None,
        final=final, chunks=tuple(Chunk(chunk["nonce"], chunk["id"]) for chunk in chunks),
        at=asked_at if asked else received_at, isolated=isolated, engine_deaths=engine_deaths,
        merged_into=merged_into, prefix=prefix or "", is_repeat=is_repeat,
    )  # fmt: skip
