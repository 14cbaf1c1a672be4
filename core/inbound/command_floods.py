"""Commands that come in floods: how many one person may give, and repeats that are answered once."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.commands.registry import command_name
from core.domain.command_line import CommandLine, parse_command
from core.domain.conversation import ChatId
from core.domain.reply_states import Lane, State
from core.domain.store import Transaction
from core.i18n import t
from core.inbound.refusals import Admitted, Asker, Refusals, merged

COMMAND_WINDOW_MS = 10_000
"""A person's commands are counted over this time."""
ALWAYS_HEARD = ("stop",)
"""Commands that are carried out however many came before: whoever wants quiet gets it."""
MAX_REMEMBERED_PEOPLE = 1000
"""People whose last commands are remembered."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A command of a conversation that is not carried out yet.

    `asked`: whose it is and what it asks for; None where it changes something. `place`: where it stands in its batch,
    or else `id`: that of its stored reply.
    """

    asked: tuple[str, CommandLine] | None
    place: int | None = None
    id: int = 0


def find_repeated(asked: tuple[str, CommandLine], waiting: Sequence[Waiting]) -> Waiting | None:
    """The command that waits and will say what `asked` asks for. None where there is none, or where another changes
    something behind it. Pure."""
    for each in reversed(waiting):
        if each.asked is None:
            return None
        if each.asked == asked:
            return each
    return None


def is_flood(earlier: Sequence[int], at: int, most: int) -> bool:
    """Whether a command that is given at `at` comes after `most` others within the window. Pure.

    `earlier`: when the person gave their last commands. All times are the platform's, which may step back.
    """
    return most > 0 and sum(abs(at - each) < COMMAND_WINDOW_MS for each in earlier[-most:]) >= most


class CommandFloods:
    """Lets commands in, `most` of one person in a conversation within ten seconds; 0 is without a bound."""

    def __init__(self, most: int, refusals: Refusals) -> None:
        self._most, self._refusals = most, refusals
        self._last: dict[Asker, tuple[int, ...]] = {}
        """When people gave their last commands, in the order in which they did."""

    async def admit(self, tx: Transaction, admitted: Admitted) -> None:
        """Refuse the commands of a batch that are too many, and merge those that repeat one which waits."""
        waiting = dict[ChatId, list[Waiting]]()
        for place, new in enumerate(admitted.replies):
            if new.lane is Lane.ANSWER or new.state is not State.QUEUED:
                continue
            incoming, asker = new.incoming, Asker(new.incoming.chat, new.incoming.author.id, gives_commands=True)
            earlier = admitted.commands.get(asker, self._last.get(asker, ()))
            admitted.commands[asker] = (*earlier, incoming.at)[-max(self._most, 1) :]
            if is_flood(earlier, incoming.at, self._most) and command_name(incoming.text) not in ALWAYS_HEARD:
                await self._refusals.refuse(
                    tx, admitted, place, asker, lambda language: t(language, "busy.commands", most=self._most)
                )
                continue
            here = waiting.setdefault(incoming.chat, [])
            if new.lane is not Lane.LOOK:
                here.append(Waiting(None, place))
            elif not incoming.reply_token:  # an interaction needs a response of its own
                await _merge_repeat(tx, admitted, place, here)

    def record(self, admitted: Admitted) -> None:
        """The batch is stored."""
        for asker, times in admitted.commands.items():
            self._last.pop(asker, None)
            self._last[asker] = times
        while len(self._last) > MAX_REMEMBERED_PEOPLE:
            del self._last[next(iter(self._last))]


async def _merge_repeat(tx: Transaction, admitted: Admitted, place: int, here: list[Waiting]) -> None:
    """Merge the command at a place into one that waits in its conversation and asks for the same; else let it wait.

    `here`: what waits there of the batch, and of the store once that was asked.
    """
    incoming = admitted.replies[place].incoming
    if not any(each.place is None for each in here):
        here[:0] = await _stored(tx, incoming.chat)
    asked = incoming.author.id, _normalized(incoming.text)
    repeated = find_repeated(asked, here)
    if repeated is None:
        here.append(Waiting(asked, place))
    elif repeated.place is None:
        admitted.replies[place] = merged(admitted.replies[place], repeated.id)
    else:
        admitted.merge(place, repeated.place)


async def _stored(tx: Transaction, chat: ChatId) -> list[Waiting]:
    """The stored commands of a conversation that hold up others, or that a repeat may be merged into."""
    waiting = []
    for reply in await tx.replies.open_commands(chat):
        if reply.lane is Lane.NOTICE and reply.outcome is not State.REFUSED:
            waiting.append(Waiting(None, id=reply.id))
        elif reply.lane is Lane.LOOK and reply.state is State.QUEUED and not reply.reply_token:
            waiting.append(Waiting((reply.author.id, _normalized(reply.text)), id=reply.id))
    return waiting


def _normalized(text: str) -> CommandLine:
    """What a command asks for, whichever of its names is used."""
    line = parse_command(text) or CommandLine("")
    return CommandLine(command_name(text) or line.name, line.argument)
