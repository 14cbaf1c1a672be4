"""Replies that are ended before they have run: what people saw of one is changed once more, to say so."""

from core.delivery.long_text import LONG_TEXT_CHARACTERS
from core.delivery.partial_markdown import close_fence, close_open_markup
from core.domain.conversation import Reply, StoredAnswer
from core.domain.reply_states import ReplyEvent, State
from core.domain.store import Stale, Transaction
from core.i18n import t
from core.i18n.person_language import read_language


async def end_reply(tx: Transaction, reply: Reply, event: ReplyEvent) -> Reply:
    """Apply ReplyEvent.STOP or CLEAR to an open reply; return it as it then is.

    One that is being generated still is, until its worker has seen its stop flag. A queued one is CANCELLED; if people
    see that it is to come, it is SENDING what they are to see in place of that. `reply` is read in this transaction,
    and what /clear and /undo delete is deleted after it. Raises Stale, see Replies.move.
    """
    if reply.state is State.QUEUED and reply.is_pending:
        return await withdraw(tx, reply)
    return await tx.replies.move(reply, event)


async def discard(tx: Transaction, reply: Reply) -> Reply:
    """End a reply in silence, because its question's message was deleted; return it as it then is.

    What it shows so far is to be deleted: it is SENDING nothing, or its worker will be, once it has seen its stop flag.
    The question is deleted too. Raises Stale where its answer is there already, or was before.
    """
    if reply.question is None or reply.is_repeat:
        raise Stale(f"reply {reply.id} has no question of its own")
    if reply.state is State.QUEUED and reply.is_pending:
        moved = await tx.replies.move(reply, ReplyEvent.WITHDRAW, final="")
    else:
        moved = await tx.replies.move(reply, ReplyEvent.DISCARD)
    await tx.turns.delete_pair(reply.question)
    return moved


async def withdraw(tx: Transaction, reply: Reply) -> Reply:
    """Have the messages of a queued reply show the earlier answer to its question, as the history has it, or else that
    the reply was stopped. Return it as it then is, SENDING. Raises Stale, see Replies.move.
    """
    mark = t(await read_language(tx, reply.chat.platform, reply.author), "mark.stopped")
    # Without messages the earlier answer stands elsewhere, or nowhere any more.
    earlier = await tx.turns.answer_to(reply.question) if reply.chunks and reply.question is not None else None
    text = as_it_was_shown(earlier, mark) if earlier else mark
    return await tx.replies.move(reply, ReplyEvent.WITHDRAW, final=text)


def as_it_was_shown(answer: StoredAnswer, mark: str) -> str:
    """The text of an answer's messages, from its text in the history. `mark` says that an answer was stopped."""
    if not (answer.truncated or answer.stopped):
        return answer.text
    return "\n\n".join([closed_at_once(answer.text), *([mark] if answer.stopped else [])])


def closed_at_once(text: str) -> str:
    """A text that a mark may follow. For use within a transaction, where nothing may take long: of a long text no more
    markup is closed than would hide the mark."""
    return (close_open_markup if len(text) <= LONG_TEXT_CHARACTERS else close_fence)(text)
