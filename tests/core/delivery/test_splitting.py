"""Splitting long texts."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from core.delivery.partial_markdown import close_fence, close_open_markup, open_fence
from core.delivery.splitting import boundary, split, utf16
from tests.tables import each_row

MARKDOWN = st.lists(
    st.sampled_from(["word ", "Sentence ends. ", "\n", "\n\n", "```python\n", "```\n", "~~~\n", "    code\n", "x" * 30,
                     "😀", "é", "e\u0301", "👩‍👩‍👧", "tiếng Việt ", "`inline` ", "- item\n", "\t"]),
    max_size=80,
).map("".join)  # fmt: skip


def fits(limit: int, part: str) -> bool:
    return utf16(part) <= limit


def bare(text: str) -> str:
    """What must survive: everything but white space and fence lines."""
    return re.sub(r"\s", "", re.sub(r"^ {0,3}(`{3,}|~{3,}).*$", "", text, flags=re.MULTILINE))


@given(MARKDOWN, st.integers(60, 300))
@example("a" * 500, 60)
@example("```python\n" + "print(1)\n" * 60 + "```\n", 60)
@example("word word Sentence ends. Sentence ends. Sentence ends. ```python\n", 60)
def test_parts_fit_and_nothing_is_lost(text: str, limit: int) -> None:
    parts = split(text, lambda part: fits(limit, part))
    assert all(fits(limit, part) for part in parts)
    assert "".join(map(bare, parts)) == bare(text)
    assert all(part.strip() for part in parts) or not text.strip()


@given(MARKDOWN, st.integers(60, 300))
def test_every_part_but_the_last_closes_its_fences(text: str, limit: int) -> None:
    assert all(open_fence(part) is None for part in split(text, lambda part: fits(limit, part))[:-1])


@given(st.text(max_size=200))
def test_what_fits_is_left_alone(text: str) -> None:
    assert split(text, lambda part: fits(1000, part)) == [text]


@given(MARKDOWN)
def test_closing_closes(text: str) -> None:
    assert open_fence(close_fence(text)) is None


CUTS = [
    ("one\n\ntwo three four five", 14, ["one\n\ntwo three", "four five"]),
    ("first line here\nsecond", 18, ["first line here", "second"]),
    ("A short one. Then more words", 18, ["A short one.", "Then more words"]),
    ("paragraph one\n\nparagraph two", 20, ["paragraph one", "paragraph two"]),
    ("nowheretocutinhere", 10, ["nowheretoc", "utinhere"]),
    ("```py\na = 1\nb = 2\nc = 3\n```", 20, ["```py\na = 1\n```", "```py\nb = 2\n```", "```py\nc = 3\n```"]),
]


@each_row(("text", "limit", "parts"), CUTS)
def test_where_it_cuts(text: str, limit: int, parts: list[str]) -> None:
    assert split(text, lambda part: fits(limit, part)) == parts


@each_row("character", ["👩‍👩‍👧", "👍🏽", "🇻🇳", "नि", "e\u0301", "❤️"])
def test_it_never_parts_what_is_one_character(character: str) -> None:
    for part in split(character * 20, lambda part: fits(17, part)):
        assert set(part.replace(character, "")) == set()


@each_row(("text", "units"), [("", 0), ("abc", 3), ("é", 1), ("😀", 2), ("\ud800", 1), ("tiếng", 5)])
def test_utf16(text: str, units: int) -> None:
    assert utf16(text) == units


@each_row(
    ("text", "marks"),
    [("```", "```"), ("```py\nx", "```"), ("```\nx\n```", None), ("```a``` x", None), ("~~~~\n~~~\n", "~~~~"),
     ("~~~\n```\n", "~~~"), ("````\n```\n", "````"), ("    ```\n", None), ("text ```\n", None)],
)  # fmt: skip
def test_open_fences(text: str, marks: str | None) -> None:
    found = open_fence(text)
    assert (found and found[0]) == marks


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
    ("_y", "_y_"), ("__y", "__y__"), ("``a `b", "``a `b``"), ("``a`", "``a``"), ("2**8 is", "2**8 is"),
    ("x**2", "x**2"), ("**a\n- b", "**a\n- b"), ("**a\nb", "**a\nb**"), ("**bold*", "**bold**"), ("a \\", "a"),
    ("- **", ""), ("- [ ] ", ""), ("| a | b |", "| a | b |"), ("| a |\n|--", "| a |"),
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
    assert open_fence(close_open_markup(text)) is None


@given(st.text(st.characters(categories=["L", "N", "Zs"]), max_size=80))
def test_plain_text_is_finished(text: str) -> None:
    assert close_open_markup(text) == text.rstrip()


@given(MARKDOWN.filter(bool), st.integers(1, 100))
def test_a_boundary_is_where_something_fits(text: str, most: int) -> None:
    assert 1 <= boundary(text, most) <= max(1, most)
