"""Who may use the bot, and who may change or stop what. Pure."""

from dataclasses import dataclass

from core.domain.conversation import Author, ChatId, Question, Reply, Role, fit_id


@dataclass(frozen=True, slots=True)
class Access:
    """The owner's three lists of ids: as /whoami shows them ("platform:id"), or bare ids for every platform.

    Where `users` and `chats` are both empty, everyone is admitted.
    """

    users: frozenset[str] = frozenset()
    chats: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()

    def admits(self, chat: ChatId, author: Author) -> bool:
        """Whether the bot answers this person in this chat: the person or the chat is listed, or the person owns the
        deployment."""
        if not (self.users or self.chats):
            return True
        return (
            self.is_owner(chat.platform, author)
            or _is_listed(self.users, chat.platform, author.id)
            or _is_listed(self.chats, chat.platform, chat.chat)
        )

    def is_owner(self, platform: str, author: Author) -> bool:
        """Whether the person owns the deployment."""
        return _is_listed(self.owners, platform, author.id)

    def role(self, platform: str, author: Author, role: Role) -> Role:
        """The person's role in a chat, where the platform gives them `role`."""
        return Role.OWNER if self.is_owner(platform, author) else role


def may_change(private: bool, role: Role) -> bool:
    """Whether a person may change a conversation's settings and history: in a private chat everyone, else admins."""
    return private or role >= Role.ADMIN


def may_control(asked: bool, private: bool, role: Role) -> bool:
    """Whether a person may stop, repeat or undo an answer: the person whose question it answers (`asked`), and whoever
    may change the conversation."""
    return asked or may_change(private, role)


def is_asker(reply: Reply, author: Author) -> bool:
    """Whether the person asked the reply's question, or had it answered again."""
    return fit_id(author.id) in {each.id for each in (reply.author, reply.asker) if each is not None}


def has_asked(question: Question, author: Author) -> bool:
    """Whether the person asked the question."""
    return fit_id(author.id) == question.author.id


def _is_listed(ids: frozenset[str], platform: str, id: str) -> bool:
    return id in ids or f"{platform}:{id}" in ids
