"""Splitting long texts."""

import re
from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from core.delivery.partial_markdown import close_fence, close_open_markup
from core.delivery.splitting import boundary, split, utf16
from core.markdown.document import Block, Kind, Run, Style
from core.markdown.reader import read
from core.markdown.tables import laid_out
from tests.tables import each_row

MARKDOWN = st.lists(
    st.sampled_from(["word ", "Sentence ends. ", "\n", "\n\n", "```python\n", "```\n", "~~~\n", "    code\n", "x" * 30,
                     "😀", "é", "e\u0301", "👩‍👩‍👧", "tiếng Việt ", "`inline` ", "- item\n", "\t"]),
    max_size=80,
).map("".join)  # fmt: skip


def written(blocks: Sequence[Block]) -> str:
    """As Markdown without marks for bold and the like: fences around code, a hash before a heading."""
    return "\n".join(
        f"```{each.language}\n{each.text}\n```" if each.kind is Kind.CODE else each.text for each in blocks
    )


def parts(markdown: str, limit: int) -> list[str]:
    """What each message shows."""
    return [written(part) for part in split(read(markdown), lambda blocks: utf16(written(blocks)), limit)]


def letters(blocks: Sequence[Block]) -> str:
    """What must survive: everything but white space."""
    return re.sub(r"\s", "", "".join(each.text for each in blocks))


@given(MARKDOWN, st.integers(60, 300))
@example("a" * 500, 60)
@example("```python\n" + "print(1)\n" * 60 + "```\n", 60)
@example("word word Sentence ends. Sentence ends. Sentence ends. ```python\n", 60)
def test_parts_fit_and_nothing_is_lost(text: str, limit: int) -> None:
    found = split(read(text), lambda blocks: utf16(written(blocks)), limit)
    assert all(utf16(written(part)) <= limit for part in found)
    assert "".join(map(letters, found)) == letters(read(text))


CUTS = [
    ("one\n\ntwo three four five", 14, ["one\ntwo three", "four five"]),
    ("first line here\nsecond", 18, ["first line here", "second"]),
    ("A short one. Then more words", 18, ["A short one.", "Then more words"]),
    ("paragraph one\n\nparagraph two", 20, ["paragraph one", "paragraph two"]),
    ("nowheretocutinhere", 10, ["nowheretoc", "utinhere"]),
    ("```py\na = 1\nb = 2\nc = 3\n```", 20, ["```py\na = 1\n```", "```py\nb = 2\n```", "```py\nc = 3\n```"]),
    ("words before it here\n\n# Title\n\ntext below it", 32, ["words before it here", "Title\ntext below it"]),
    ("call 0123 456 789 now", 12, ["call", "0123 456 789", "now"]),
    ("costs 1,234,567.89 in all", 12, ["costs", "1,234,567.89", "in all"]),
    ("see [the long label](http://a.b) there", 12, ["see", "the long", "label there"]),
    ("see [a label](http://a.b) there", 12, ["see a label", "there"]),
    ("run `make all` and", 10, ["run", "make all", "and"]),
]


@each_row(("text", "limit", "expected"), CUTS)
def test_where_it_cuts(text: str, limit: int, expected: list[str]) -> None:
    assert parts(text, limit) == expected


def test_what_a_cut_parts_keeps_its_look() -> None:
    first, second = split(read("> **bold words here**"), lambda blocks: utf16(written(blocks)), 12)
    assert [(each.runs, each.quotes) for each in (*first, *second)] == [
        ((Run("bold words", Style.BOLD),), 1), ((Run("here", Style.BOLD),), 1),
    ]  # fmt: skip


def test_every_part_of_a_table_has_its_header() -> None:
    table = "| name | n |\n|---|---|\n" + "".join(f"| row{i} | {i} |\n" for i in range(9))
    blocks = list(laid_out(read(table), 40, lambda address: False))
    found = [written(part).split("\n") for part in split(blocks, lambda part: utf16(written(part)), 50)]
    assert len(found) > 2 and {tuple(part[1:3]) for part in found} == {("name  n", "────  ─")}
    assert [line for part in found for line in part[3:-1]] == [f"row{i}  {i}" for i in range(9)]


@each_row("character", ["👩‍👩‍👧", "👍🏽", "🇻🇳", "नि", "e\u0301", "❤️"])
def test_it_never_parts_what_is_one_character(character: str) -> None:
    for part in parts(character * 20, 17):
        assert set(part.replace(character, "")) == set()


@each_row(("text", "units"), [("", 0), ("abc", 3), ("é", 1), ("😀", 2), ("\ud800", 1), ("tiếng", 5)])
def test_utf16(text: str, units: int) -> None:
    assert utf16(text) == units


@each_row(
    ("text", "closed"),
    [("```", "```\n```"), ("```py\nx", "```py\nx\n```"), ("```\nx\n```", ""), ("```a``` x", ""),
     ("~~~~\n~~~\n", "~~~~\n~~~\n~~~~"),
     ("~~~\n```\n", "~~~\n```\n~~~"), ("````\n```\n", "````\n```\n````"), ("    ```\n", ""), ("text ```\n", "")],
)  # fmt: skip
def test_an_open_fence_is_closed(text: str, closed: str) -> None:
    assert close_fence(text) == (closed or text)


FINISHED = [
    ("**bo", "**bo**"), ("a `cod", "a `cod`"), ("[link](http://exa", "link"), ("[li", "li"), ("![pic](x", "pic"),
    ("~~x", "~~x~~"), ("***z", "***z***"), ("x *", "x"), ("x **", "x"), ("- ", ""), ("a\n-", "a"), ("# ", ""),
    ("``", ""),
    ("a\n2.", "a"), ("text **bold *it", "text **bold *it***"), ("- **item", "- **item**"), ("x\n| a | b", "x"),
    ("```py\nprint(1)\n``", "```py\nprint(1)\n```"), ("```py\nx = 2 ** 3", "```py\nx = 2 ** 3\n```"),
    ("`**`", "`**`"), ("**`x", "**`x`**"),
    # what is no markup, or is whole, stays
    ("2 * 3", "2 * 3"), ("a*b", "a*b"), ("price is 5.", "price is 5."), ("see C#", "see C#"), ("a - b", "a - b"),
    ("**a** and *b*", "**a** and *b*"), ("* one\n* two", "* one\n* two"), ("[x](http://a.b) c", "[x](http://a.b) c"),
    ("snake_case", "snake_case"), ("```\ncode\n```", "```\ncode\n```"), ("**old\n\nnew", "**old\n\nnew"),
    ("_y", "_y_"), ("__y", "y"), ("``a `b", "``a `b``"), ("``a`", "``a``"), ("2**8 is", "2**8 is"),
    ("x**2", "x**2"), ("**a\n- b", "**a\n- b"), ("**a\nb", "**a\nb**"), ("**bold*", "**bold**"), ("a \\", "a"),
    ("- **", ""), ("- [ ] ", ""), ("| a | b |", ""), ("| a |\n|--", ""),
    ("| a |\n|---|\n| b |", "| a |\n|---|\n| b |"),
    ("see [docs", "see docs"), ("a[0", "a[0"), ("[a](http://b_(c", "a"), ("`a[0](b`", "`a[0](b`"),
    # code in lists and quotes
    ("1. a\n    ```py\n    x = 2 ** 3", "1. a\n    ```py\n    x = 2 ** 3\n    ```"),
    ("- ```\n  x", "- ```\n  x\n  ```"),
    ("> ```\n> x\n> `", "> ```\n> x\n> ```"), ("a\n```py", "a"), ("a\n\n```py\n", "a"), ("- a\n  ```j", "- a"),
    ("- a\n  ```\n  x **\n  ```\n  then **b", "- a\n  ```\n  x **\n  ```\n  then **b**"),
]  # fmt: skip


@each_row(("text", "expected"), FINISHED)
def test_what_is_not_finished_is_shown_as_if_it_were(text: str, expected: str) -> None:
    assert close_open_markup(text) == expected


@given(MARKDOWN)
def test_a_preview_leaves_no_code_open(text: str) -> None:
    assert close_fence(close_open_markup(text)) == close_open_markup(text)


@given(st.text(st.characters(categories=["L", "N", "Zs"]), max_size=80))
def test_plain_text_is_finished(text: str) -> None:
    assert close_open_markup(text) == text.rstrip()


@given(MARKDOWN.filter(bool), st.integers(1, 100))
def test_a_boundary_is_where_something_fits(text: str, most: int) -> None:
    assert 1 <= boundary(text, most) <= max(1, most)
