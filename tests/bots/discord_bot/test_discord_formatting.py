"""A model's Markdown for Discord: cases as a table, and what must hold for every text."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from bots.discord_bot.formatting import MAX_MESSAGE_UNITS, messages
from core.delivery.splitting import utf16
from tests.one_message import on_discord
from tests.tables import each_row

CASES = [
    # what Discord takes as it is
    ("**bold** *it* ~~no~~ `code` snake_case_name", "**bold** *it* ~~no~~ `code` snake_case_name"),
    ("# One\n## Two\n### Three", "# One\n## Two\n### Three"),
    ("- a\n  - b\n1. c\n> quote", "- a\n  - b\n1. c\n> quote"),
    ("List<int> a < b && c", "List<int> a < b && c"),
    # styles in one another
    ("***Lưu ý:** đây là ghi chú.*", "***Lưu ý:** đây là ghi chú.*"), ("_**a:** b_", "***a:** b*"),
    ("***a* b**", "***a* b**"), ("*a **b***", "*a **b***"), ("**a *b***", "**a *b***"), ("***a***", "***a***"),
    ("**a**<i>b</i>", "**a**\u200b*b*"), ("<b>a <i>b</b> c</i>", "**a *b*** *c*"),
    ("*a = b * c*", r"*a = b \* c*"), ("**a * b** * c", "**a * b** * c"),
    ("**`**kwargs`**", "`**kwargs`"), ("**F: `a ** b` here**", "**F:** `a ** b` **here**"),
    ("*see `*.py` files*", "*see* `*.py` *files*"),
    # what it lacks
    ("#### Four\n##### Five ##", "**Four**\n**Five**"),
    ("a\n\n---\nb\n* * *", "a\n\n───\nb\n───"),
    ("a\n---\nb", "## a\nb"),
    ("![cat](https://example.org/c.png)", "🖼 [cat](https://example.org/c.png)"),
    ("~~~py\nx = 1\n~~~", "```py\nx = 1\n```"),
    ("| a | b |\n|---|:-:|\n| 1 | `x` |\n| đẹp | 3 |\nafter", "```\na    b\n───  ─\n1    x\nđẹp  3\n```\n\nafter"),
    ("a | b\n--|--\n1 | 2", "```\na  b\n─  ─\n1  2\n```"),
    ("| 中文 | b |\n|-|-|\n| x | y |", "```\n中文  b\n────  ─\nx     y\n```"),
    ("not | a table", "not | a table"),
    # what only it has
    ("a || b || c", r"a \|\| b \|\| c"),
    ("call __init__ now", r"call \_\_init\_\_ now"),
    ("2*3*4 = 24", r"2\*3\*4 = 24"),
    ("-# small print", r"\-# small print"),
    (">>> print(1)", r"\>>> print(1)"),
    ("<@123> <@!1> <@&5> <#5> <t:1:R> <:cat:1> <a:cat:1> </help:1>",
     r"\<@123> \<@!1> \<@&5> \<#5> \<t:1:R> \<:cat:1> \<a:cat:1> \</help:1>"),
    ("@everyone and @here", "@\u200beveryone and @\u200bhere"),
    # code is left alone
    ("`a || __b__ @everyone`", "`a || __b__ @everyone`"),
    ("``a ` || b``", "``a ` || b``"),
    ("```\na || b\n| x |\n|---|\n```", "```\na || b\n| x |\n|---|\n```"),
    ("```py\nprint(2*3*4)", "```py\nprint(2*3*4)\n```"),
    ("~~~~python title=x\na\n~~~~", "```python\na\n```"),
    ("````md\n```py\na\n```\n````", "```md\n``\u200b`py\na\n``\u200b`\n```"),
    ("> ```\n> a || b\n> ```", "> ```\n> a || b\n> ```"),
    ("[__init__](https://example.org)", "[__init__](https://example.org)"),
    ("- ```py\n  a || b\n  ```\nc || d", "- \n```py\na || b\n```\n" + r"c \|\| d"),
    # links
    ("[init](src/__init__.py) [x](/a/_n_/b)", r"init (src/\_\_init\_\_.py) x (/a/\_n\_/b)"),
    ("www.a.com/_next_/x http://localhost/_n_", r"www.a.com/\_next\_/x http://localhost/_n_"),
    ("https://a.b/__init__ and **https://a.b/x_**", "https://a.b/__init__ and **https://a.b/x_**"),
    ("see https://example.org/a_b*c*d, ok", "see https://example.org/a_b*c*d, ok"),
    ("[here](https://example.org/a_(b)) and [x](javascript:alert)",
     "[here](https://example.org/a_(b)) and x (javascript:alert)"),
    ('[t](https://example.org "title")', "[t](https://example.org)"),
    ("[https://a.example](https://b.example)", "https://a.example (https://b.example)"),
    ("[https://a.example](https://a.example)", "https://a.example"),
]  # fmt: skip


@each_row(("markdown", "expected"), CASES)
def test_what_is_sent(markdown: str, expected: str) -> None:
    assert on_discord(markdown) == expected


@each_row(
    ("markdown", "expected"),
    [
        ("see https://example.org/a_b, ok", "see <https://example.org/a_b>, ok"),
        ("(https://example.org/x)", "(<https://example.org/x>)"),
        ("https://example.org/a_(b).", "<https://example.org/a_(b)>."),
        ("**https://example.org**", "**<https://example.org>**"),
        ("<https://example.org>", "<https://example.org>"),
        ("[here](https://example.org/x)", "[here](<https://example.org/x>)"),
        ("[https://a.example](https://b.example)", "<https://a.example> (<https://b.example>)"),
        ("![](https://b.example)", "🖼 <https://b.example>"),
        ("`https://example.org`", "`https://example.org`"),
        ("```\nhttps://example.org\n```", "```\nhttps://example.org\n```"),
        ("https://a.example https://b.example", "<https://a.example> <https://b.example>"),
    ],
)
def test_links_that_show_no_preview(markdown: str, expected: str) -> None:
    assert on_discord(markdown, bare=True) == expected


@each_row(
    ("content", "expected"),
    [
        ("b**a**d", "bad"),
        ("b *a* d __x y__ ~~y~~", "b a d x y y"),
        (r"\_\_init\_\_ 2\*3 \|\|", "__init__ 2*3 ||"),
        ("b||a||d", "b||a||d"),
        ("# Title\n> quote\n-# small", "Title\nquote\n-# small"),
        ("[be](https://example.org)ad", "bead"),
        ("b`a`d", "bad"),
        ("```py\na*b*c\n```", "a*b*c"),
        ("snake_case_name", "snake_case_name"),
        ("@everyone", "@everyone"),
    ],
)
def test_what_a_person_reads(content: str, expected: str) -> None:
    assert messages(content)[0].text == expected


PIECES = [*'ab c\n*_`~|#>-<@[]()\\.:/1!"đẹ中👩\u200d\ufe0f', "```", "https://x.org/", "|-|", "\n\n", "](https://a.b/c)"]
TEXT = st.lists(st.sampled_from(PIECES), max_size=150).map("".join)


@given(TEXT)
@example("```\n" * 50)
@example("```py title words\na\n```")
@example("```a a")
@example("|a|\n|-|\n" * 30)
def test_nothing_fails_and_nothing_is_lost(text: str) -> None:
    """Letters and digits come through, in order; the marks around them may change."""
    letters = re.compile(r"[^\W_]")
    without_titles = re.sub(r'\s"[^"\n]*"', "", text)
    shown = on_discord(text)
    # Of what stands behind a fence only the language is anything to a reader, but for one at the very end.
    seen = re.sub(
        r"(?m)^([ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?(?:`{3,}|~{3,})[ \t]*[^ \t\n`]*)[^\n`]*$(?=[\s>]*[^\s>])",
        r"\1",
        text,
    )
    if without_titles == text and "](" not in text and "|" not in text and shown != "…":
        assert letters.findall(shown) == letters.findall(seen)
    assert on_discord(text, bare=True) is not None


@given(TEXT.map(lambda text: text * 20))
def test_every_message_fits(text: str) -> None:
    for bare in (False, True):
        parts = messages(text, bare=bare)
        assert parts and all(utf16(part.content) <= MAX_MESSAGE_UNITS for part in parts)


@given(TEXT)
def test_no_link_is_left_bare(text: str) -> None:
    """Outside code and outside <...> nothing remains that Discord would fetch."""
    shown = on_discord(text, bare=True)
    outside = re.sub(
        r"(?<![\\`])(`+)(?!`).+?(?<!`)\1(?!`)",
        "",
        re.sub(r"(?ms)^[ \t>]*(?:[-*+] )?```.*?(?:^[ \t>]*```|\Z)", "", shown),
        flags=re.DOTALL,
    )
    assert not re.search(r"https?://[^\s<>`]", re.sub(r"<https?://[^\s<>]+>", "", outside))
