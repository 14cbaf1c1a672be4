"""`qwentin console`: a database of its own, one conversation at the terminal."""

import io
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from rich.console import Console

from bots.config import Config
from bots.console.adapter import PLATFORM, ConsoleAdapter, local_author, new_chat, user_name
from bots.console.input import PipedLines, PromptedLines
from bots.console.options import Options
from bots.console.outgoing import LiveScreen, PlainScreen
from core.answering.assistant import NEXT_QUESTION_ID
from core.dispatch.service import ChatService
from core.domain.conversation import ChatId, Reply, Setting, Turn
from core.domain.reply_states import ReplyEvent, State
from core.domain.settings import SETTING_PARSERS
from core.domain.store import Store
from core.i18n import t
from core.i18n.person_language import choose_language
from storage.connections import Database
from storage.database import InUse, open_database
from storage.store import DatabaseStore, now_ms

SHOWN_TURNS = 3
"""Of a talk that goes on: so many questions and answers are shown again."""


@asynccontextmanager
async def console_database(config: Config) -> AsyncIterator[Database]:
    """The console's own file, so that it never fights a running bot; a second console talks without one."""
    try:
        async with open_database(config.console_database) as database:
            yield database
            return
    except InUse:
        print("Another console is open: this talk will not be kept.", file=sys.stderr)  # noqa: T201
    async with open_database("sqlite+aiosqlite:///:memory:") as database:
        yield database


class ConsoleSession:
    """One talk at this terminal, by a person or a pipe, whichever is there."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._is_terminal = all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))
        self._console = Console()
        self._screen = LiveScreen(self._console) if self._is_terminal else PlainScreen(sys.stdout)

    async def talk(self, store: DatabaseStore, service: ChatService, model: str, options: Options) -> bool:
        """Until the lines end. Whether every one of them succeeded. `model`: its name, for the greeting."""
        chat, pending = await conversation(store, options)
        adapter = ConsoleAdapter(
            self._screen,
            self._lines(),
            chat,
            service.control,
            interruptible=self._is_terminal,
            terminal=sys.stdin.fileno() if self._is_terminal else None,
        )
        async with service.running():
            await service.serve(adapter)
            service.settle(adapter.name)
            if self._is_terminal:
                self._greet(model)
                self._show_turns(await last_turns(store, chat))
            for reply in pending:
                await adapter.follow(reply)
            await service.events.run(adapter)
        return adapter.all_succeeded

    def _lines(self) -> PromptedLines | PipedLines:
        return (
            PromptedLines(self._config.data_dir / "console_history")
            if self._is_terminal
            else PipedLines(sys.stdin or io.StringIO())
        )

    def _show_turns(self, turns: Sequence[Turn]) -> None:
        """The end of the talk that goes on."""
        for turn in turns:
            self._console.print(f"> {turn.question}", style="dim", markup=False, highlight=False)
            self._screen.show(turn.answer)
            self._screen.end()

    def _greet(self, model: str) -> None:
        language = choose_language("auto", local_author().locale)  # before anything can have been chosen
        self._console.print(t(language, "console.hello", name=self._config.bot_name, model=model), style="dim")


async def conversation(store: DatabaseStore, options: Options) -> tuple[ChatId, Sequence[Reply]]:
    """The conversation to talk in, with the command line's settings, and the answers that it is still owed.

    A new conversation leaves the old ones as they are, but drops their open answers: nobody waits for those.
    """
    last = await store.latest_chat(PLATFORM)
    chat = last if options.resume and last else new_chat()
    async with store.begin() as tx:
        for name, value in options.settings.items():
            await tx.preferences.set(chat, name, Setting(str(SETTING_PARSERS[name](value)), user_name(), now_ms()))
    pending = await _owed(store, last)
    if chat == last:
        return chat, pending
    await _drop(store, pending)
    return chat, ()


async def last_turns(store: Store, chat: ChatId) -> Sequence[Turn]:
    """What was said last in a conversation, the oldest first; nothing in a new one."""
    async with store.begin() as tx:
        return await tx.turns.recent(chat, NEXT_QUESTION_ID, SHOWN_TURNS)


async def _owed(store: Store, chat: ChatId | None) -> Sequence[Reply]:
    if chat is None:
        return ()
    async with store.begin() as tx:
        return await tx.replies.open_answers(chat)


async def _drop(store: Store, replies: Sequence[Reply]) -> None:
    async with store.begin() as tx:
        for reply in replies:
            await tx.replies.move(reply, ReplyEvent.STOP if reply.state is State.QUEUED else ReplyEvent.FAIL)
