"""What a trial leaves behind, as plain values: what was said, what people see, the database's rows, the log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

OPEN = frozenset({"queued", "generating", "sending"})
ANSWERED = frozenset({"done", "merged"})


@dataclass(frozen=True, slots=True)
class Said:
    """A message of a person that the bot owes something for. `id` is the inbox's external id."""

    where: str
    id: str
    text: str
    token: str = ""
    """Of a question: see tests/faults/answers.py. Commands have none."""
    ends: frozenset[str] = ANSWERED
    """The states that it may end in."""
    sets: tuple[str, str] | None = None
    """A setting's name and value, where it is a command that sets one."""
    altered: bool = False
    """Whether its author has edited or deleted it since."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A message of the bot as it stands, in the order of the chat. `growing`: it says that more is to come."""

    where: str
    id: str
    text: str
    growing: bool = False
    buttons: tuple[tuple[str, str], ...] = ()
    """What stands on them, and what they carry."""
    states: tuple[str, ...] = ()
    """Everything that it ever showed."""

    @property
    def stub(self) -> bool:
        """Whether it says nothing."""
        return self.text in ("", "…")


@dataclass(frozen=True, slots=True)
class Row:
    """A reply with its inbox row. `chunks` are the ids of its messages, None where one was only intended."""

    id: int
    where: str
    external_id: str
    lane: str
    state: str
    chunks: tuple[str | None, ...] = ()
    question: int | None = None
    merged_into: int | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """A row of the history."""

    id: int
    where: str
    role: str
    text: str
    reply_to: int | None = None
    cut: bool = False
    """Whether the token limit ended it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """All that a database holds."""

    rows: Sequence[Row] = ()
    turns: Sequence[Turn] = ()
    settings: Mapping[tuple[str, str], str] = field(default_factory=dict)
    troubles: Sequence[str] = ()
    """What the database's own check finds."""


@dataclass(frozen=True)
class Evidence:
    """One trial's."""

    said: Sequence[Said]
    seen: Sequence[Seen]
    kept: Kept
    log: str = ""
    stubs: int = 0
    """How many empty messages may be left on Telegram."""
    secrets: Sequence[str] = ()
    """What may stand in no log."""
    private: Sequence[str] = ()
    """What may stand in no log from INFO on."""
    shuffled: bool = False
    """Whether messages came in another order than they were said in."""
    unsettled: bool = False
    """Whether the trial ended before everything could be answered: nothing is owed yet."""
    unsure: Sequence[Said] = ()
    """Commands of which people were told that they failed, though they may be stored, and what was deleted: nothing is
    owed for them."""
    removed: Sequence[Seen] = ()
    """Messages of the bot that are there no more."""
    pressed: Sequence[tuple[str, str, str]] = ()
    """Where somebody pressed a button that sets something, the setting's name, the value."""

    def of(self, where: str) -> list[Seen]:
        """What is seen in a chat, whichever of its topics or threads `where` is."""
        return self._places.get(chat_of(where), [])

    def shown(self, row: Row) -> str:
        """What is seen of a reply."""
        texts = {seen.id: seen.text for seen in self.of(row.where)}
        return " ".join(texts.get(id or "", "") for id in row.chunks)

    def rows_of(self, where: str) -> list[Row]:
        """The replies of a chat, whichever of its topics or threads `where` is."""
        return self._replies.get(chat_of(where), [])

    @cached_property
    def _replies(self) -> dict[str, list[Row]]:
        replies: dict[str, list[Row]] = {}
        for row in self.kept.rows:
            replies.setdefault(chat_of(row.where), []).append(row)
        return replies

    @cached_property
    def _places(self) -> dict[str, list[Seen]]:
        places: dict[str, list[Seen]] = {}
        for seen in self.seen:
            places.setdefault(chat_of(seen.where), []).append(seen)
        return places


def chat_of(where: str) -> str:
    """The chat around a topic or thread: a closed one's replies are shown there."""
    return "/".join(where.split("/")[:2])


def plain(text: str) -> str:
    """`text` with single spaces: where messages are split is no matter."""
    return " ".join(text.split())
