"""Bold and italic: what is a mark, what is a sign of the text; marks that pair up are never shown."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.markdown.document import Run, Runs, Style, joined
from core.markdown.reader import read
from tests.core.markdown.test_prefixes import complaints
from tests.tables import each_row

_TAGS = {Style.BOLD: "b", Style.ITALIC: "i"}


def tagged(markdown: str) -> str:
    """The words of a paragraph, with <b> and <i> around those that look so."""
    out, opened = "", list[str]()
    for run in (*read(markdown)[0].runs, Run("")):
        wanted = [tag for style, tag in _TAGS.items() if style in run.style]
        while opened and not set(opened) <= set(wanted):
            out += f"</{opened.pop()}>"
        for tag in wanted:
            if tag not in opened:
                opened.append(tag)
                out += f"<{tag}>"
        out += run.text
    return out


MARKS = [
    # before a bracket or a quote
    ("**Hello**(xin chào)", "<b>Hello</b>(xin chào)"),
    ("**Giá**(VNĐ)", "<b>Giá</b>(VNĐ)"),
    ("**len**(x) **x**“y” **x**「y」", "<b>len</b>(x) <b>x</b>“y” <b>x</b>「y」"),
    ("**Xin chào**(hello), **tạm biệt**(bye)", "<b>Xin chào</b>(hello), <b>tạm biệt</b>(bye)"),
    ("**Từ**(n): *nghĩa* **/tɪ/**", "<b>Từ</b>(n): <i>nghĩa</i> <b>/tɪ/</b>"),
    ("*Từ*(n): *nghĩa*, *xin chào*(hello)", "<i>Từ</i>(n): <i>nghĩa</i>, <i>xin chào</i>(hello)"),
    ("text**(x)** text**(x)**text", "text<b>(x)</b> text<b>(x)</b>text"),
    ("_Từ_(n) _x_“y”", "<i>Từ</i>(n) <i>x</i>“y”"),
    # a slash or a dot at its beginning or end
    ("**/start** – bắt đầu", "<b>/start</b> – bắt đầu"),
    ("**/start nhé** x", "<b>/start nhé</b> x"),
    ("**/ˈæp.əl/** */həˈloʊ/*, (*/tɪ/*)", "<b>/ˈæp.əl/</b> <i>/həˈloʊ/</i>, (<i>/tɪ/</i>)"),
    ("**/tə ˈmeɪ/**, */tə ˈmeɪ/*.", "<b>/tə ˈmeɪ/</b>, <i>/tə ˈmeɪ/</i>."),
    ("*hello /həˈloʊ/*, x", "<i>hello /həˈloʊ/</i>, x"),
    ("**/tɪ/**danh từ", "<b>/tɪ/</b>danh từ"),
    ("*.env* **.env** *.env*, x", "<i>.env</i> <b>.env</b> <i>.env</i>, x"),
    ("**.NET Core 8**: *.NET Core* *...và thế*", "<b>.NET Core 8</b>: <i>.NET Core</i> <i>...và thế</i>"),
    # punctuation inside, and behind it
    ("*'bye'*. *\"hello\"*, …", "<i>'bye'</i>. <i>\"hello\"</i>, …"),
    ('(*"x"*) *(khóc)*.', '(<i>"x"</i>) <i>(khóc)</i>.'),
    ('*"Quote."*, a *"B!"*; b', '<i>"Quote."</i>, a <i>"B!"</i>; b'),
    ("*năm 2024*. *5*, *6*-x", "<i>năm 2024</i>. <i>5</i>, <i>6</i>-x"),
    ('*"hello"*/*"hi"* *der*/*die*', '<i>"hello"</i>/<i>"hi"</i> <i>der</i>/<i>die</i>'),
    ("**a**,**b**;**c**", "<b>a</b>,<b>b</b>;<b>c</b>"),
    ("**C++**là **🔥**hot **❤️**hot *🔥*hot", "<b>C++</b>là <b>🔥</b>hot <b>❤️</b>hot <i>🔥</i>hot"),
    ('**100%**sure, **"Xin chào"**là', '<b>100%</b>sure, <b>"Xin chào"</b>là'),
    ("*Chú ý:*x", "<i>Chú ý:</i>x"),
    ("**open (** x", "<b>open (</b> x"),
    # digits beside letters
    ("**100**g **150**k **2**nd **Q1**2024 *Q1*2024", "<b>100</b>g <b>150</b>k <b>2</b>nd <b>Q1</b>2024 <i>Q1</i>2024"),
    ("**Tổng 100**g bột và **50**g", "<b>Tổng 100</b>g bột và <b>50</b>g"),
    ("b**a**d a**b**c**d**e", "b<b>a</b>d a<b>b</b>c<b>d</b>e"),
    ("**note: 2**n grows** fast", "<b>note: 2**n grows</b> fast"),
    ("*note: 2*3 = 6* ok", "<i>note: 2*3 = 6</i> ok"),
    ("Bước 2 *10 phút* nhé", "Bước 2 <i>10 phút</i> nhé"),
    # scripts without capitals
    ("这是*重点*内容", "这是<i>重点</i>内容"),
    ("*斜体*です", "<i>斜体</i>です"),
    ("这是**重点：**内容", "这是<b>重点：</b>内容"),
    ("这是*“重点”*内容和**“重点”**内容", "这是<i>“重点”</i>内容和<b>“重点”</b>内容"),
    ("단어*강조*는 **สวย**มาก", "단어<i>강조</i>는 <b>สวย</b>มาก"),
    ("**हिन्दी**में *ที่*ดี", "<b>हिन्दी</b>में <i>ที่</i>ดี"),
    ("共**100**克", "共<b>100</b>克"),
    ("（_x_），_y_", "（<i>x</i>），<i>y</i>"),
    # several at once
    ("**Giá 5 *chưa VAT** x", "<b>Giá 5 *chưa VAT</b> x"),
    ("*a **b* c", "<i>a **b</i> c"),
    ("**a *b** c* d", "<b>a *b</b> c* d"),
    ("***Lưu ý:** ghi chú.*", "<b><i>Lưu ý:</i></b><i> ghi chú.</i>"),
    ("*it **b*** **b *it***", "<i>it <b>b</b></i> <b>b <i>it</i></b>"),
]


SIGNS = [
    "2*3*4 = 24, a*b*c*d, 5*-3, (a)*(b), 2*.5", "x**2 + y**2 = z**2, 2**n", "x**n + y**n = z**n", "2 *3* 4",
    "x**(n+1) + y**(n-1)", "(x)**n - (y)**n, (x)**(y)", "*args and **kwargs in f(*args, **kwargs)",
    "f(*, a) f(a, *, b=1)", "int *a,*b; char **p; void *x", "/*one*/ x = 1; /* a */ and /* b */",
    "*.py and *.js files", "**/*.py src/**/x and lib/**/y", "['*.py','*.js', \"a/*\"] {*.ts,*.tsx}",
    "*.py, src/*, lib/*", "*/5 * * * * or 0 */2 * * *", "COUNT(*), '*', \"*\", (**), SELECT *, a.* FROM t",
    "Giá 5* và 10*. *Chưa gồm VAT", "Giá 5** và 10**, 6**", "*Note: S = a*(b + c)", "rm -rf * and **",
    "snake_case_name _x ^_^ /_next_/x __init__() a_b_c", "a_b_(c) ^_^ and _y",
]  # fmt: skip


@each_row(("markdown", "expected"), [*MARKS, *((text, text) for text in SIGNS)])
def test_what_is_a_mark_and_what_is_a_sign(markdown: str, expected: str) -> None:
    assert tagged(markdown) == expected


# Sentences whose look is known

# fmt: off
WORDS = ["Xin", "len", "100", "Q1", "/start", ".env", "\"x\"", "'bye'", "(n)", "重点", "“引”", "C++", "🔥", "5%", "a/b",
         "v2.0", "Giá:", "đẹp!", "スパ", "/tɪ/", "$5", "#1", "@an", "a-b", "[x]", "3.14", "x²", "…"]
SEVERAL = ["Xin chào", "Tổng 100", "Note: (x) từ", "hai, ba", "“Xin” chào", "重点 100", "a / b", "năm 2024", '"A b."']
BEFORE = ["", "(", "“", "「", "这是", "– ", "：", "…", "[", '"']
AFTER = ["", ".", ",", ":", ";", "!", "?", ")", "(x)", "(VNĐ)", "/", "“y”", "「y」", "–", "…", "”", "内容", "です",
         "。", '"', "]"]
# fmt: on
GLUED = ["g", "nd", "2024", "là"]
"""Letters and digits right behind."""
SIGNED = ["2*3*4", "x**2", "5*", "f(*args)", "a_b_c", "COUNT(*)", "2 * x", "từ", "1.5m", "a*b", "n**2 + m**2"]


@st.composite
def piece(draw: st.DrawFn) -> tuple[str, Runs]:
    """A stretch of a sentence, and its runs."""
    if draw(st.booleans()):
        sign = draw(st.sampled_from(SIGNED))
        return sign, (Run(sign),)
    style, mark = draw(st.sampled_from([
        (Style.BOLD, "**"), (Style.ITALIC, "*"), (Style.BOLD | Style.ITALIC, "***"), (Style.ITALIC, "_"),
        (Style.BOLD, "__"),
    ]))  # fmt: skip
    inner = draw(st.sampled_from(WORDS if draw(st.booleans()) else SEVERAL))
    before, after = draw(st.sampled_from(BEFORE)), draw(st.sampled_from(AFTER))
    if inner[-1] == after:  # "/**/", which is a pattern
        after = ""
    if inner[0] == before:  # '"*"', which is a sign
        before = ""
    if mark[0] == "_":
        inner = "Xin chào" if inner in ("len", "Q1") else inner
        before, after = before if before in "(“「–：" else "", after if after not in ("/", "内容", "です") else ""
    elif mark == "*" and inner in SEVERAL and not inner[-2:].isalpha():
        after = "" if after.startswith("(") else after
    elif inner in WORDS and inner[-1].isalnum() and draw(st.booleans()):
        after = draw(st.sampled_from(GLUED))
    return before + mark + inner + mark + after, (Run(before), Run(inner, style), Run(after))


SENTENCES = st.lists(piece(), min_size=1, max_size=5).map(
    lambda pieces: (
        "Câu " + " ".join(each[0] for each in pieces),
        [Run("Câu "), *between([each[1] for each in pieces])],
    )
)


def between(pieces: list[Runs]) -> Runs:
    """The runs with a space between each two pieces."""
    return joined([run for at, runs in enumerate(pieces) for run in ((Run(" "),) if at else ()) + tuple(runs)])


def with_spaces(runs: Runs) -> Runs:
    """The runs as they are shown: bold that ends a sentence right before a word gets a space."""
    out = list(runs)
    for at in range(1, len(out)):
        bold, after = out[at - 1], out[at]
        if (
            Style.BOLD in bold.style
            and bold.text[-1] in ":!?….:"
            and after.text[:1].lower() != after.text[:1].upper()
            and Style.BOLD not in after.style
        ):
            out[at] = Run(f" {after.text}", after.style)
    return joined(out)


@pytest.mark.slow
@settings(max_examples=60)
@given(SENTENCES.filter(lambda sentence: not set("$[") & set(sentence[0])))
def test_no_prefix_of_them_shows_a_mark(sentence: tuple[str, list[Run]]) -> None:
    assert complaints(sentence[0]) == []


@settings(max_examples=150)
@given(SENTENCES)
def test_marks_that_pair_up_are_never_shown(sentence: tuple[str, list[Run]]) -> None:
    markdown, runs = sentence
    [block] = read(markdown)
    assert [(run.text, run.style) for run in block.runs] == [(run.text, run.style) for run in with_spaces(joined(runs))]
