"""An answer while it is written: no prefix of it shows a mark that the whole answer does not show."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bots.telegram_bot.formatting import MAX_TABLE_COLUMNS
from core.delivery.partial_markdown import close_open_markup
from core.markdown.document import Style, gap, lead
from core.markdown.reader import read
from core.markdown.tables import laid_out
from tests.core.markdown.answers import ANSWERS
from tests.tables import each_row

MARK = re.compile(
    r"\*\*|\*|__|~~|`+|\]\(|\]\[|\$|\\[(\[\])]|</?[a-z]+>?|\[\^|\[!|\[[ xX]?\]|^#+(?= )|^\|.*|-{3,}|={3,}|^>"
    r"|^\d+[.)]$|&\w+;|\[",
    re.MULTILINE,
)
"""What only Markdown means something by, and a marker without words."""


def seen(markdown: str) -> str:
    """What a reader sees outside code."""
    blocks = laid_out(read(markdown), MAX_TABLE_COLUMNS, lambda address: True)
    return "".join(
        gap(block) + lead(block) + "".join("·" if Style.CODE in run.style else run.text for run in block.runs)
        for block in blocks
    )


def raw_marks(prefix: str, final: str) -> list[str]:
    """The marks that a prefix shows, and the final text does not show as often."""
    shown = seen(close_open_markup(prefix))
    return [mark for mark in set(MARK.findall(shown)) if shown.count(mark) > final.count(mark)]


def complaints(markdown: str) -> list[tuple[str, list[str]]]:
    """The prefixes that show a raw mark, with it."""
    final = seen(markdown)
    found = ((markdown[:at], raw_marks(markdown[:at], final)) for at in range(1, len(markdown) + 1))
    return [(prefix[-40:], marks) for prefix, marks in found if marks]


@each_row(("markdown", "markup"), [(markdown[:250], markup) for markdown, markup in ANSWERS])
def test_no_prefix_of_an_answer_shows_a_raw_mark(markdown: str, markup: str) -> None:
    assert complaints(markdown) == []


KINDS = [
    "3. c **d**\n2. b `e`\n1. a", "see [run](http://localhost:8080/x_y) and [mail](mailto:a_b@c.de).",
    "![alt](http://i.j/k.png) [![b](http://i.j/s.svg)](http://x.y/z)", "> **a** quote\n> of `two`\n\nthen ***both***.",
    "| a | b |\n|---|---|\n| `x || y` | **b** |\n| c<br>d | [l](http://x.y) |\n\nafter",
    "A $x^2$ and \\(\\frac{a}{b}\\) and $5 or $10.\n\n\\[\nE = mc^2\n\\]\n\n$$\nx_1\n$$\n\nend",
    "so $$x^2$$ and `$y$` then",
    "H<sub>2</sub>O<br>a <b>b</b> &amp; &lt; <i>c</i> vector<int>\n<details>\n<summary>s</summary>\n\nx\n\n</details>",
    "> [!NOTE]\n> Text\n\n> [!TIP] Title\n> x", "a[^1] and b[^2].\n\n[^1]: First.\n[^2]: **Second**.",
    "- [ ] a\n- [x] **b**\n  - [ ] `c`\n1. [ ] d", "Title\n=====\n\ntext\n\nOther\n-----\n\nmore\n\n---\n\nend",
    "````md\n```py\nx\n```\n````\n\n~~~\n```\n~~~\nafter `` a`b `` *it*",
    "~~gone~~ __bold words__ _it_ and snake_case_x",
    "1. **Do**:\n   ```sh\n   ls `x` **\n   ```\n2. *Then*", "# One **two**\n### Three `four`\nfive",
    "2 * 3 * 4, x**2 and 5 > 3",
    '<a href="http://x.y/z_w">words</a> and <kbd>Ctrl</kbd>+<kbd>C</kbd>', "**Note:**text and **(x)**y",
    "* one\n* two *it*\n+ three\n\n***\n\nend",
    "2 *3* 4 and more", "**Mr. **Smith went. **Note: **text", "First line\nsecond line\n===\n\nx",
    "<pre>\na  *b*\n  c\n</pre>\n\nafter",
    "<table>\n<tr><th>a</th><th>b</th></tr>\n<tr><td>1</td><td><b>2</b></td></tr>\n</table>\n\nx",
    'see <img src="https://a.example/x.png" alt="a cat"> here', "<blockquote>quoted\n\n**text**</blockquote>\nafter",
    "<b>bold\n\nover\n- two</b> end", "So\n\n\\begin{align}\na &= b \\\\\nc &= d\n\\end{align}\n\nend",
    "1) x\n   a) y\n   b) z\n2) w", "use *args and **kwargs in f(*args, **kwargs)",
    "[text][ref] and more\n\n[ref]: https://a.example/z", "See [`os.path`](https://a.b/c) and ![`x`](http://i.j/k).",
    "Price $5 and **$10** or **$x**", "| `a` | b |\n|---|---|\n| c | d |",
    'a [x][1] b\n\n[1]: http://x.y/1 "Half a title"', "if (a<b && c>d) x", "Items: <ul><li>a</li><li>b</li></ul> end",
    "$HOME and $PATH are variables of the shell, `$x` too.",
]  # fmt: skip


@each_row("markdown", KINDS)
def test_no_prefix_of_any_kind_shows_a_raw_mark(markdown: str) -> None:
    assert complaints(markdown) == []


SEEN = [
    ("see [text][ref] and", "see text and"),
    ("use *args", "use args"),
    ("use **kwargs in", "use **kwargs in"),
    ("the $HOME and the path", "the $HOME and the path"),
    ("**Mr. **Smith", "Mr. Smith"),
    ("<pre>\na", "·"),
    ("<blockquote>a\nb", "a\nb"),
    ("<b>x\n\ny", "x\n\ny"),
]


@pytest.mark.slow
@each_row(("prefix", "expected"), SEEN)
def test_what_is_seen_of_a_prefix(prefix: str, expected: str) -> None:
    assert seen(close_open_markup(prefix)).strip() == expected


PIECES = st.sampled_from([
    "words ", "**bold** ", "*it* ", "`code ** x` ", "[link](http://x.y/z) ", "~~gone~~ ", "$x^2$ ", "<b>b</b> ",
    "\\(a\\) ",
    "\n\n- item ", "\n\n1. item ", "\n\n> quote ", "\n\n### Head ", "\n\n```py\nx ** y\n```\n\n", "***both*** ", "a_b ",
    "2 * 3 ", "$5 ", "&amp; ", "http://x.y/_z_ ",
])  # fmt: skip


@pytest.mark.slow
@settings(max_examples=25)
@given(st.lists(PIECES, min_size=1, max_size=6).map("".join))
def test_no_prefix_of_a_random_answer_shows_a_raw_mark(markdown: str) -> None:
    assert complaints(markdown.strip()) == []
