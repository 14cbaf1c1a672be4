"""Talking through the console's front: dialogs as tables through its pipe, and what a person's screen shows."""

import asyncio
import io
import os
import pty
import re
import termios
from collections.abc import AsyncIterator, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from bots.console.adapter import ConsoleAdapter, new_chat
from bots.console.app import conversation, last_turns
from bots.console.formatting import to_lines
from bots.console.input import Lines, PipedLines, silent_keys
from bots.console.options import Options, parse_options
from bots.console.outgoing import ConsoleReplyChannel, LiveScreen, PlainScreen
from core.answering.assistant import Assistant
from core.dispatch.service import ChatService
from core.domain.conversation import ChatId
from core.domain.errors import SetupError
from core.domain.permissions import Access
from core.domain.prompt import Prompt
from core.domain.reply_states import Lane, ReplyEvent
from core.domain.settings import Rules
from core.i18n import t
from storage.store import DatabaseStore, now_ms
from tests.conftest import DEFAULTS
from tests.fakes import FakeModel, OpenFilter, incoming, owe
from tests.tables import each_row
from tests.waiting import until


class Terminal:
    """A console around fakes: `say` pipes lines through it and returns what it printed."""

    def __init__(self, store: DatabaseStore, model: FakeModel | None = None) -> None:
        self.store, self.model, self.out = store, model or FakeModel(), io.StringIO()
        self.screen = PlainScreen(self.out)
        assistant = Assistant(store, self.model, Rules(DEFAULTS), OpenFilter())
        self.service = ChatService(store, assistant, Access(owners=frozenset({"console:local"})), now=now_ms)
        self.good: bool | None = None

    async def talk(self, lines: Lines, *, chat: ChatId | None = None, interruptible: bool = False) -> None:
        adapter = ConsoleAdapter(
            self.screen, lines, chat or new_chat(), self.service.control, interruptible=interruptible
        )
        async with self.service.running():
            await self.service.serve(adapter)
            self.service.settle(adapter.name)
            await self.service.events.run(adapter)
        self.good = adapter.all_succeeded

    async def say(self, *lines: str, chat: ChatId | None = None) -> str:
        await self.talk(PipedLines(io.StringIO("".join(f"{line}\n" for line in lines))), chat=chat)
        text = self.out.getvalue()
        self.out.truncate(self.out.seek(0))
        return text


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "en_US.UTF-8")


DIALOGS: dict[str, list[tuple[str, str]]] = {
    "the answer alone": [("hello world", "hello world\n")],
    "setting and showing": [
        ("hello", "hello\n"), ("/temp 0", "Temperature: 0.7 → 0.\n"),
        ("/settings", r"(?s)Temperature: 0 \(set here by .*Memory in turns \(at least\): 3 \(the default\)"),
    ],
    "commands and questions in order": [("one", "one\n"), ("/undo", "“one”"), ("/undo", "nothing"), ("two", "two\n")],
    "white space and empty lines": [("  hello  ", "hello\n"), ("   ", ""), ("", "")],
    "the owner may": [("/whoami", "(?s)console:local.*owner")],
    "every command answers": [(f"/{name}", ".") for name in (
        "start", "help", "ask", "clear", "temp", "maxtokens", "memory", "system", "lang", "settings", "stop", "retry",
        "undo", "status", "whoami", "new", "reset",
    )],
    "leaving": [("hello", "hello\n"), ("/exit", ""), ("never read", "")],
}  # fmt: skip


@each_row("name", DIALOGS)
async def test_dialogs(store: DatabaseStore, name: str) -> None:
    said = [line for line, _ in DIALOGS[name]]
    printed = await Terminal(store).say(*said)
    rest = printed
    for line, expected in DIALOGS[name]:
        found = re.search(expected, rest)
        assert found, f"{line!r}: {expected!r} is not in {rest!r}"
        rest = rest[found.end() :]
    assert "never read" not in printed


async def test_it_speaks_the_locale_of_the_terminal(store: DatabaseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "vi_VN.UTF-8")
    assert "Nhiệt độ" in await Terminal(store).say("/temp")


async def test_each_line_waits_for_the_outcome_of_the_one_before(store: DatabaseStore) -> None:
    terminal = Terminal(store)
    read: list[int] = []

    class Watched(io.StringIO):
        def readline(self, size: int = -1, /) -> str:  # type: ignore[override]
            read.append(len(terminal.model.prompts))
            return super().readline()

    await terminal.talk(PipedLines(Watched("one\ntwo\nthree\n")))
    assert terminal.good
    assert read == [0, 1, 2, 3]
    assert terminal.out.getvalue() == "one\ntwo\nthree\n"


async def test_a_failed_line_is_told_at_the_end(store: DatabaseStore) -> None:
    def says(prompt: Prompt) -> list[str]:
        return [] if "nothing" in prompt[-1].content else ["fine"]

    terminal = Terminal(store, FakeModel(says))
    assert await terminal.say("nothing", "something") == f"{t('en', 'error.empty')}\nfine\n"
    assert terminal.good is False
    assert await terminal.say("something", "/temp 9") and terminal.good is True


async def test_ctrl_c_stops_the_answer_and_not_the_program(store: DatabaseStore) -> None:
    import os
    import signal

    model = FakeModel()
    model.gate = asyncio.Semaphore(1)
    terminal = Terminal(store, model)

    async def lines() -> AsyncIterator[str]:
        yield "one two"
        model.gate = None
        yield "again"

    talking = asyncio.create_task(terminal.talk(lines(), interruptible=True))
    await until(lambda: terminal.screen._text.strip() == "one")
    os.kill(os.getpid(), signal.SIGINT)
    await talking
    assert terminal.good, "a stopped answer has not failed"
    assert terminal.out.getvalue() == f"one\n\n{t('en', 'mark.stopped')}\nagain\n"


# The command line's wishes


async def test_a_new_talk_is_a_new_conversation_and_resuming_goes_on(store: DatabaseStore) -> None:
    first, _ = await conversation(store, Options({"memory": "5"}))
    await Terminal(store).say("remember me", chat=first)
    fresh, pending = await conversation(store, Options())
    assert fresh != first and not pending
    again, _ = await conversation(store, Options({"temperature": "0"}, resume=True))
    assert again == first
    terminal = Terminal(store)
    await terminal.say("again", chat=again)
    assert [message.content for message in terminal.model.prompts[0]][1:] == ["remember me", "remember me", "again"]
    assert terminal.model.samplings[0].temperature == 0
    async with store.begin() as tx:
        assert {name: row.value for name, row in (await tx.preferences.settings(first)).items()} == {
            "memory": "5", "temperature": "0.0",
        }  # fmt: skip


async def test_a_talk_that_goes_on_begins_with_its_last_turns(store: DatabaseStore) -> None:
    chat, terminal = new_chat(), Terminal(store)
    assert await last_turns(store, chat) == []
    await terminal.say("one", "two", "three", "QUIT", "/quit", "five", chat=chat)
    assert [turn.question for turn in await last_turns(store, chat)] == ["two", "three", "QUIT"]


def test_keys_are_not_shown_in_an_answer() -> None:
    controller, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    with pytest.raises(KeyboardInterrupt), silent_keys(terminal):
        assert not termios.tcgetattr(terminal)[3] & termios.ECHO
        os.write(controller, b"typed\n")
        raise KeyboardInterrupt
    assert termios.tcgetattr(terminal) == before and os.read(terminal, 100) == b"typed\n"
    os.close(controller)
    os.close(terminal)


@each_row("resume", [True, False])
async def test_what_a_killed_console_still_owed(store: DatabaseStore, resume: bool) -> None:
    chat = new_chat()
    async with store.begin() as tx:
        replies = [await owe(tx, incoming(text, chat=chat), Lane.ANSWER) for text in ("one", "two")]
        assert replies[0] and replies[1]
        await tx.replies.move(replies[0], ReplyEvent.CLAIM)
    _, pending = await conversation(store, Options(resume=resume))
    assert [reply.text for reply in pending] == (["one", "two"] if resume else [])
    async with store.begin() as tx:
        assert len(await tx.replies.open_answers(chat)) == (2 if resume else 0)


GOOD = [
    (["temp=0", "maxtokens = 256"], {"temperature": "0", "max_tokens": "256"}),
    (["reply=vi"], {"reply_language": "vi"}),
]
BAD = [
    (["temp=2"], "0 to 1"),
    (["color=red"], "no such setting"),
    (["memory"], "1 to 10"),
    (["temp=2", "memory=0"], "\n"),
]


@each_row(("options", "settings"), GOOD)
def test_options(options: list[str], settings: dict[str, str]) -> None:
    assert parse_options(options, None, False).settings == settings
    assert parse_options(options, "Be a pirate.", True).settings == {**settings, "system": "Be a pirate."}


@each_row(("options", "words"), BAD)
def test_bad_options(options: list[str], words: str) -> None:
    with pytest.raises(SetupError, match=words):
        parse_options(options, None, False)
    with pytest.raises(SetupError, match="system"):
        parse_options([], "", False)


# A person's screen


def person() -> tuple[LiveScreen, io.StringIO]:
    out = io.StringIO()
    return LiveScreen(Console(file=out, width=60, height=20, force_terminal=False)), out


def show(screen: LiveScreen, texts: Iterable[str]) -> None:
    screen.typing()
    for text in texts:
        screen.show(text)
    screen.end()


def test_markdown_is_rendered() -> None:
    screen, out = person()
    show(screen, ["**bold** and `code`\n\n- item"])
    check_copies()
    assert "bold and code" in out.getvalue() and "**" not in out.getvalue() and "• item" in out.getvalue()


SPINNERS = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
ERASED = "\x1b[2K"


@pytest.mark.slow
@each_row("text", ["one", "one\n\ntwo\n\nthree", "```py\nx\n```\n\nAnswer"])
def test_the_spinner_is_gone_before_the_answer_and_no_key_is_in_it(text: str) -> None:
    """At a terminal, while somebody types."""
    controller, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as out, silent_keys(terminal):
        screen = LiveScreen(Console(file=out, width=60, height=20, force_terminal=True))
        screen.typing()
        os.write(controller, b"typed keys\n")
        screen.show(text)
        screen.end()
        out.flush()
        shown = os.read(controller, 100_000).decode()
    os.close(controller)
    before, first, after = shown.partition(text[0] if text[0] != "`" else "x")
    assert first and "typed" not in shown and any(sign in before for sign in SPINNERS)
    assert not any(sign in after for sign in SPINNERS), "a spinner beside an answer"
    assert ERASED in before.rsplit(max(SPINNERS, key=before.rfind), 1)[1]


def test_a_long_answer_scrolls_and_is_there_once() -> None:
    screen, out = person()
    lines = [f"- line {i}" for i in range(60)]
    show(screen, ["\n".join(lines[:size]) for size in range(1, 61)])
    assert re.findall(r"line \d+", out.getvalue()) == [f"line {i}" for i in range(60)]


TABLE = "| name | what it is |\n|---|---|\n" + "".join(f"| n{i} | {'x' * i} |\n" for i in range(30))
NUMBERED = "".join(f"{i}. item {i}\n   its second line\n" for i in range(1, 31))


@each_row(
    ("text", "once"), [(TABLE, "what it is"), (NUMBERED, "item 1\n  its"), (TABLE, "n29"), (NUMBERED, "item 30\n  its")]
)
def test_what_is_laid_out_anew_while_it_grows_is_there_once(text: str, once: str) -> None:
    screen, out = person()
    show(screen, [f"Look:\n\n{text[:size]}" for size in range(1, len(text) + 1, 7)] + [f"Look:\n\n{text}\nDone."])
    assert re.sub(r" +\n", "\n", out.getvalue()).count(once) == 1
    assert out.getvalue().count("Look:") == 1 and "Done." in out.getvalue()


WIDE = "https://releases.example.com/downloads/ubuntu/22.04/" + "x" * 40
COMMAND = "pip install " + " ".join(f"package{i}==1.{i}" for i in range(12))
COPIED = [
    (f"```sh\n{COMMAND}\n```", COMMAND), (f"> ```sh\n> {COMMAND}\n> ```", COMMAND),
    (f"- ```\n  {COMMAND}\n  ```", COMMAND),
    (f"Look at {WIDE} and choose.", WIDE), (f"[here]({WIDE})", f"({WIDE})"), (f"- {WIDE}", WIDE),
    (f"> {WIDE}.", f"{WIDE}."),
]  # fmt: skip


def check_copies() -> None:
    """Code and addresses that are wider than the screen, and words that are."""
    for text, words in COPIED:
        screen, out = person()
        show(screen, [text[:size] for size in range(1, len(text), 9)] + [text])
        assert out.getvalue().count(words) == 1, text
    assert all(cell_len(line) <= 60 for line in to_lines("x" * 200 + " " + "字" * 100 + " word" * 50, 60))


def test_what_looks_like_html_is_text() -> None:
    screen, out = person()
    show(screen, ["Use <b>, std::vector<int> and <think>.\n\n<div>block</div>\n\nEnd"])
    assert all(word in out.getvalue() for word in ("<b>", "vector<int>", "<think>", "\nblock\n", "End"))


def test_an_answer_that_was_replaced_is_shown_whole() -> None:
    screen, out = person()
    show(screen, ["\n\n".join(f"text {i}" for i in range(20)), "sorry"])
    assert out.getvalue().rstrip().endswith("sorry")


def test_two_replies_do_not_mix() -> None:
    screen, out = person()
    show(screen, ["one"])
    show(screen, ["two"])
    assert out.getvalue().split() == ["one", "two"]


RENDERED = [("b**a**d", "bad"), ("`b`ad", "bad"), ("# Title\n\ntext", "Title\n\ntext"), ("```\ncode\n```", "code"),
            ("[link](http://x)", "link (http://x)"), ("a\nb", "a\nb"), ("", "")]  # fmt: skip


@each_row(("text", "seen"), RENDERED)
def test_what_the_last_gate_sees(text: str, seen: str) -> None:
    assert ConsoleReplyChannel(PlainScreen(io.StringIO())).format(text)[0].text == seen


@given(st.text())
def test_rendering_never_fails(text: str) -> None:
    assert len(ConsoleReplyChannel(PlainScreen(io.StringIO())).format(text)) == 1
    screen, _ = person()
    show(screen, [text])


async def _lines(source: PipedLines) -> AsyncIterator[str]:
    async for line in source:
        yield line


async def test_a_pipe_without_a_last_newline() -> None:
    assert [line async for line in _lines(PipedLines(io.StringIO("one\ntwo")))] == ["one", "two"]
