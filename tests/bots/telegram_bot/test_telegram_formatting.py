"""Markdown as Telegram shows it: no word is lost, every entity is one that Telegram takes, every message fits."""

import re
from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from bots.telegram_bot import formatting
from bots.telegram_bot.entities import MAX_ENTITIES, MAX_MESSAGE_UNITS
from bots.telegram_bot.formatting import Rendered, messages
from core.delivery.partial_markdown import close_open_markup
from core.delivery.splitting import utf16
from tests.one_message import on_telegram
from tests.platforms.bot_api_checks import entities_complaints
from tests.tables import each_row

BITS = [
    "word ", "tiếng Việt ", "\n", "\n\n", "**", "*", "`", "```py\n", "```\n", "- ", "1. ", "2) ", "> ", "| a | b |\n",
    "|---|---|\n", "[x](http://a.b)", "[y](evil)", "<b>", "</b>", "a < b ", "2*3*4 ", "__init__ ", "snake_case ",
    "😀", "👨‍👩‍👧", "é", "# ", "\t", "    code\n", "||", "~~", "$x$ ", "\\(a\\) ", "&amp;", "[^1]", "[r]: http://x\n",
    "---\n", "***", "_it_ ", "![](http://i.j)", "\\",
]  # fmt: skip
MARKDOWN = st.lists(st.sampled_from(BITS), max_size=40).map("".join)


def shape(rendered: Rendered) -> list[tuple[str, str]]:
    """The entities with the words that they are around."""
    units = rendered.text.encode("utf-16-le")
    return [
        (str(entity.type), units[2 * entity.offset : 2 * (entity.offset + entity.length)].decode("utf-16-le"))
        for entity in rendered.entities
    ]


def complaints(message: Rendered) -> list[str]:
    """What Telegram would say."""
    return entities_complaints(message.text, [entity.to_dict() for entity in message.entities])


LITERAL = [
    "List<int> a < b <think>\nhello", "2*3*4 = 24", "5*3", "*args, **kwargs", "C:\\path\\new", "$5 and $6",
    "~5 or ~6", "a || b || c", "__init__.py and snake_case_name", "a@b.co http://x.y",
    "#hashtag", "<!-- c --> x", "[ref]: http://a.b 'tit'", "a\u200bb \u202exyz",
    "f(x) = x^2 + 3", "A > B", "1986", "a*b*c*d", "x_1, x_2 và y_3",
    "||a|| b", "x**2 + y**2 = z**2, 2**n", "**/*.py src/**/x", "$HOME/$USER costs US$5", "5 $ = 4 €, 6 $",
]  # fmt: skip


@each_row("text", LITERAL)
def test_what_no_model_means_as_markup_stays_as_it_is(text: str) -> None:
    assert on_telegram(text) == Rendered(text, ())


RENDERED = [
    ("<b>x</b> List<int>", "x List<int>", [("bold", "x")]),
    ("text[^1]", "text[1]", []),
    ("<a@b.co> <http://x.y>", "a@b.co http://x.y", []),
    ("&amp; &lt; &copy; `&amp;`", "& < © &amp;", [("code", "&amp;")]),
    ("<details>\n<summary>x</summary>\ny\n</details>", "x\ny", [("bold", "x")]),
    (
        "**bold** and *it* and ~~no~~",
        "bold and it and no",
        [("bold", "bold"), ("italic", "it"), ("strikethrough", "no")],
    ),
    ("`a < b` ``b`c``", "a < b b`c", [("code", "a < b"), ("code", "b`c")]),
    ("```python\nif a < b:\n    c()\n```", "if a < b:\n    c()", [("pre", "if a < b:\n    c()")]),
    ("# Title\ntext", "Title\ntext", [("underline", "Title"), ("bold", "Title")]),
    ("- a\n- b\n  - c", "• a\n• b\n  • c", []),
    ("3. c\n4. d", "3. c\n4. d", []),
    ("- [ ] to do\n- [x] done", "☐ to do\n☑ done", []),
    ("> quoted\n> more", "quoted\nmore", [("blockquote", "quoted\nmore")]),
    ("[l](http://a.b/c) x", "l x", [("text_link", "l")]),
    ("[l](javascript:x) [m](../y) x", "l (javascript:x) m (../y) x", []),
    ("| a | b |\n|---|---|\n| 1 | **x** |", "a  b\n─  ─\n1  x", [("pre", "a  b\n─  ─\n1  x")]),
    ("1. Do this:\n   ```sh\n   ls\n   ```\n2. Then", "1. Do this:\nls\n2. Then", [("pre", "ls")]),
    ("$x^2$ \\(\\alpha\\) **b**", "x² α b", [("bold", "b")]),
    ("\\[\nx = 1\n\\\\ y = 2\n\\]", "x = 1\n\\\\ y = 2", [("pre", "x = 1\n\\\\ y = 2")]),
    ("array\\[0\\]", "array[0]", []),
    ("[`c` d](http://a.b)", "c d", [("text_link", "c d")]),
    ("> a `c` b\n>\n> > d", "a c b\n\nd", [("blockquote", "a c b\n\nd"), ("code", "c")]),
    ("__Bold text__ and __init__", "Bold text and __init__", [("bold", "Bold text")]),
    ("**a [x](http://a.b)**[y](http://a.b) b", "a xy b", [("bold", "a "), ("text_link", "xy"), ("bold", "x")]),
    ("# `word `", "word", [("code", "word")]),
    ("## One `two` three", "One two three", [("bold", "One "), ("code", "two"), ("bold", " three")]),
    ("ask @anna_b, @**bob** or (@An)", "ask @\u2060anna_b, @\u2060bob or (@An)", [("bold", "bob")]),
    ("`@anna` me@b.com https://a.b/@anna", "@anna me@b.com https://a.b/@anna", [("code", "@anna")]),
    ("Ask us.@anna_b, /@anna_b or @@anna_b", "Ask us.@\u2060anna_b, /@\u2060anna_b or @@\u2060anna_b", []),
    ("**john**@example.com [x](http://a.b/@anna)", "john@example.com x", [("bold", "john"), ("text_link", "x")]),
    ("<b>a <i>b</b> c</i>", "a b c", [("bold", "a b"), ("italic", "b"), ("italic", " c")]),
    ("vector<std::string> and map<a:b>", "vector<std::string> and map<a:b>", []),
    ("/*one*/ x = 1; /*two*/", "/*one*/ x = 1; /*two*/", []),
    ("*der*/*die*", "der/die", [("italic", "der"), ("italic", "die")]),
    ("<mailto:a@b.c> <a@b.c> <https://b.c>", "mailto:a@b.c a@b.c https://b.c", []),
    ("**yes**/**no**", "yes/no", [("bold", "yes"), ("bold", "no")]),
    ("| a | b |\n|---|---|\n| 1 || ", "a  b\n─  ─\n1", [("pre", "a  b\n─  ─\n1")]),
    ("**`code`** in bold", "code in bold", [("code", "code")]),
    ("b**a**d", "bad", [("bold", "a")]),
    ("one\n\n\n\ntwo", "one\n\ntwo", []),
    ("**Chào** bạn 👋 *nhé*", "Chào bạn 👋 nhé", [("bold", "Chào"), ("italic", "nhé")]),
]


@each_row(("markdown", "text", "entities"), RENDERED, ids=[each[0][:30] for each in RENDERED])
def test_what_is_rendered(markdown: str, text: str, entities: list[tuple[str, str]]) -> None:
    rendered = on_telegram(markdown)
    assert rendered.text == text and shape(rendered) == entities


@each_row("language", ["python", "mermaid", "c++", "py title=x"])
def test_code_keeps_its_language(language: str) -> None:
    [entity] = on_telegram(f"```{language}\ncode\n```").entities
    assert entity.language == language.split(maxsplit=1)[0]


def test_another_address_or_language_is_another_message() -> None:
    assert on_telegram("[a](http://b.c)") != on_telegram("[a](http://b.d)")
    assert on_telegram("```py\na\n```") != on_telegram("```js\na\n```")
    assert on_telegram("[a](http://b.c)") == on_telegram("[a](http://b.c)")


def test_no_message_is_only_a_table_s_padding() -> None:
    table = "| a | b |\n|---|---|\n| x | looooooooooooooooooooooooooooong |\n| y | |\n"
    for limit in range(4, 60):
        assert all(message.text.strip() for message in messages(table, limit))


@each_row(
    "nothing", ["", "\u200b", "\u200b\n\u2060", " ", "\n\n", "```\n\n```", "> ", "![](http://x.y)", "[](http://x.y)"]
)
def test_there_is_always_something_to_send(nothing: str) -> None:
    assert all(message.text.strip() for message in messages(nothing))


@settings(max_examples=300)
@given(MARKDOWN, st.integers(40, 300))
def test_messages_fit_and_lose_nothing(markdown: str, limit: int) -> None:
    whole, parts = on_telegram(markdown), messages(markdown, limit)
    for part in parts:
        assert utf16(part.text) <= limit and len(part.entities) <= 100 and part.text.strip()
        assert complaints(part) == []
    if any(is_table_cut(before, after) for before, after in pairwise(parts)):  # its header is repeated
        assert Counter(bare(whole.text)) - Counter(bare("".join(part.text for part in parts))) == Counter()
        return
    assert bare("".join(part.text for part in parts)) == bare(whole.text)
    assert joined([shape(part) for part in parts]) == joined([shape(whole)])


def is_table_cut(before: Rendered, after: Rendered) -> bool:
    blocks = (*before.blocks[-1:], *after.blocks[:1])
    return len(blocks) == 2 and blocks[0].repeated == blocks[1].repeated != ""


def bare(text: str) -> str:
    return re.sub(r"[\s…]", "", text)


def joined(shapes: list[list[tuple[str, str]]]) -> dict[str, str]:
    """For every kind all that it is around, in order."""
    out: dict[str, str] = {}
    for kind, words in (each for shape in shapes for each in shape):
        out[kind] = out.get(kind, "") + bare(words)
    return out


@settings(max_examples=200)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_no_text_is_too_strange(text: str) -> None:
    assert all(complaints(message) == [] for message in messages(text))


CUTS = [
    ("one two three\n\nfour five", 16, ["one two three", "four five"]),
    ("first line here\nsecond", 18, ["first line here", "second"]),
    ("A short one. Then more words", 18, ["A short one.", "Then more words"]),
    ("nowheretocutinhere", 10, ["nowheretoc", "utinhere"]),
    ("```py\naaa = 1\nbbb = 2\nccc = 3\n```", 16, ["aaa = 1\nbbb = 2", "ccc = 3"]),
    ("```py\ndef f():\n    return 1\n    pass\n```", 24, ["def f():\n    return 1", "…\n    pass"]),
    ("👨‍👩‍👧👨‍👩‍👧", 8, ["👨‍👩‍👧", "👨‍👩‍👧"]),
]


@each_row(("markdown", "limit", "expected"), CUTS, ids=[each[0][:20] for each in CUTS])
def test_where_it_is_cut(markdown: str, limit: int, expected: list[str]) -> None:
    assert [message.text for message in messages(markdown, limit)] == expected


def test_what_a_cut_parts_goes_on() -> None:
    first, second = messages("**bold words here**", 12)
    assert (shape(first), shape(second)) == ([("bold", "bold words")], [("bold", "here")])
    parts = messages("```py\naaa = 1\nbbb = 2\n```", 10)
    assert [[entity.language for entity in part.entities] for part in parts] == [["py"], ["py"]]


def test_of_too_many_entities_the_links_are_kept() -> None:
    [message] = messages(" ".join(f"**b{i}** [l{i}](http://a.b/{i})" for i in range(90)))
    kinds = [str(entity.type) for entity in message.entities]
    assert (kinds.count("text_link"), kinds.count("bold")) == (90, 10)

    [message] = messages(" ".join(f"[l{i}](http://a.b/{i})" for i in range(100)) + " `@anna_b`")
    assert message.text.endswith("@\u2060anna_b")


def test_a_message_full_of_bold_words_is_not_cut() -> None:
    [message] = messages(" ".join(f"**b{i}**" for i in range(250)))
    assert len(message.entities) == 100 and message.text.endswith("b249")


DOCUMENTS = [
    "Some **bold text** and `code span` with [a link](http://a.b/c?d=e) and *it* ~~gone~~.\n\n- **item**: one\n- two",
    "# Title\n\n```python\ndef f():\n    return 1\n```\n\nThen ***both*** and `x`.\n\n1. **one**\n2. two",
    "1. Do **this**:\n   ```sh\n   a ** `b`\n   ```\n   then **that**, `` a ` b `` and *more*\n2. **Bye**\n   _now_",
    "| a | b |\n|---|---|\n| **c** | `d` |\n\n1. x:\n    ```py\n    a = b ** c\n    ```\n\n2 * 3 and __Bold text__.",
    "Giá là 2 * 3 = 6, **đậm** và *nghiêng*.\n\n> trích **dẫn**\n\nHết.",
]


def outside_code(rendered: Rendered) -> str:
    units = bytearray(rendered.text.encode("utf-16-le"))
    for entity in rendered.entities:
        if entity.type in ("pre", "code"):
            units[2 * entity.offset : 2 * (entity.offset + entity.length)] = b"x\0" * entity.length
    return units.decode("utf-16-le")


@each_row("document", DOCUMENTS)
def test_no_preview_shows_half_of_a_mark(document: str) -> None:
    for at in range(1, len(document) + 1):
        seen = outside_code(on_telegram(close_open_markup(document[:at])))
        assert not re.search(r"\*\*|`|~~|__|\]\(", seen), f"{document[:at]!r} shows {seen!r}"


SENTENCES = st.text(st.sampled_from("abcЖệ𝒜12 \n.,:;!?'\"()%…–—-/@"), max_size=40).map("a{}".format)
SENTENCES |= SENTENCES.map("…{}".format) | st.just("…")
WORDS = st.lists(st.text(st.characters(categories=["L", "Nd"]), min_size=1, max_size=8), min_size=1, max_size=8)
PLAIN = st.lists(WORDS.map(" ".join), max_size=5).map("\n\n".join)


@settings(max_examples=300)
@given(SENTENCES | PLAIN)
def test_a_text_without_markup_is_shown_as_when_it_is_rendered(text: str) -> None:
    """One long message and the splitting of a text that barely fits know no short way."""
    assert messages(text) == messages(text, max(utf16(on_telegram(text).text), 1)) == [on_telegram(text)]


SIMPLE_BITS = [
    "word", "tiếng Việt", "Ω", "7", "0.3", "2026-11-30", " ", ", ", ": ", "(", ")", "“", "”", ".", "1. ", "-", "x-y",
    "…", "www.a.com", "!", "'", '"', "–", "%", "😀",
]  # fmt: skip
SIMPLE_LINES = st.tuples(
    st.sampled_from(["{}", "- {}", "**{}**"]), st.lists(st.sampled_from(SIMPLE_BITS), max_size=6).map("".join)
).map(lambda line: line[0].format(f"Name{line[1]}".rstrip()))


@settings(max_examples=300)
@given(st.lists(st.tuples(SIMPLE_LINES, st.sampled_from(["\n", "\n\n"])).map("".join), min_size=1, max_size=6))
def test_a_simple_text_is_shown_as_when_it_is_read(lines: list[str]) -> None:
    text = "".join(lines).strip()
    assert messages(text) == formatting._read(text, MAX_MESSAGE_UNITS, MAX_ENTITIES)


@given(MARKDOWN)
def test_a_short_text_is_one_message_as_when_its_splitting_is_tried(text: str) -> None:
    whole = on_telegram(text)
    if not whole.text[0].isspace() and whole.text.isascii() and len(whole.entities) < 50:
        assert messages(text) == messages(text, max(utf16(whole.text), 1))


WRITTEN_BY_MODELS = [
    ("### 1. Giới thiệu", "1. Giới thiệu", "bold"), ("### **1. Giới thiệu**", "1. Giới thiệu", "bold"),
    ("**1. Một**\n\nText", "1. Một\n\nText", "bold"), ("- **1.** Một", "• 1. Một", "bold"),
    ("> **1. Một**", "1. Một", "bold"), ("**1)** a", "1) a", "bold"),
    ("| a | b |\n|--|--|\n| 1. | x |", "a   b\n──  ─\n1.  x", "pre"),
    ("```cpp\nsort(a, [](int a) { return a; });\n```", "sort(a, [](int a) { return a; });", "pre"),
    ("```js\nhandlers[name](arg)\n```", "handlers[name](arg)", "pre"), ("```md\n- [ ] x\n```", "- [ ] x", "pre"),
    ("````md\n```py\nx\n```\n````", "```py\nx\n```", "pre"), ("Dùng `a[i](x)` nhé", "Dùng a[i](x) nhé", "code"),
    ("**Lưu ý:**Đây là", "Lưu ý: Đây là", "bold"), ("where \\(a \\neq 0\\)", "where a ≠ 0", ""),
    ("\\{1, 2\\} \\, dx \\\\", "\\{1, 2\\} \\, dx \\\\", ""), ("PATH=$HOME/bin:$PATH", "PATH=$HOME/bin:$PATH", ""),
    ("giá $5 và $6 **đậm**", "giá $5 và $6 đậm", "bold"), ("a \\* b \\_ c", "a * b _ c", ""),
]  # fmt: skip


@each_row(("markdown", "text", "kind"), WRITTEN_BY_MODELS, ids=[each[0][:30] for each in WRITTEN_BY_MODELS])
def test_what_models_write(markdown: str, text: str, kind: str) -> None:
    rendered = on_telegram(markdown)
    assert rendered.text == text and (not kind or kind in [str(entity.type) for entity in rendered.entities])


@each_row("mark", ["`", "~ ", "*", "[", "\u0301"])
def test_a_long_run_of_one_mark_is_few_messages(mark: str) -> None:
    assert len(messages(mark * 8000)) <= 5
