"""No word, digit or address of an answer is lost or invented, on any platform, however the answer is written."""

import re
import unicodedata
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bots.console import formatting as console
from bots.discord_bot import formatting as discord
from bots.telegram_bot import formatting as telegram
from core.delivery.splitting import utf16
from core.markdown.document import plain_text
from core.markdown.reader import read
from tests import one_message
from tests.core.markdown.answers import ANSWERS
from tests.tables import each_row

WORD = re.compile(r"[^\W_]+")
ADDRESS = re.compile(r"https?://[^\s()<>|`]+|www\.[^\s()<>|`.][^\s()<>|`]*[^\s()<>|`.]")


def on_telegram(markdown: str) -> str:
    """All that the messages hold: words, addresses and languages."""
    parts = telegram.messages(markdown)
    hidden = [f"{entity.url or ''} {entity.language or ''}" for part in parts for entity in part.entities]
    return "\n".join([*(part.text for part in parts), *hidden])


def on_discord(markdown: str) -> str:
    """All that the messages hold."""
    return "\n".join(part.content for part in discord.messages(markdown)).replace("\u200b", "")


def in_console(markdown: str) -> str:
    """All that the lines hold."""
    return console.to_plain_text(markdown)


def words(text: str) -> Counter[str]:
    """The words and numbers, in plain letters: x² is x and 2, π is pi."""
    scripts = [each for each in set(text) if unicodedata.decomposition(each).startswith("<su")]
    plain = text.translate({ord(each): f" {unicodedata.normalize('NFKC', each)} " for each in scripts})
    return Counter(WORD.findall(plain.replace("π", " pi ")))


def fence_words(markdown: str) -> Counter[str]:
    """The languages of code, which a terminal shows as colours."""
    return Counter(re.findall(r"(?m)^[ ]*(?:```+|~~~+)(\w+)", markdown))


@each_row(("markdown", "markup"), ANSWERS)
def test_no_word_of_an_answer_is_lost(markdown: str, markup: str) -> None:
    expected = words(markdown) - Counter(markup.split())
    for shown in (on_telegram(markdown), on_discord(markdown)):
        assert expected - words(shown) == Counter()
    assert expected - fence_words(markdown) - words(in_console(markdown)) == Counter()


@each_row(("markdown", "markup"), ANSWERS)
def test_no_address_of_an_answer_is_lost(markdown: str, markup: str) -> None:
    for address in ADDRESS.findall(markdown):
        for shown in (on_telegram, on_discord, in_console):
            assert address in shown(markdown), (shown, address)


@each_row(("markdown", "markup"), ANSWERS)
def test_no_word_of_an_answer_is_invented(markdown: str, markup: str) -> None:
    text = plain_text(read(markdown), lambda address: True)
    assert words(text) - words(markdown) == Counter()


# Pieces whose words are known: Markdown, and the letters and digits that a reader sees of it

INLINE = [
    ("word", "word"), ("đẹp", "đẹp"), ("**bold1**", "bold1"), ("*it2*", "it2"), ("***both3***", "both3"),
    ("~~gone4~~", "gone4"), ("`c_5 ** d`", "c5d"), ("``a`6``", "a6"), ("snake_case_7", "snakecase7"),
    ("2*3*4", "234"), ("$5", "5"), ("$x^2$", "x2"), ("\\(a_1\\)", "a1"), ("<b>b8</b>", "b8"), ("a &lt; b", "ab"),
    ("H<sub>2</sub>O", "H2O"), ("vector<int>", "vectorint"), ("C:\\new\\tmp", "Cnewtmp"), (">=3.8", "38"),
    ("[link](http://x.y/a_b)", "linkhttpxyab"), ("http://x.y/_z_/w", "httpxyzw"), ("[l](mailto:a@b.co)", "labco"),
    ("[d](http://localhost:8)", "dhttplocalhost8"), ("__init__", "init"), ("x\\_y", "xy"), ("1,234.5", "12345"),
    ("[^1]", "1"), ("||s||", "s"), ("**Note:**text", "Notetext"), ("![p](http://i.j/k)", "phttpijk"), ("1\\.", "1"),
]  # fmt: skip
BLOCKS = [
    ("# {}", "{}"), ("- {}\n- {}", "{}{}"), ("3. {}\n1. {}", "3{}1{}"), ("> {}\n> {}", "{}{}"), ("{}\n{}", "{}{}"),
    ("- [ ] {}\n  - [x] {}", "{}{}"), ("1954. {}\n\n   {}", "1954{}{}"), ("{}\n===", "{}"), ("> [!NOTE]\n> {}",
    "NOTE{}"),
    ("| h1 | h2 |\n|---|---|\n| {} | b |", "h1h2{}b"), ("- {}\n  - {}", "{}{}"), ("***{}***", "{}"),
]  # fmt: skip
LINES = st.lists(st.sampled_from(INLINE), min_size=1, max_size=5).map(
    lambda pieces: (" ".join(each[0] for each in pieces), "".join(each[1] for each in pieces))
)


@st.composite
def known_block(draw: st.DrawFn) -> tuple[str, str]:
    """A block of Markdown, and the letters of it."""
    markdown, letters = draw(st.sampled_from(BLOCKS[:-1]))
    lines = [draw(LINES) for _ in range(markdown.count("{}"))]
    if "|" in markdown:  # a pipe is a cell's end there
        lines = [(line.replace("||s||", "s"), text) for line, text in lines]
    return markdown.format(*(line for line, _ in lines)), letters.format(*(text for _, text in lines))


KNOWN = st.lists(known_block(), min_size=1, max_size=4)


def letters_of(text: str) -> str:
    """Letters and digits alone, without a style of their own."""
    return "".join(WORD.findall(unicodedata.normalize("NFKC", text)))


@settings(max_examples=120)
@given(KNOWN)
def test_letters_and_digits_are_neither_lost_nor_invented(blocks: list[tuple[str, str]]) -> None:
    markdown, letters = "\n\n".join(each[0] for each in blocks), "".join(each[1] for each in blocks)
    assert letters_of(in_console(markdown)) == letters
    for shown in (on_telegram(markdown), on_discord(markdown)):
        assert Counter(letters) - Counter(letters_of(shown)) == Counter()
    seen = plain_text(read(markdown), lambda address: True)
    assert (
        Counter(letters_of("".join(part.text for part in telegram.messages(markdown)))) - Counter(letters) == Counter()
    )
    assert Counter(letters_of(seen)) - Counter(letters) == Counter()


SOUP = st.lists(
    st.sampled_from(["word ", "w12 ", "đ", "3. ", "7) ", "- ", "> ", "# ", "*", "**", "_", "__", "`", "``", "```\n",
                     "~~",
                     "~~~\n", "$", "\\(", "\\)", "$$", "[", "]", "(", ")", "<", ">", "\\", "&", "!", "---\n",
                     "===\n", "|",
                     "|---|---|\n", "[ ] ", "[^1]", "http://a.b/c_d ", "\n", "\n\n", "    ", "<b>", "</b>", "<br>",
                     ":"]),
    max_size=30,
).map("".join)  # fmt: skip


def without_markup(soup: str) -> str:
    """The letters of a soup without the tags that may have become a look."""
    return letters_of(re.sub(r"</?b>|<br>", "", soup))


@pytest.mark.slow
@settings(max_examples=200)
@given(SOUP)
@example("[word]: http://a.b/c_d ")
@example("|a\n|-\n|b|c|d")
@example("[w](http://a.b/c_d)")
def test_no_soup_of_marks_loses_a_letter(soup: str) -> None:
    expected = Counter(without_markup(re.sub(r"(?m)(`{3,}|~{3,}).*$", r"\1", soup)))
    for shown in (on_telegram(soup), on_discord(soup), in_console(soup)):
        assert expected - Counter(letters_of(shown)) == Counter(), shown


@settings(max_examples=100)
@given(SOUP.map(lambda soup: soup * 12), st.integers(60, 300))
def test_every_part_is_within_its_limit_and_the_parts_are_the_whole(soup: str, limit: int) -> None:
    parts = telegram.messages(soup, limit)
    assert all(utf16(part.text) <= limit for part in parts)
    whole = Counter(letters_of(one_message.on_telegram(soup).text))
    assert whole - Counter(letters_of("".join(part.text for part in parts))) == Counter()
    sent = discord.messages(soup)
    assert all(utf16(part.content) <= discord.MAX_MESSAGE_UNITS for part in sent)
    whole = Counter(letters_of(plain_text(read(soup), lambda address: True)))
    assert whole - Counter(letters_of("".join(part.content for part in sent))) == Counter()
