"""Who may use the bot, and who may change or stop what. Pure."""

from dataclasses import dataclass

from core.domain.conversation import Author, ChatId, Question, Reply, Role


@dataclass(frozen=True, slots=True)
class Access:
    """Ids as /whoami shows them ("platform:id"), or bare ids for every platform. Empty lists admit everyone."""

    users: frozenset[str] = frozenset()
    chats: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()

    def admits(self, chat: ChatId, author: Author) -> bool:
        """Whether the bot answers this person in this chat: either of the two is enough, and owners always are."""
        if self.owner(chat.platform, author) or not (self.users or self.chats):
            return True
        return _listed(self.users, chat.platform, author.id) or _listed(self.chats, chat.platform, chat.chat)

    def owner(self, platform: str, author: Author) -> bool:
        """Whether the person owns the deployment."""
        return _listed(self.owners, platform, author.id)

    def role(self, platform: str, author: Author, role: Role) -> Role:
        """The role that counts: the platform's, or owner."""
        return Role.OWNER if self.owner(platform, author) else role


def may_change(private: bool, role: Role) -> bool:
    """Whether a person may change a conversation's settings and history: in a private chat everyone, else admins."""
    return private or role >= Role.ADMIN


def is_asker(reply: Reply, author: Author) -> bool:
    """Whether the person asked the reply's question, or had it answered again."""
    return author.id in {each.id for each in (reply.author, reply.asker) if each is not None}


def has_asked(question: Question, author: Author) -> bool:
    """Whether the person asked the question."""
    return author.id == question.author.id


def _listed(ids: frozenset[str], platform: str, wanted: str) -> bool:
    return wanted in ids or f"{platform}:{wanted}" in ids
