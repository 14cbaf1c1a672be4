"""LaTeX as a person reads it: Unicode where that is simple, else code; prices and paths are no formulas."""

from core.markdown import formulas
from core.markdown.document import Kind, Style, plain_text
from core.markdown.formulas import is_formula, readable
from core.markdown.reader import read
from tests.one_message import on_discord, on_telegram
from tests.tables import each_row


def shown(markdown: str) -> str:
    """What a person reads."""
    return plain_text(read(markdown), lambda address: True)


READABLE = [
    ("x^2", "x²"), ("2^{n+1}", "2ⁿ⁺¹"), ("10^{-3}", "10⁻³"), ("a_1 + a_n", "a₁ + aₙ"), ("x_i^2", "xᵢ²"), ("H_2O",
     "H₂O"),
    ("x_{max}", "xₘₐₓ"), ("e^{i\\pi}", "e^(iπ)"), ("x^{y^z}", "x^(yᶻ)"), ("90^\\circ", "90°"), ("{}^{14}C", "¹⁴C"),
    ("\\alpha \\beta \\Omega", "α β Ω"), ("\\frac{a}{b}", "a/b"), ("\\frac12", "1/2"), ("\\frac{a+b}{2c}",
     "(a+b)/(2c)"),
    ("\\frac{1}{2}mv^2", "(1/2)mv²"), ("x = \\frac{1}{2}", "x = 1/2"), ("\\sqrt{2}", "√2"), ("\\sqrt[3]{x+1}",
     "∛(x+1)"),
    ("\nx = \\frac{-b \\pm \\sqrt{b^2-4ac}}{2a}\n", "x = (-b ± √(b²-4ac))/(2a)"),
    ("a \\cdot b \\times c \\leq d \\neq e", "a · b × c ≤ d ≠ e"), ("\\sum_{i=1}^{n} i", "∑ᵢ₌₁ⁿ i"),
    ("\\int_0^1 x^2 \\, dx", "∫₀¹ x² dx"), ("\\lim_{x \\to 0} f(x)", "lim_(x → 0) f(x)"),
    ("\\text{if } x > 0", "if x > 0"), ("\\mathbb{R}^n", "ℝⁿ"), ("\\vec{v}", "v\u20d7"),
    ("\\overrightarrow{AB}", "AB\u20d7"), ("5\\%", "5%"),
    ("\\left( x \\right)", "( x )"), ("10\\,000", "10 000"), ("\\{1, 2\\}", "{1, 2}"), ("f'(x)", "f'(x)"),
    ("a/\\frac{b}{c}", "a/(b/c)"), ("\\frac{x}{y}!", "(x/y)!"), ("\\dfrac{1}{2}", "1/2"), ("\\tfrac12", "1/2"),
    ("\\operatorname{ReLU}(x)", "ReLU(x)"), ("\\mathcal{O}(n)", "O(n)"), ("\\overline{AB}", "A\u0305B\u0305"),
    ("a \\leqslant \\varnothing", "a ≤ ∅"), ("a \\equiv b \\pmod{n}", "a ≡ b (mod n)"), ("3{,}5", "3,5"),
    *((f"\\{name}{{x}}", "x") for name in formulas._TEXTS),
    *((f"\\{name}12", "1/2") for name in formulas._FRACTIONS),
    *((f"\\{name}{{x}}", f"x{sign}") for name, sign in formulas._ACCENTS.items()),
    *((f"\\{name}", sign) for name, sign in formulas._SYMBOLS.items()),
    *((f"\\mathbb{{{name}}}", sign) for name, sign in formulas._BLACKBOARD.items()),
    *((f"\\{name}", name) for name in (*formulas._NAMES, *formulas._ESCAPED)),
    *((f"a\\{name}{{}}b", " ".join(f"a{sign}b".split())) for name, sign in formulas._SPACES.items()),
    ("\\sin\\theta", "sinθ"), ("x \\in A \\cup B", "x ∈ A ∪ B"), ("\\infty", "∞"), ("A \\Rightarrow B", "A ⇒ B"),
]  # fmt: skip


@each_row(("latex", "expected"), READABLE)
def test_a_simple_formula_is_a_line_of_unicode(latex: str, expected: str) -> None:
    assert readable(latex) == expected


NOT_SIMPLE = [
    "\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}", "\\unknown{x}", "\\binom{n}{k}", "\\overline{a + b}", "x^",
    "{a", "\\frac{a}", "a & b", "x" * 501, "\\begin{aligned} a &= b \\end{aligned}",
]  # fmt: skip


@each_row("latex", NOT_SIMPLE)
def test_a_formula_that_says_more_is_left(latex: str) -> None:
    assert readable(latex) is None


FORMULAS = [
    ("$x^2$ and \\(y_1\\)", "x² and y₁"), ("**$x^2$** *\\(y_1\\)*", "x² y₁"), ("so $$E = mc^2$$ then",
     "so E = mc² then"),
    ("\\[\nE = mc^2\n\\]", "E = mc²"), ("$$\nE = mc^2\n$$", "E = mc²"), ("a \\[ x \\] b", "a x b"), ("$x$, $n$.",
     "x, n."),
    ("Let:\n$$\nx = 1\n$$\nThen", "Let:\nx = 1\nThen"), ("\\[\nx = 1\n\n\\]", "x = 1"), ("- so\n  \\[ x^2 \\]",
     "• so\nx²"),
    ("$f'(x)$ $|x|$ $n!$ $f(x)$ $(a, b)$", "f'(x) |x| n! f(x) (a, b)"), 
    ("\\(\\begin{pmatrix}a\\\\d\\end{pmatrix}\\)", "\\begin{pmatrix}a\\\\d\\end{pmatrix}"),
    ("Let \\[x=1\\\\d\\] be", "Let x=1\\\\d be"), ("$3{,}5$ $1\\,000$ $\\$5$", "3,5 1 000 $5"),
    ("Escape \\( and \\) here", "Escape ( and ) here"), ("$-b$ and $5\\%$", "-b and 5%"),
    ("$\\unknown{x}$ in a line", "\\unknown{x} in a line"), ("> $$x^2$$", "x²"), ("costs $5, $x$ is", "costs $5, x is"),
]  # fmt: skip


@each_row(("markdown", "expected"), FORMULAS)
def test_formulas_in_a_text(markdown: str, expected: str) -> None:
    assert " ".join(shown(markdown).split()) == " ".join(expected.split())


NO_FORMULAS = [
    "$5 and $10", "It costs $5-$10, or $3.50/$4", "$100 + $200 = $300", "US$5 and A$6", "5$ and 6$", "$ x $ and $x$5",
    "$HOME/$USER", "echo $PATH:$HOME", "It is $20-$30, or US$5.", "from $1,000 to $2,000", "$5 (about 4 €), $6 (5 €)",
    "C:\\alpha\\beta \\n \\t \\\\server\\share", "\\{1, 2\\}", "\\d+\\w*", "x^2 and a_1", "H~2~O x^2^",
]  # fmt: skip


@each_row("text", NO_FORMULAS)
def test_prices_paths_and_variables_are_no_formulas(text: str) -> None:
    assert shown(text) == text


@each_row("code", ["$x^2$", "\\(x\\)", "\\[x\\]", "$$y$$"])
def test_code_is_no_formula(code: str) -> None:
    assert shown(f"`{code}`") == code and shown(f"```\n{code}\n```") == code


@each_row(
    ("text", "expected"), [("x", True), ("5", True), ("a = b", True), ("5 and ", False), ("5-", False), ("", False)]
)
def test_what_may_stand_between_dollars(text: str, expected: bool) -> None:
    assert is_formula(text) == expected


BLOCKS = [
    ("\\begin{align}\na &= b \\\\\nc &= d\n\\end{align}", "\\begin{align}\na &= b \\\\\nc &= d\n\\end{align}"),
    ("$$A = \\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}$$",
     "A = \\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}"),
    ("\\[\n\\begin{aligned}\nf &= x \\\\\n  &= y\n\\end{aligned}\n\\]",
     "\\begin{aligned}\nf &= x \\\\\n  &= y\n\\end{aligned}"),
]  # fmt: skip


@each_row(("markdown", "latex"), BLOCKS)
def test_what_no_line_can_show_is_one_block_of_code(markdown: str, latex: str) -> None:
    [block] = read(markdown)
    assert (block.kind, block.language, block.text) == (Kind.CODE, "latex", latex)
    before, block, after = read(f"So {markdown} then") if "\n" not in markdown else read(f"So\n\n{markdown}\n\nthen")
    assert (before.text, block.text, after.text) == ("So", latex, "then")


def test_what_no_line_can_show_is_code_within_a_line_and_a_block_on_telegram() -> None:
    [block] = read("so $\\unknown{x}$ is")
    assert [run.text for run in block.runs if run.style is Style.CODE] == ["\\unknown{x}"]
    message = on_telegram("$$\\begin{matrix}1\\\\2\\end{matrix}$$")
    assert message.text == "\\begin{matrix}1\\\\2\\end{matrix}"
    assert [(str(each.type), each.language) for each in message.entities] == [("pre", "latex")]


DISCORD = [
    ("C:\\alpha \\n \\\\server", "C:\\alpha \\n \\\\\\server"), ("$$\\begin{matrix}1\\\\2\\end{matrix}$$",
     "```latex\n\\begin{matrix}1\\\\2\\end{matrix}\n```"), ("\\(a*b*c\\)", "a\\*b\\*c"),
    ("\\(\\lim_{x \\to 0}\\)", "lim\\_(x → 0)"), ("`\\d+\\`", "`\\d+\\`"),
]  # fmt: skip


@each_row(("markdown", "content"), DISCORD)
def test_discord_eats_no_backslash(markdown: str, content: str) -> None:
    assert on_discord(markdown) == content
