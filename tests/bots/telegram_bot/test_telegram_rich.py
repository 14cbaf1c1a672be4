"""TELEGRAM_RICH: finished answers with tables and formulas as rich messages, and what becomes of them elsewhere."""

import asyncio
import re
from collections.abc import Sequence

import pytest

from bots.telegram_bot.formatting import messages
from bots.telegram_bot.rich_messages import formula_letters, rich_message
from tests.bots.telegram_bot.telegram_running import RETRY, running
from tests.core.markdown.answers import ANSWERS
from tests.core.markdown.test_nothing_is_lost import words
from tests.fakes import FakeModel, WordFilter
from tests.platforms.bot_api import BotApi
from tests.platforms.bot_api_chats import Chat, Person
from tests.platforms.bot_api_rich import read_html
from tests.platforms.faults import FaultKind
from tests.tables import each_row
from tests.watching import release

TABLE = (
    "Prices:\n\n| fruit | price |\n|---|---|\n| **apple** | $2 |\n| pear | [3](https://a.example/p) |\n\nThat is all."
)
CELLS = [["fruit", "price"], ["apple", "$2"], ["pear", "3"]]
MATRIX = "\\begin{pmatrix} a & b \\\\ c & d \\end{pmatrix}"
SET = MATRIX.replace("&", "&amp;")
WIDE = "| name | what it is good for in everyday life | and what it costs a year |\n|---|---|---|\n"

HTML = [
    ("no table, no formula", "**bold** and `code`", None),
    ("a formula among words", "so *$x^2$* is", "<p>so <i><tg-math>x^2</tg-math></i> is</p>"),
    ("one that no line can show", f"$${MATRIX}$$", f"<tg-math-block>{SET}</tg-math-block>"),
    ("its full stop", "\\[ E = mc^2 \\].", "<tg-math-block>E = mc^2.</tg-math-block>"),
    ("prices are none", "$5 and $10", None),
    (
        "a wide table is one again",
        f"{WIDE}| tea | nothing much, but it is warm and it smells good | 30 |\n| water | everything | |",
        "<table bordered><tr><th>name</th><th>what it is good for in everyday life</th><th>and what it costs a year"
        "</th></tr><tr><td>tea</td><td>nothing much, but it is warm and it smells good</td><td>30</td></tr>"
        "<tr><td>water</td><td>everything</td><td></td></tr></table>",
    ),
    (
        "two tables are two",
        "|a|b|\n|-|-|\n|1|2|\n\n|a|b|\n|-|-|\n|3|4|",
        "<table bordered><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>"
        "<table bordered><tr><th>a</th><th>b</th></tr><tr><td>3</td><td>4</td></tr></table>",
    ),
    (
        "numbers are the author's",
        "3. three $x^2$\n   - sub\n2. two\n   more\n\n   on its own",
        '<ol><li value="3">three <tg-math>x^2</tg-math><ul><li>sub</li></ul></li>'
        '<li value="2">two<br>more<p>on its own</p></li></ol>',
    ),
    (
        "tasks",
        "- [x] $a_1$\n- [ ] b\n\n1. c",
        '<ul><li><input type="checkbox" checked><tg-math>a_1</tg-math></li><li><input type="checkbox">b</li></ul>'
        '<ol><li value="1">c</li></ol>',
    ),
    (
        "quotes, and lists in them",
        "> $x^2$\n> - a\n> > b\n\nc",
        "<blockquote><p><tg-math>x^2</tg-math></p><ul><li>a</li></ul><blockquote><p>b</p></blockquote></blockquote>"
        "<p>c</p>",
    ),
    (
        "headings, code, rules, signs, links",
        "# A & B\n\n```c\nif (a < b)\n```\n\n---\n\n[x \"y\"](https://a.example/?q=1&r=2) $x^2$ [l](http://localhost:1)",
        '<h1>A &amp; B</h1><pre><code class="language-c">if (a &lt; b)</code></pre><hr/>'
        '<p><a href="https://a.example/?q=1&amp;r=2">x &quot;y&quot;</a> <tg-math>x^2</tg-math> l (http://localhost:1)</p>',
    ),
    (
        "a quote in an item of a list",
        "1. $x^2$\n\n   > q1\n   >\n   > q2\n\n   after\n2. y",
        '<ol><li value="1"><tg-math>x^2</tg-math><blockquote><p>q1</p><p>q2</p></blockquote><p>after</p></li>'
        '<li value="2">y</li></ol>',
    ),
    (
        "letters that the author has counted with",
        "1. $x^2$\n   a) b\n   b) c",
        '<ol><li value="1"><tg-math>x^2</tg-math><ul><li>a) b</li><li>b) c</li></ul></li></ol>',
    ),
    ("21 columns", "|" + "a|" * 21 + "\n|" + "-|" * 21 + "\n|" + "b|" * 21, None),
    ("500 rows", "|a|\n|-|\n" + "|b|\n" * 499, None),
    ("lists in lists in lists", "$x^2$\n" + "".join(f"{'  ' * depth}- a\n" for depth in range(8)), None),
]  # fmt: skip


@each_row(("markdown", "html"), [each[1:] for each in HTML], ids=[each[0] for each in HTML])
def test_what_is_written(markdown: str, html: str | None) -> None:
    (message,) = messages(markdown)
    rich = rich_message(message)
    assert (rich.html if rich else None) == html
    assert html is None or read_html(html).complaints == []


@pytest.mark.slow
@each_row(("markdown", "markup"), ANSWERS)
def test_a_rich_message_says_what_the_plain_one_says(markdown: str, markup: str) -> None:
    for plain in messages(f"{markdown}\n\n$x^2$\n\n{TABLE}"):
        rich = rich_message(plain)
        read = read_html(rich.html if rich else "<p>x</p>")
        assert read.complaints == []
        if rich:
            addresses = " ".join(entity.url or "" for entity in plain.entities)
            said = words(f"{plain.text} {addresses}")
            assert all(word in words(rich.html) for word in words(addresses))
            assert not {word for word in said - words(rich.html + read.text) if word.isascii() and len(word) > 1}


# On the server


def cells(chat: Chat) -> Sequence[object]:
    return chat.last.rich.tables if chat.last.rich else []


@pytest.mark.slow
async def test_an_answer_becomes_rich_at_its_end(server: BotApi, database: str, ann: Person, private: Chat) -> None:
    answers = iter([TABLE, f"So:\n\n$${MATRIX}$$", "words alone"])
    async with running(server, database, FakeModel(lambda prompt: re.findall(r"(?s).{1,9}", next(answers))), rich=True):
        private.say("table please", ann)
        await private.ended()
        assert cells(private) == [CELLS] and private.last.buttons == [RETRY] and len(private.messages) == 1
        assert private.last.history[0] == "…", "what grows is plain"
        private.say("formula please", ann)
        shown = (await private.ended(2)).rich
        assert shown and shown.formulas == [MATRIX]
        private.say("/retry", ann)
        await private.until(lambda chat: chat.texts[1:] == ["words alone"] and chat.last.buttons == [RETRY])
        assert private.last.rich is None and len(private.messages) == 2


REFUSALS = [
    ("a server that knows none", "message text is empty", 1),
    ("or says so in other words", "can't parse InputRichMessage", 1),
    ("a content that it does not like", "RICH_MESSAGE_EMAIL_INVALID", 2),
]


@pytest.mark.slow
@pytest.mark.parametrize(("words", "tries"), [each[1:] for each in REFUSALS], ids=[each[0] for each in REFUSALS])
async def test_what_is_refused_is_plain(
    server: BotApi, database: str, ann: Person, private: Chat, words: str, tries: int
) -> None:
    server.rich_refusal = words
    async with running(server, database, FakeModel(lambda prompt: [TABLE]), rich=True):
        for count in (1, 2):
            private.say("table please", ann)
            await private.ended(count)
            assert private.last.text.startswith("Prices:\n\nfruit") and "That is all." in private.last.text
    refused = [effect for effect in server.ledger if effect.refused]
    assert len(refused) == tries and len(private.messages) == 2


@pytest.mark.slow
async def test_a_draft_becomes_a_rich_message_or_where_there_are_none_a_plain_one(
    server: BotApi, database: str, ann: Person, private: Chat
) -> None:
    model = FakeModel(lambda prompt: re.findall(r"(?s).{1,9}", TABLE))
    for is_known in (True, False):
        if not is_known:
            server.fault(FaultKind.ERROR, "sendRichMessage", code=404, description="Not Found: method not found")
        async with running(server, database, model, drafts=True, rich=True):
            for _ in range(2):
                model.gate, drafts = asyncio.Semaphore(3), len(private.drafts)
                private.say("table please", ann)
                await private.until(lambda chat, before=drafts: len(chat.drafts) > before)  # type: ignore[misc]
                release(model)
                await private.ended(len(private.messages) + 1)
    assert [bool(message.rich) for message in private.messages] == [True, True, False, False]
    assert not any("…" in message.history for message in private.messages)
    assert len([effect for effect in server.ledger if effect.refused and effect.method == "sendRichMessage"]) == 1


@pytest.mark.slow
async def test_a_message_that_has_no_place_for_all_is_rich_where_it_gains(
    server: BotApi, database: str, ann: Person, private: Chat
) -> None:
    numbers = " ".join(map(str, range(1100)))
    async with running(server, database, FakeModel(lambda prompt: [numbers, "\n\n", TABLE]), rich=True):
        private.say("long please", ann)
        await private.until(lambda chat: len(chat.messages) == 2 and chat.last.buttons == [RETRY])
    assert private.messages[0].rich is None and cells(private) == [CELLS]


@pytest.mark.slow
async def test_a_lost_answer_changes_nothing(server: BotApi, database: str, ann: Person, private: Chat) -> None:
    server.fault(FaultKind.ACCEPT_THEN_DROP, "editMessageText", 3)
    async with running(server, database, FakeModel(lambda prompt: [TABLE]), rich=True):
        private.say("table please", ann)
        await private.until(lambda chat: chat.messages and cells(chat) == [CELLS] and chat.last.buttons == [RETRY])
    assert len(private.messages) == 1


@pytest.mark.slow
async def test_the_filter_reads_what_a_formula_shows(server: BotApi, database: str, ann: Person, private: Chat) -> None:
    said = "Look: $$\\begin{pmatrix} \\text{b}{\\rm ad} & 1 \\end{pmatrix}$$"
    assert "bad" in formula_letters(messages(said)[0].blocks)
    async with running(server, database, FakeModel(lambda prompt: [said]), rich=True, content_filter=WordFilter("bad")):
        private.say("say it", ann)
        await private.ended()
    assert all(message.rich is None for message in private.messages)
