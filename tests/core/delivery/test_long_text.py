"""A long text: a bounded number of messages, and work that grows no faster than the text."""

import re
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bots.discord_bot import formatting as discord
from bots.telegram_bot import formatting as telegram
from core.delivery.long_text import LONG_TEXT_CHARACTERS, MAX_MESSAGES, beginning, format_long
from core.delivery.partial_markdown import close_open_markup
from core.domain.platform import OutgoingMessage
from core.markdown.reader import read
from tests import one_message
from tests.core.filters.steps import counted
from tests.tables import each_row

NOTICE = "The rest is cut."


def on_telegram(markdown: str) -> Sequence[OutgoingMessage]:
    return [OutgoingMessage(each.text, each.text) for each in telegram.messages(markdown)]


def on_discord(markdown: str) -> Sequence[OutgoingMessage]:
    return [OutgoingMessage(each.text, each.content) for each in discord.messages(markdown)]


def texts(size: int) -> list[str]:
    """Long texts of many kinds; `size` words and more of each."""
    return [
        "word " * size,
        "\n\n".join(f"{at}. **item** `code`" for at in range(size // 3)),
        "```py\n" + "x = 1\n" * size + "```",
        "x" * 5 * size,
        "**river " * size,
        "| a | b |\n|---|---|\n" + "| word | word |\n" * (size // 2),
        "> quote\n> " * size,
        "A sentence ends. " * size,
        "[" * 5 * size,
        "\n\n".join(f"## Title {at}\n\ntext" for at in range(size // 2)),
        "😀" * 3 * size,
        "*" * 5 * size,
        "see [a note that never ends " * size,
        "[a](http://localhost/" + "x" * 400 + ") " * (size // 10),
    ]


def check_ceiling(formatted: Callable[[str], Sequence[OutgoingMessage]], text: str) -> bool:
    """Check the messages of a text; whether it was cut."""
    messages = format_long(formatted, NOTICE, text)
    is_cut = len(formatted(text)) > MAX_MESSAGES
    assert 1 <= len(messages) <= MAX_MESSAGES
    assert messages[-1].text.endswith(NOTICE) == is_cut
    assert sum(message.text.count(NOTICE) for message in messages) == is_cut
    assert not is_cut or len(messages) > MAX_MESSAGES // 2  # most of what fits is shown
    return is_cut


def test_a_reply_has_a_ceiling_of_messages_and_says_where_it_is_cut() -> None:
    for text in texts(4000)[:3]:
        assert check_ceiling(on_discord, text)


@pytest.mark.slow
@each_row("text", texts(9000))
def test_every_reply_has_a_ceiling_of_messages(text: str) -> None:
    check_ceiling(on_discord, text)
    check_ceiling(on_telegram, text)


def test_a_short_text_of_many_messages_has_a_ceiling_too() -> None:
    text = "[a]\n\n" * 300 + "[a]: http://localhost/" + "x" * 400
    assert len(text) < 2000 and len(on_discord(text)) > 2 * MAX_MESSAGES
    messages = format_long(on_discord, NOTICE, text)
    assert len(messages) <= MAX_MESSAGES and messages[-1].text.endswith(NOTICE)


# Where a text is cut: at most the characters before ✂ fit, those before ‸ are kept

ENDS = [
    "one two‸ thr✂ee", "first line‸\nsec✂ond", "a paragraph‸\n\nand a se✂cond", "It ends.‸ It be✂gins.",
    "item‸ 1001✂614", "a‸\n1614. item 1001✂614", "call ‸+84 912 ✂345 678", "is ‸1 000 ✂000", "is‸ v1.2✂.3",
    "and‸ 100✂g", "see‸ https://example.co✂m/a", "a‸ <https://a.example/b✂c>",
    "mail‸ an@ex✂ample.com", "read ‸[two ✂words](https://a.example)", "read‸ [words](https://a.exam✂ple/x_(y))",
    "see ‸![a pic✂ture](http://a.example/b.png)", "read ‸[two wo✂rds][1]", "run ‸`pip install ✂x`", "at‸ 12:3✂0 pm",
    "- a‸\n- b c✂d", "| a | b |\n|---|---|‸\n| one | tw✂o |", "is 1, 2,‸ ✂3",
]  # fmt: skip
FULL = [
    "word",
    "1001614",
    "https://a.example/b_c",
    "`a b`",
    "[x y](http://a.example)",
    "+84 912 345 678",
    "3.1",
    "e.g.",
]


def check_end(marked: str) -> None:
    text = "word " * 600 + marked.replace("‸", "").replace("✂", "")
    most = 3000 + len(marked.replace("‸", "").partition("✂")[0])
    kept = beginning(text, most)
    assert kept[-len(marked) :].endswith(marked.partition("‸")[0]) and text.startswith(kept)
    assert text[len(kept) :] == marked.partition("‸")[2].replace("✂", "")


def test_what_is_left_of_a_text_that_is_cut_is_its_beginning() -> None:
    text = " ".join(f"w{at}" for at in range(12_000))
    shown = " ".join(message.text for message in format_long(on_telegram, NOTICE, text))
    numbers = [int(number) for number in re.findall(r"w(\d+)", shown)]
    assert numbers == list(range(len(numbers))) and len(numbers) > 4000
    separated = ("，", "值10001"), ("、", "https://a.example/10001"), ("\n", "1. item 10001"), (" ", "+84 9 10001")
    for between, part in separated:
        text = between.join(part.replace("0001", str(1000 + at)) for at in range(60_000 // len(part)))
        assert all(beginning(text, most)[-4:].strip(between).isdigit() for most in range(40_000, 40_030))
        assert not any(text[len(beginning(text, most))].isdigit() for most in range(40_000, 40_030))
    for marked in ENDS:
        check_end(marked)


@given(st.lists(st.sampled_from(FULL), min_size=3), st.sampled_from(["\n", "\n\n", "; "]), st.integers(0, 4000))
def test_whole_parts_are_kept(parts: list[str], between: str, most: int) -> None:
    text = between.join(parts)
    kept = beginning(text, most)
    assert len(kept) <= max(most, 0) and text.startswith(kept)
    assert most < 30 or all(part.strip("; \n") in ("", *FULL) for part in kept.split(between))


@each_row("text", ["1. ```py\nword ", "```\n```\nword", "- ~~~\n  ~~~\n  word"])
def test_empty_code_takes_no_room(text: str) -> None:
    shown = one_message.on_telegram(text)
    assert telegram.messages(text, len(shown.text)) == [shown] and "\n\n" not in shown.text


def test_code_that_is_cut_is_closed_before_the_notice() -> None:
    messages = format_long(on_discord, NOTICE, "```py\n" + "x = 1\n" * 4000)
    assert str(messages[-1].body).endswith(f"\n```\n\n{NOTICE}")
    assert all(str(message.body).count("```") == 2 for message in messages)


@each_row("text", ["", "word", "x" * LONG_TEXT_CHARACTERS, "**a**\n\n- b"])
def test_a_text_of_few_messages_is_as_it_is_formatted(text: str) -> None:
    for formatted in (on_telegram, on_discord):
        assert format_long(formatted, NOTICE, text) == formatted(text)


def test_words_behind_open_marks_are_few_messages() -> None:
    for mark in ("**", "*", "_", "~~", "__", "`", "[", "<b>", "$"):
        text = " ".join(f"{mark}river{at}" for at in range(200))
        assert len(on_telegram(text)) == 1 and len(on_discord(text)) <= 3
        shown = re.findall(r"river\d+", on_telegram(text)[0].text)
        assert shown == [f"river{at}" for at in range(200)]


# Steps: calls of functions, of a text and of one twice as long

PIECES = [
    "[", "![", "\\", "\\[ ", "\\( ", "$a ", "$$", "<b>", "</b>", "[a](", "](", ">", "- ", "*a ", "_a ", "***", "a**b",
    "|a", "~~a ", "1. a\n", "https://a.b/c ", "<a ", "x", "a\n", "```\n", "*_", "[a](http://b.c) ", "www.", "<!--",
    "_a*",
    "[^1]", "`a ", "```a ", "&amp;", "# a\n", "> a\n", "[a]: http://x\n", "(", "!", "__a ", "a_", "<br>", "\n\n", ": ",
    "| a | b |\n", "é", "👩‍👩‍👧 ", "word ", "`", "``` a", "[a][", "]", "a\n---\n", "$$\n", "\\[\n", "- [ ] a\n", "<p>a",
    "<blockquote>a\n", "</blockquote>\n", "<pre>\n", "</pre>\n", "<table>\n", "<tr><td>a\n",
    "<img src=http://a.b/c.png> ", "<b>a\n\n",
    "a</b>\n\n", "word **b ** word word word ", "\\begin{align}\n", "a\nb\n==\n", "1) a\n   a) b\n", "*args ",
    "2 *3", "[a][b] ",
    "\\begin{cases}\na\n", "$HOME and the ",
]  # fmt: skip
TABLE = "| a | b |\n|---|---|\n"
MAX_RATIO = 2.5


def adversarial(length: int) -> list[tuple[str, str]]:
    """Texts of about so many characters, by name."""
    repeated = [(piece, piece * (length // len(piece))) for piece in PIECES]
    words = " ".join(f"**river{at}" for at in range(length // 10))
    ticks = " ".join("`" * at for at in range(1, round((2 * length) ** 0.5)))
    rows = TABLE + "| x | `y || z` |\n" * (length // 16)
    definitions = "".join(f"[a{at}]: http://x\n" for at in range(length // 16))
    nested = "".join("  " * (at % 20) + "- a\n" for at in range(length // 20))
    return [
        *repeated,
        ("words", words),
        ("ticks", ticks),
        ("rows", rows),
        ("definitions", definitions),
        ("nest", nested),
    ]


def grows(work: Callable[[str], object], length: int, few: int) -> list[str]:
    """The texts of `length` characters of which one twice as long takes too many steps. `few`: what any text takes."""
    complaints = list[str]()
    for (name, short), (_, long) in zip(adversarial(length), adversarial(2 * length), strict=True):
        steps = list[int]()
        for text in (short, long):
            with counted() as count:
                work(text)
                steps.append(count())
        if steps[1] > MAX_RATIO * max(steps[0], few):
            complaints.append(f"{name!r}: {steps}")
    return complaints


def preview(text: str) -> object:
    return close_open_markup(text[:-1])


@pytest.mark.slow
def test_reading_takes_no_quadratic_work() -> None:
    assert grows(read, 500, few=1000) == []


@pytest.mark.slow
def test_previews_take_no_quadratic_work() -> None:
    assert grows(preview, 700, few=27_000) == []


@pytest.mark.slow
@pytest.mark.parametrize("work", [on_telegram, on_discord, preview])
def test_messages_take_no_quadratic_work(work: Callable[[str], object]) -> None:
    # Of several messages: a text of one is not divided, and one of two takes more than twice its steps.
    assert grows(work, 12_000, few=10_000) == []
