"""Tables: aligned where a screen has room for them, else a list of their rows; no cell is lost."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bots.discord_bot.formatting import messages as discord_messages
from core.markdown.document import Block, Kind, Run, Style, plain_text
from core.markdown.reader import read
from core.markdown.tables import laid_out, repaired_row
from tests.one_message import on_discord, on_telegram
from tests.tables import each_row


def laid(markdown: str, columns: int) -> list[Block]:
    return list(laid_out(read(markdown), columns, lambda address: True))


def shown(markdown: str, columns: int = 38) -> str:
    """What a person reads."""
    return plain_text(laid(markdown, columns), lambda address: True)


ALIGNED = [
    ("| a | b |\n|---|---|\n| 1 | 22 |", "a  b\n─  ──\n1  22"), ("a | b\n--|--\n1 | 2", "a  b\n─  ─\n1  2"),
    ("| a | b |\n|---|---|\n| `x || y` | `c | d` |", "a       b\n──────  ─────\nx || y  c | d"),
    ("| a | b |\n|---|---|\n| `x \\| y` | z \\| w |", "a      b\n─────  ─────\nx | y  z | w"),
    ("| a | b |\n|---|---|\n| x<br>y | **b** *c* |", "a    b\n───  ───\nx y  b c"),
    ("| a | b |\n|---|---|\n| [l](http://x.y/z) | 2 |",
     "a                 b\n────────────────  ─\nl (http://x.y/z)  2"),
    ("| a | b |\n|---|---|\n| https://x.y/_z_ | $5 |", "a                b\n───────────────  ──\nhttps://x.y/_z_  $5"),
    ("| a | b |\n|---|---|\n| 1 | 2 | 3 |\n| 4 |", "a  b\n─  ─────\n1  2 | 3\n4"),
    ("| a | b |\n|---|---|\n| $x^2$ | &amp; |", "a   b\n──  ─\nx²  &"),
    ("| | b |\n|---|---|\n| 1 | 2 |", "   b\n─  ─\n1  2"), ("| a | b |\n|---|---|", "a  b\n─  ─"),
    ("| a | b |\n|---|---|\n| 1 | 2 |\nwords", "a  b\n─  ─\n1  2\n\nwords"),
    ("> | a | b |\n> |---|---|\n> | 1 | 2 |", "a  b\n─  ─\n1  2"),
    ("- i\n\n  | a | b |\n  |---|---|\n  | 1 | 2 |", "• i\n\na  b\n─  ─\n1  2"),
    ("| 中文 | b |\n|-|-|\n| x | y |", "中文  b\n────  ─\nx     y"), ("a || b", "a || b"), ("not | a table",
     "not | a table"),
]  # fmt: skip


@each_row(("markdown", "expected"), ALIGNED)
def test_a_narrow_table_is_aligned_code(markdown: str, expected: str) -> None:
    assert shown(markdown) == expected


LISTED = [
    ("| Feature | What it means |\n|:--|--:|\n| First **row** | [docs](http://x.y/z) |\n| Second | x<br>y |",
     "Feature\n\nFirst row\nWhat it means: docs\n\nSecond\nWhat it means: x\ny"),
    ("| n | one | two |\n|---|---|---|\n| r | `a || b` | |\n| s | | 2 |", "n\n\nr\none: a || b\n\ns\ntwo: 2"),
    ("| | one |\n|---|---|\n| r | 1 |", "r\none: 1"),
    ("| n | one | two |\n|---|---|---|\n| | | |", "n\n\none:\ntwo:"), ("| n | one |\n|---|---|", "n\n\none:"),
    ("| n | one | two |\n|---|---|---|\n| r | | 1 |\n| s |", "n\n\nr\none:\ntwo: 1\n\ns\none:"),
    ("| n | one |\n|---|---|\n| | 1 |", "n\n\none: 1"),
    ("| n | |\n|---|---|\n| r | 1 |", "n\n\nr\n1"), ("| n | one |\n|---|---|\n| r |", "n\n\nr\none:"),
]  # fmt: skip


@each_row(("markdown", "expected"), LISTED)
def test_a_wide_table_is_a_list_of_its_rows(markdown: str, expected: str) -> None:
    assert shown(markdown, 3) == expected


def test_the_first_cell_of_a_row_is_bold_and_others_keep_their_look() -> None:
    _, row = laid("| n | one | two |\n|---|---|---|\n| r | **b** `c` | [l](http://x.y) |", 3)
    assert row.runs[0] == Run("r", Style.BOLD) and row.kind is Kind.PARAGRAPH
    assert {Run("b", Style.BOLD), Run("c", Style.CODE), Run("l", Style.PLAIN, "http://x.y")} <= set(row.runs)


def table(columns: int) -> str:
    """A table that is so wide when it is aligned."""
    return f"| a | b |\n|---|---|\n| 1 | {'x' * (columns - 3)} |"


@each_row(
    ("columns", "is_on_telegram", "is_on_discord"),
    [(38, True, True), (39, False, True), (56, False, True), (57, False, False)],
)
def test_how_wide_an_aligned_table_may_be(columns: int, is_on_telegram: bool, is_on_discord: bool) -> None:
    assert ([str(each.type) for each in on_telegram(table(columns)).entities] == ["pre"]) == is_on_telegram
    assert on_discord(table(columns)).startswith("```") == is_on_discord


def test_no_table_of_192_columns() -> None:
    names = ["Feature", "Python", "JavaScript", "Rust", "Go", "Notes"]
    cells = [f"{name} has words that make this cell long" for name in names]
    markdown = f"| {' | '.join(names)} |\n{'|---' * 6}|\n| {' | '.join(cells)} |"
    expected = "\n".join(f"{name}: {cell}" for name, cell in zip(names[1:], cells[1:], strict=True))
    text = f"Feature\n\n{cells[0]}\n{expected}"
    message = on_telegram(markdown)
    bold = [message.text[each.offset : each.offset + each.length] for each in message.entities if each.type == "bold"]
    assert message.text == text and bold == [cells[0]]
    assert discord_messages(markdown)[0].text == text and f"**{cells[0]}**" in on_discord(markdown)


ROWS = [
    ("| a | b |", 2, "| a | b |"), ("| a | b | c |", 2, r"| a | b \| c |"), ("a | b", 2, "a | b"),
    ("| `x | y` | z |", 2, r"| `x \| y` | z |"), (r"| `x \| y` | z |", 2, r"| `x \| y` | z |"),
    ("> | a | b | c |", 2, r"> | a | b \| c |"), ("| a", 2, "| a"),
]  # fmt: skip


@each_row(("line", "columns", "expected"), ROWS)
def test_a_row_has_no_more_cells_than_its_table(line: str, columns: int, expected: str) -> None:
    assert repaired_row(line, columns) == expected


CELLS = st.lists(
    st.sampled_from(["word", "12.5", "`a|b`", "**b**", "x<br>y", "[l](http://x.y/z)", "$x^2$", "a_b_c", "\\|", "",
    "đẹp"]),
    min_size=1, max_size=3,
).map(" ".join)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=60)
@given(st.lists(st.lists(CELLS, min_size=1, max_size=5), min_size=1, max_size=4), st.integers(1, 4))
def test_every_cell_is_shown_however_wide_the_table_is(rows: list[list[str]], columns: int) -> None:
    head = "|" + " | ".join(f"h{at}" for at in range(columns)) + "|\n" + "|---" * columns + "|\n"
    markdown = head + "\n".join("| " + " | ".join(row) + " |" for row in rows)
    wide, narrow = shown(markdown, 500), shown(markdown, 2)
    for word in ("word", "12.5", "a|b", "http://x.y/z", "x²", "a_b_c", "đẹp"):
        written = markdown.count({"x²": "x^2"}.get(word, word))
        assert wide.count(word) == written, word
        assert narrow.count(word.replace("http://x.y/z", "l")) >= written, word
