"""Markdown as it is read: what a reader sees of every kind of it, on each platform."""

import pytest

from bots.console import formatting as console
from bots.discord_bot import formatting as discord
from core.markdown.document import Kind, Run, Style, plain_text, text_of
from core.markdown.grammar import PARSER
from core.markdown.reader import read
from tests.one_message import on_discord, on_telegram
from tests.tables import each_row


def shown(markdown: str) -> str:
    """What a person reads where every address can be a link."""
    return plain_text(read(markdown), lambda address: True)


def written_out(markdown: str) -> str:
    """What a person reads where no address can be a link."""
    return plain_text(read(markdown), lambda address: False)


NUMBERS = [
    ("3. c\n2. b\n1. a", "3. c\n2. b\n1. a", "3\\. c\n2\\. b\n1\\. a"),
    ("111. P\n113. F\n115. A", "111. P\n113. F\n115. A", "111\\. P\n113\\. F\n115\\. A"),
    ("1945. a\n1954. b\n1975. c", "1945. a\n1954. b\n1975. c", "1945\\. a\n1954\\. b\n1975\\. c"),
    ("1. a\n1. b\n1. c", "1. a\n1. b\n1. c", "1\\. a\n1\\. b\n1\\. c"),
    ("1. a\n2. b\n3. c", "1. a\n2. b\n3. c", "1. a\n2. b\n3. c"),
    ("0. a\n1. b", "0. a\n1. b", "0. a\n1. b"),
    ("5. a\n\n7. b", "5. a\n\n7. b", "5\\. a\n\n7\\. b"),
    ("2) b\n1) a", "2) b\n1) a", "2) b\n1) a"),
    ("007. a\n008. b", "007. a\n008. b", "007\\. a\n008\\. b"),
    ("1. a\n   - x\n2. b", "1. a\n  • x\n2. b", "1. a\n  - x\n2. b"),
    ("3. a\n\n   2. x\n   1. y\n4. b", "3. a\n\n  2. x\n  1. y\n4. b", "3. a\n\n  2\\. x\n  1\\. y\n4. b"),
    ("> 9. a\n> 7. b", "9. a\n7. b", "> 9\\. a\n> 7\\. b"),
    ("1986. Great.", "1986. Great.", "1986. Great."),
    ("born in\n1986. Great", "born in\n1986. Great", "born in\n1986\\. Great"),
]


@each_row(("markdown", "text", "content"), NUMBERS)
def test_the_numbers_of_a_list_are_the_author_s(markdown: str, text: str, content: str) -> None:
    assert on_telegram(markdown).text == text
    assert discord.messages(markdown)[0].text == text and on_discord(markdown) == content
    assert console.to_plain_text(markdown) == text


ADDRESSES = [
    ("[run](http://localhost:8080/x_y)", "run (http://localhost:8080/x_y)"),
    ("[mail](mailto:a_b@c.de) [a@b.c](mailto:a@b.c)", "mail (a_b@c.de) a@b.c"),
    ("[call](tel:+84123456) [d](/docs/a_b.md#c)", "call (tel:+84123456) d (/docs/a_b.md#c)"),
    ("see https://a.b/_next_/x/__y__/z_z.js,", "see https://a.b/_next_/x/__y__/z_z.js,"),
    ("http://localhost:3000/_next_/", "http://localhost:3000/_next_/"),
    ("www.a.com/x_y_z?a=1&b=2#c_d.", "www.a.com/x_y_z?a=1&b=2#c_d."),
    ("**https://a.b/c**", "https://a.b/c"),
    ("<https://a.b/c_d> <a@b.co>", "https://a.b/c_d a@b.co"),
    ("https://a.b/__init__ _https://a.b/x_ **https://a.b/x_**", "https://a.b/__init__ https://a.b/x https://a.b/x_"),
    ("**https://a.b/x**(y) ~~https://a.b/x~~ https://a.b/~x~", "https://a.b/x(y) https://a.b/x https://a.b/~x~"),
    ("_see https://a.b/__init__ now_, https://a.b/*", "see https://a.b/__init__ now, https://a.b/*"),
    ("https://a.b/w/A_(b) (or https://a.b/c.)", "https://a.b/w/A_(b) (or https://a.b/c.)"),
    ("[a](<http://x.y/a b>) [b](http://x.y/(z))", "a (http://x.y/a b) b (http://x.y/(z))"),
    ("[**b** `c`](http://x.y/?q=1&b=2)", "b c (http://x.y/?q=1&b=2)"),
    ("![alt](http://i.j/k.png) ![](http://i.j/l.png)", "🖼 alt (http://i.j/k.png) 🖼 http://i.j/l.png"),
    ("[![b](http://i.j/s.svg)](http://x.y/z)", "🖼 b (http://x.y/z) (http://i.j/s.svg)"),
    ("[](http://x.y/z)", "http://x.y/z"),
    ("[a](http://x.y/a b)", "[a](http://x.y/a b)"),
    (">18 is grown up", ">18 is grown up"),
    ("python >=3.8\n>=3.9 is best\n>= 4", "python >=3.8\n>=3.9 is best\n>= 4"),
    (">>> print(1)\n1", ">>> print(1)\n1"),
    ("pip install x>=1.0,<2.0", "pip install x>=1.0,<2.0"),
]


@each_row(("markdown", "expected"), ADDRESSES)
def test_addresses_stay(markdown: str, expected: str) -> None:
    assert written_out(markdown) == expected
    assert console.to_plain_text(markdown) == expected


@each_row(
    "address", ["http://localhost:8080/x", "http://localhost", "mailto:a@b.co", "tel:+123", "../x.md", "ftp://a.b"]
)
def test_an_address_that_cannot_be_a_link_is_written_out(address: str) -> None:
    expected = f"words ({address.removeprefix('mailto:')})"
    assert on_telegram(f"[words]({address})").text == expected
    assert discord.messages(f"[words]({address})")[0].text == expected


@each_row("words", ["1", "ref", "c/ref", "a.example", "docs", "a.example/c/ref"])
def test_a_link_whose_words_end_its_address_keeps_the_address(words: str) -> None:
    [entity] = on_telegram(f"[{words}](https://a.example/c/ref)").entities
    assert entity.url == "https://a.example/c/ref"
    assert "https://a.example/c/ref" in on_discord(f"[{words}](https://a.example/c/ref)")
    [entity] = on_telegram("[1](https://a.example/1)").entities
    assert entity.url == "https://a.example/1"


REFERENCES = [
    ("see [ref][1]\n\n[1]: http://x.y/1", "see ref (http://x.y/1)"),
    ("see [ref] and [other][]\n\n[ref]: http://x.y/a\n[other]: <http://x.y/o>",
     "see ref (http://x.y/a) and other (http://x.y/o)"),
    ("as said [1]\n\n[1]: http://x.y/z", "as said 1 (http://x.y/z)"),
    ("[Ref] [REF]\n\n[ref]: http://x.y/1", "Ref (http://x.y/1) REF (http://x.y/1)"),
    ("**[ref]**\n\n[ref]: http://x.y/1", "ref (http://x.y/1)"),
    # no link names them
    ("[unused]: http://x.y/u", "[unused]: http://x.y/u"),
    ("Sources:\n[1]: http://x.y/1\n[2]: http://x.y/2", "Sources:\n[1]: http://x.y/1\n[2]: http://x.y/2"),
    ("a [1]\n\n[1]: http://x.y/1\n[2]: http://x.y/2", "a 1 (http://x.y/1)\n[2]: http://x.y/2"),
    ("a [1]\n\n[1]: http://x.y/1\n[1]: http://x.y/2", "a 1 (http://x.y/1)\n[1]: http://x.y/2"),
    # footnotes
    ("a[^1] b[^note]\n\n[^1]: First http://x.y\n[^note]: **Second**.",
     "a[1] b[note]\n\n[1]: First http://x.y\n[note]: Second."),
    ("a[^2]", "a[2]"), ("[^1]: alone", "[1]: alone"), ("a[^b]", "a[^b]"),
]  # fmt: skip


@each_row(("markdown", "expected"), REFERENCES)
def test_reference_links_and_footnotes(markdown: str, expected: str) -> None:
    assert written_out(markdown) == expected


HTML = [
    ("a<br>b<br/>c<br />d<BR>e", "a\nb\nc\nd\ne"), ("a<br> b", "a\nb"),
    ("H<sub>2</sub>O, x<sup>n+1</sup>", "H₂O, xⁿ⁺¹"), ("x<sub>foo bar</sub>", "x_(foo bar)"),
    ("<details>\n<summary>More</summary>\n\nHidden **text**\n\n</details>", "More\n\nHidden text"),
    ("<details><summary>More</summary>\n\nHidden\n\n</details>", "More\n\nHidden"),
    ("<div align=center>a</div><p>b</p>", "a\nb"), ("<ul><li>a</li><li>b</li></ul>", "a\nb"),
    ("<summary>a</summary>b", "a\nb"), ("<p>a</p>\n<p>b</p>", "a\nb"),
    ("a<sup>[1]</sup> x<sup>®</sup> 1<sup>st</sup> x<sub>†</sub>", "a[1] x® 1ˢᵗ x†"),
    ("&lt;b&gt; &#39; &copy; &unknown; AT&T a&b", "<b> ' © &unknown; AT&T a&b"),
    ("`&amp; <b>`", "&amp; <b>"), ("```\n&amp; <br>\n```", "&amp; <br>"),
    ("<pre>\na  *b*\n  c &lt; d\n</pre>\n\nafter", "a  *b*\n  c < d\n\nafter"),
    ('<pre><code class="language-py">x = `1`\n</code></pre>', "x = `1`"),
    ('see <img src="https://a.example/x.png" alt="a cat"> here', "see 🖼 a cat here"),
    ("<img src='https://a.example/x y.png'>", "🖼 https://a.example/x y.png"),
    ("a\n<blockquote>b\n\nc</blockquote>\nd", "a\n\nb\n\nc\n\nd"),
    ("<b>a\n\nb\n- c</b> d", "a\n\nb\n• c d"), ("<i>a\n- `b`\n\n```\nc\n```\n\nd</i>", "a\n• b\n\nc\n\nd"),
    # no tags
    ("Use <pre> for code and <table> for tables", "Use <pre> for code and <table> for tables"),
    ("the <b> tag\n\nand </b>", "the <b> tag\n\nand </b>"), ("`<img src=x>` <blockquote>", "<img src=x> <blockquote>"),
    ("```\n<pre>\nx\n</pre>\n```", "<pre>\nx\n</pre>"), ("<pre> is a tag", "<pre> is a tag"),
    ("vector<int> map<string, vector<int>> Array<T>", "vector<int> map<string, vector<int>> Array<T>"),
    ("a < b, c <d> e <3 <0.5 ->", "a < b, c <d> e <3 <0.5 ->"), ("the <b> tag", "the <b> tag"),
    ("</b> stray", "</b> stray"), ("Use the <div> or <p> tag", "Use the <div> or <p> tag"),
    ("close it with </div>", "close it with </div>"),
    ("<script>x</script> <!-- c -->", "<script>x</script> <!-- c -->"), ("<think>x</think>", "<think>x</think>"),
]  # fmt: skip


@each_row(("markdown", "expected"), HTML)
def test_html_becomes_what_it_means(markdown: str, expected: str) -> None:
    assert shown(markdown) == expected


LOOKS = [
    ("<b>x</b>", Run("x", Style.BOLD)), ("<strong>x</strong>", Run("x", Style.BOLD)),
    ("<i>x</i>", Run("x", Style.ITALIC)), ("<em>x</em>", Run("x", Style.ITALIC)),
    ("<u>x</u>", Run("x", Style.UNDERLINED)),
    ("<s>x</s>", Run("x", Style.STRUCK)), ("<del>x</del>", Run("x", Style.STRUCK)),
    ("<code>x</code>", Run("x", Style.CODE)), ("<kbd>x</kbd>", Run("x", Style.CODE)),
    ('<a href="http://x.y/z_w">x</a>', Run("x", address="http://x.y/z_w")),
    ('<a href="http://x.y/?a=1&amp;b=2">x</a>', Run("x", address="http://x.y/?a=1&b=2")), ("<a>x</a>", Run("x")),
    ("<a href=http://x.y/z_w target=_blank>x</a>", Run("x", address="http://x.y/z_w")),
    ("<b><i>x</i></b>", Run("x", Style.BOLD | Style.ITALIC)), ("**<u>x</u>**", Run("x", Style.BOLD | Style.UNDERLINED)),
    ("***x***", Run("x", Style.BOLD | Style.ITALIC)), ("~~x~~", Run("x", Style.STRUCK)),
    ("__x y__", Run("x y", Style.BOLD)),
    ("**Mr. **", Run("Mr.", Style.BOLD)), ("2 *3* 4", Run("2 *3* 4")),
    ("f(*args, **kwargs)", Run("f(*args, **kwargs)")),
    ("*args*", Run("args", Style.ITALIC)), ("*3*", Run("3", Style.ITALIC)),
    ("`` a`b ``", Run("a`b", Style.CODE)), ("[**x**](http://y.z)", Run("x", Style.BOLD, "http://y.z")),
]  # fmt: skip


@pytest.mark.slow
def test_html_of_several_lines_looks_as_it_means() -> None:
    quote, words = read("<blockquote>a</blockquote>\nb")
    assert (quote.quotes, words.quotes) == (1, 0)
    assert [block.runs for block in read("<b>a\n\nb</b>")] == [(Run("a", Style.BOLD),), (Run("b", Style.BOLD),)]
    [code] = read('<pre><code class="language-py">x = 1</code></pre>')
    assert (code.kind, code.language) == (Kind.CODE, "py")
    [table] = read("<table>\n<tr><th>a</th><th>b</th></tr>\n<tr><td>1|2</td><td><b>3</b></td></tr></table>")
    assert table.table and [[text_of(cell) for cell in row] for row in table.table.rows] == [["1|2", "3"]]


@each_row(("markdown", "run"), LOOKS)
def test_how_words_look(markdown: str, run: Run) -> None:
    assert [block.runs for block in read(markdown)] == [(run,)]


ITEMS = [
    ("- [ ] a\n- [x] b\n* [X] c", "☐ a\n☑ b\n☑ c"), ("1. [ ] d\n2. [x] e", "1. ☐ d\n2. ☑ e"),
    ("- [ ]", "☐"), ("- [ ] a\n  - [x] b", "☐ a\n  ☑ b"), ("[ ] alone", "[ ] alone"),
    ("- [ ](http://x.y)", "• http://x.y"), ("- a\n-\n- b", "• a\n•\n• b"),
    ("> [!NOTE]\n> Text", "NOTE\nText"), ("> [!CAUTION]\n>\n> Text", "CAUTION\n\nText"),
    ("> [!WARNING]  \n> Danger!", "WARNING\nDanger!"), ("> [!TIP] Title\n> Text", "TIP Title\nText"),
    ("[!NOTE]\nText", "[!NOTE]\nText"),
    ("Ingredients:\n- 2 eggs\nMix all.", "Ingredients:\n• 2 eggs\nMix all."),
    ("1) x\n   a) y\n   b) z **w**\n2) v", "1) x\n  a) y\n  b) z w\n2) v"), ("x\na) y\nb) z", "x\na) y\nb) z"),
    ("1. a\n\n   more\n\n2. b", "1. a\n\n  more\n\n2. b"),
    ("Code:```py\nx = 1\n```done. Then", "Code:```py\nx = 1\ndone. Then"), ("> a\n> ```b", "a\nb"),
    
    # lines that go on below an item
    ("- a\n  b\n  c\n- d\ne", "• a\n  b\n  c\n• d\ne"), ("- a\n  - b\n    c<br>d", "• a\n  • b\n    c\n    d"),
    ("- a\n  > b\n  > c", "• a\n  b\n  c"), ("> - a\n>   b\n> - c\n> d", "• a\n  b\n• c\nd"),
    ("- a\n  b\nc", "• a\n  b\nc"), ("1. a\n\n   b\n   **c\n   d**", "1. a\n\n  b\n  c\n  d"),
    # pictures
    (" /\\_/\\\n( o.o )\n > ^ <", "/\\_/\\\n( o.o )\n> ^ <"), ("(\\_/) \\|/ ¯\\_(ツ)_/¯", "(\\_/) \\|/ ¯\\_(ツ)_/¯"),
    ("¯\\\\_(ツ)_/¯ a\\_b \\_x\\_", "¯\\_(ツ)_/¯ a_b _x_"), (">.< haha\n\n> a < b", ">.< haha\n\na < b"),
    ("a\n\n***\n\nb", "a\n\n───\n\nb"), ("one\ntwo  \nthree\\\nfour", "one\ntwo\nthree\nfour"),
]  # fmt: skip


@each_row(("markdown", "expected"), ITEMS)
def test_lists_tasks_and_alerts(markdown: str, expected: str) -> None:
    assert shown(markdown) == expected


BOLD = [
    ("**Mr. **Smith", ["Mr. "]), ("**Note: **text and **more **here", ["Note: ", "more "]),
    ("**a** and **b**", ["a", "b"]), ("**key ** value", ["key "]), ("2 ** 3 and **b**", ["b"]),
    ("**open and **b**", ["b"]),
]  # fmt: skip


@pytest.mark.slow
@each_row(("markdown", "bold"), BOLD)
def test_bold_may_end_behind_a_space(markdown: str, bold: list[str]) -> None:
    [block] = read(markdown)
    assert [run.text.rstrip() for run in block.runs if Style.BOLD in run.style] == [each.rstrip() for each in bold]


@pytest.mark.slow
def test_an_alert_s_name_is_bold_in_its_quote() -> None:
    [block] = read("> [!NOTE]\n> Text")
    assert (block.quotes, block.runs) == (1, (Run("NOTE", Style.BOLD), Run("\nText")))


HEADINGS = [
    ("# a", 1, "a"), ("### **a** b", 3, "a b"), ("###### a ##", 6, "a"), ("Title\n===", 1, "Title"),
    ("Two\nlines\n===", 1, "Two\nlines"),
    ("Title\n---", 2, "Title"), ("**Title**\n------", 2, "Title"),
]  # fmt: skip


@each_row(("markdown", "level", "text"), HEADINGS)
def test_headings(markdown: str, level: int, text: str) -> None:
    heading, below = read(f"{markdown}\ntext")
    assert (heading.kind, heading.level, heading.text) == (Kind.HEADING, level, text)
    assert (below.kind, below.text) == (Kind.PARAGRAPH, "text")


def test_a_long_line_above_dashes_is_no_heading() -> None:
    for text in ("word " * 30 + "\n---", "two\nlines\n---"):
        assert [block.kind for block in read(text)] == [Kind.PARAGRAPH, Kind.RULE]


FENCES = [
    ("````md\n```py\nx\n```\n````", "md", "```py\nx\n```"), ("~~~\n```\nx\n```\n~~~", "", "```\nx\n```"),
    ("```\n~~~\n```", "", "~~~"), ("~~~~ruby\na\n~~~\nb\n~~~~", "ruby", "a\n~~~\nb"),
    ('```py title="a.py"\nx\n```', "py", "x"), ("    a\n      b", "", "a\n  b"), ("```py\nx = 1", "py", "x = 1"),
    ("```\n\n  a\n\n\nb\n```", "", "\n  a\n\n\nb"),
    ('```py\n"""\n```not a fence\n"""\n```', "py", '"""\n```not a fence\n"""'),
    ("```md\n- [ ] **x** | $y$ <br> [a](b)\n# c\n1. d\n```", "md", "- [ ] **x** | $y$ <br> [a](b)\n# c\n1. d"),
]  # fmt: skip


@each_row(("markdown", "language", "code"), FENCES)
def test_code_is_as_it_was_written(markdown: str, language: str, code: str) -> None:
    [block] = read(markdown)
    assert (block.kind, block.language, block.text) == (Kind.CODE, language, code)
    assert code in console.to_plain_text(markdown)


def test_the_console_keeps_line_breaks_and_does_not_indent_code() -> None:
    haiku = "An old silent pond\nA frog jumps into the pond\nSplash! Silence again."
    assert console.to_plain_text(haiku) == haiku
    assert [line.strip() for line in console.to_lines(haiku, 80)] == haiku.split("\n")
    assert console.to_plain_text("Run:\n\n```sh\nls -l\n  pwd\n```") == "Run:\n\nls -l\n  pwd"
    assert console.to_plain_text("1. Run:\n   ```sh\n   ls -l\n     pwd\n   ```") == "1. Run:\nls -l\n  pwd"


def test_the_rules_are_compiled_before_two_threads_can_meet() -> None:
    rulers = (PARSER.core.ruler, PARSER.block.ruler, PARSER.inline.ruler, PARSER.inline.ruler2)
    assert all(ruler.__cache__ is not None for ruler in rulers)
