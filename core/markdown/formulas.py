"""LaTeX as readable text, where that says the same: powers, Greek letters, fractions, roots. Pure."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from pylatexenc.latexwalker import LatexWalker, LatexWalkerError, get_default_latex_context_db
from pylatexenc.macrospec import std_macro

_SUPERSCRIPTS = dict(zip("0123456789+-=()niabcdefghjklmoprstuvwxyzTABDEGHIJKLMNOPRUVW", 
                         "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱᵃᵇᶜᵈᵉᶠᵍʰʲᵏˡᵐᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵀᴬᴮᴰᴱᴳᴴᴵᴶᴷᴸᴹᴺᴼᴾᴿᵁⱽᵂ", strict=True))  # fmt: skip
_SUBSCRIPTS = dict(zip("0123456789+-=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True))
_SYMBOLS = {
    "cdot": "·", "times": "×", "div": "÷", "pm": "±", "mp": "∓", "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥",
    "neq": "≠", "ne": "≠", "approx": "≈", "equiv": "≡", "sim": "∼", "propto": "∝", "infty": "∞", "partial": "∂",
    "nabla": "∇", "sum": "∑", "prod": "∏", "int": "∫", "oint": "∮", "in": "∈", "notin": "∉", "subset": "⊂",
    "subseteq": "⊆", "supset": "⊃", "cup": "∪", "cap": "∩", "emptyset": "∅", "forall": "∀", "exists": "∃",
    "neg": "¬", "land": "∧", "lor": "∨", "wedge": "∧", "vee": "∨", "to": "→", "rightarrow": "→", "leftarrow": "←",
    "Rightarrow": "⇒", "Leftarrow": "⇐", "Leftrightarrow": "⇔", "leftrightarrow": "↔", "implies": "⟹", "iff": "⟺",
    "mapsto": "↦", "ldots": "…", "dots": "…", "cdots": "⋯", "vdots": "⋮", "circ": "∘", "degree": "°", "angle": "∠",
    "perp": "⊥", "parallel": "∥", "mid": "|", "ll": "≪", "gg": "≫", "langle": "⟨", "rangle": "⟩", "lfloor": "⌊",
    "rfloor": "⌋", "lceil": "⌈", "rceil": "⌉", "hbar": "ℏ", "ell": "ℓ", "Re": "ℜ", "Im": "ℑ", "aleph": "ℵ",
    "prime": "′", "star": "⋆", "ast": "∗", "bullet": "•", "oplus": "⊕", "otimes": "⊗", "setminus": "∖",
    "therefore": "∴", "because": "∵", "square": "□", "blacksquare": "■", "triangle": "△", "lvert": "|", "rvert": "|",
    "vert": "|", "Vert": "‖", "lVert": "‖", "rVert": "‖", "colon": ":", "cong": "≅", "models": "⊨", "vdash": "⊢",
    "leqslant": "≤", "geqslant": "≥", "varnothing": "∅", "supseteq": "⊇", "subsetneq": "⊊", "simeq": "≃", "ni": "∋",
    "nexists": "∄", "lnot": "¬", "gets": "←", "longrightarrow": "⟶", "longleftarrow": "⟵", "Longrightarrow": "⟹",
    "uparrow": "↑", "downarrow": "↓", "bigcup": "⋃", "bigcap": "⋂", "iint": "∬", "iiint": "∭", "dagger": "†",
    "varrho": "ϱ", "varsigma": "ς", "complement": "∁", "checkmark": "✓", "triangleq": "≜",
    "bmod": "mod", "|": "‖", "top": "⊤", "bot": "⊥", "backslash": "\\",
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ϵ", "varepsilon": "ε", "zeta": "ζ", "eta": "η",
    "theta": "θ", "vartheta": "ϑ", "iota": "ι", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ",
    "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "upsilon": "υ", "phi": "ϕ", "varphi": "φ", "chi": "χ",
    "psi": "ψ", "omega": "ω", "Gamma": "Γ", "Delta": "Δ", "Theta": "Θ", "Lambda": "Λ", "Xi": "Ξ", "Pi": "Π",
    "Sigma": "Σ", "Upsilon": "Υ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω",
}  # fmt: skip
_SPACES = {",": " ", ";": " ", ":": " ", " ": " ", "quad": "  ", "qquad": "    ", "!": "", "displaystyle": "",
           "limits": "", "nolimits": "", "left": "", "right": "", "big": "", "Big": "", "bigl": "", "bigr": "",
           "Bigl": "", "Bigr": ""}  # fmt: skip
_NAMES = ("sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "log", "ln",
          "lg", "exp", "lim", "max", "min", "sup", "inf", "det", "dim", "ker", "gcd", "deg", "arg", "mod")  # fmt: skip
_ESCAPED = ("{", "}", "%", "$", "&", "#", "_")
_TEXTS = ("text", "textrm", "textbf", "textit", "mathrm", "mathbf", "mathit", "mathsf", "operatorname", "boldsymbol",
          "mbox", "bm", "boxed", "mathcal", "mathscr", "mathtt", "texttt", "textsf")  # fmt: skip
_BLACKBOARD = {"R": "ℝ", "N": "ℕ", "Z": "ℤ", "Q": "ℚ", "C": "ℂ", "P": "ℙ", "E": "𝔼", "F": "𝔽"}
_ACCENTS = {"hat": "\u0302", "bar": "\u0304", "overline": "\u0304", "vec": "\u20d7", "overrightarrow": "\u20d7",
            "dot": "\u0307", "ddot": "\u0308", "tilde": "\u0303"}  # fmt: skip
_LINE_ABOVE = "\u0305"
_ARROWS = ("vec", "overrightarrow")
"""Accents that may stand over the name of a line: after its last letter."""
_FRACTIONS = ("frac", "dfrac", "tfrac")
_ROOTS = {"": "√", "2": "√", "3": "∛", "4": "∜"}
_NUMBERS = re.compile(r"\d+/\d+")
_ATOM = re.compile(r"\d+\Z|.\Z")
"""What needs no parentheses as a power, as an index or in a fraction."""
_SPACED = frozenset("×÷±∓≤≥≠≈≡∼∝∈∉⊂⊆⊃∪∩∧∨→←⇒⇐⇔↔⟹⟺↦∘⊥∥≪≫⊕⊗∖≅⊨⊢·⊇⊊≃∋⟶⟵≜")
"""Signs that stand between spaces."""
_MAX_FORMULA_CHARACTERS = 500
"""A longer formula is shown as it was written."""
_MATHEMATICAL = re.compile(
    r"\\[a-zA-Z{}|%$]|\d(?:\{,\}|\\,)\d|\^|\w_[\w{]|[=+≤≥≠]|[\w)]\s*[<>]\s*[\w(\\]|^\s*-?[^\W_]{1,2}'*\s*$|^\s*[A-Z]{1,4}(?:'[A-Z]?)*'*\s*$"
    r"|^\|.+\|$|\d\s*[^\W\d_]\s*$|[^\W_]'*\(|[^\W_]!|\d\s*[*/]\s*\d|^-|^\d+\.\d+$|^\(.+,.+\)$"
)
"""What makes a formula of the words between two dollars: prices and paths have none of these."""


_CONTEXT = get_default_latex_context_db()
_CONTEXT.add_context_category(
    "school", prepend=True,
    macros=[
        *(std_macro(name, False, 1) for name in (*_TEXTS, *_ACCENTS, "mathbb", "pmod")),
        *(std_macro(name, False, 2) for name in _FRACTIONS),
    ],
)  # fmt: skip


_PRICE = re.compile(r"\{|\d[\d.,]*(?:[,;]?\s+[^\W\d_]{2,}|\s*[>;]|[-/]\s*$)")
"""A number with words behind it, or a variable of the shell."""


class _NotSimple(Exception):
    """The formula says more than a line of text can."""


def is_formula(text: str) -> bool:
    """Whether the words between two dollars are a formula, and not two prices or paths."""
    return not _PRICE.match(text) and _MATHEMATICAL.search(text) is not None


@lru_cache(maxsize=1024)
def readable(latex: str) -> str | None:
    """The formula in one line of Unicode; None where that would not say the same."""
    if len(latex) > _MAX_FORMULA_CHARACTERS:
        return None
    try:
        nodes = LatexWalker(latex, latex_context=_CONTEXT, tolerant_parsing=False).get_latex_nodes()[0]
        return " ".join(_line(nodes).split())
    except (LatexWalkerError, _NotSimple, RecursionError):
        return None


def raised(text: str) -> str:
    """As a superscript: x² or x^(a/b)."""
    return _small(text, _SUPERSCRIPTS, "^")


def lowered(text: str) -> str:
    """As a subscript: H₂O or x_(max)."""
    return _small(text, _SUBSCRIPTS, "_")


def _small(text: str, small: dict[str, str], sign: str) -> str:
    text = text.strip()
    if text in ("∘", "°") and sign == "^":
        return "°"
    if text in ("′", "'", "*", "∗") and sign == "^":
        return text
    if text and all(letter in small for letter in text.replace(" ", "")):
        return "".join(small[letter] for letter in text.replace(" ", ""))
    return f"{sign}{text}" if _ATOM.match(text) else f"{sign}({text})"


def _line(nodes: Iterable[Any]) -> str:
    """The nodes one after the other. A power or an index takes what follows its sign."""
    out, fractions, sign, grouped = list[str](), list[int](), "", False
    for node, piece in [(each, piece) for each in nodes for piece in _pieces(each)]:
        if sign and not piece.isspace():
            whole = node.__class__.__name__ != "LatexCharsNode"
            script, rest = (piece, "") if whole else (piece[0], piece[1:])
            out += [(raised if sign == "^" else lowered)(script), rest or script[len(script.rstrip()) :]]
            sign, grouped = "", False
            continue
        if piece in ("^", "_") and node.__class__.__name__ == "LatexCharsNode":
            sign = piece
            out[-1:] = [_grouped(each) if grouped and each else each for each in out[-1:]]
        elif not sign:
            fractions += [len(out)] if _is_fraction(node) else []
            out.append(piece)
        grouped = node.__class__.__name__ == "LatexGroupNode"
    if sign:
        raise _NotSimple
    for at in fractions:
        out[at] = _apart("".join(out[:at])[-1:], out[at], "".join(out[at + 1 :])[:1])
    return "".join(out)


def _apart(before: str, fraction: str, after: str) -> str:
    """A fraction or a root, so that no neighbour is read as part of it: 1/2 a is not 1/(2a)."""
    if before.isdigit() and _NUMBERS.fullmatch(fraction):
        return f" {fraction}"  # two and a half
    glued = not fraction.startswith("√") and (before.isalnum() or before in ")]/")
    followed = after.isalnum() or (after and after in "(!'′")
    return f"({fraction})" if (before and glued) or followed else fraction


def _is_fraction(node: Any) -> bool:
    return getattr(node, "macroname", "") in (*_FRACTIONS, "sqrt")


def _pieces(node: Any) -> Iterable[str]:
    kind = node.__class__.__name__
    if kind == "LatexCharsNode":
        return [piece for piece in re.split(r"([\^_])", node.chars) if piece]
    if kind == "LatexGroupNode" and node.delimiters == ("{", "}"):
        return [_line(node.nodelist)]
    if kind == "LatexMacroNode":
        return [_macro(node)]
    if kind == "LatexSpecialsNode" and node.specials_chars in ("~", "''", "``", "'"):
        return [" " if node.specials_chars == "~" else node.specials_chars]
    raise _NotSimple


def _macro(node: Any) -> str:
    name = node.macroname
    if name in _SYMBOLS:
        symbol = _SYMBOLS[name]
        return f" {symbol} " if symbol in _SPACED else symbol + node.macro_post_space[:1]
    if name in _SPACES:
        return _SPACES[name]
    if name in _NAMES:
        return f" {name} " if node.macro_post_space else name
    if name in _ESCAPED:
        return str(name)
    return _with_arguments(name, [_argument(each) for each in node.nodeargd.argnlist] if node.nodeargd else [])


def _argument(node: Any) -> str:
    if node is None:
        return ""
    return _line(node.nodelist if node.__class__.__name__ == "LatexGroupNode" else [node])


def _with_arguments(name: str, arguments: list[str]) -> str:
    if not arguments:
        raise _NotSimple
    last = arguments[-1]
    if name in _FRACTIONS and len(arguments) == 2:
        return f"{_grouped(arguments[0])}/{_grouped(last)}"
    if name == "sqrt" and arguments[0] in _ROOTS:
        return f"{_ROOTS[arguments[0]]}{_grouped(last)}"
    if name == "pmod":
        return f" (mod {last})"
    return last if name in _TEXTS else _decorated(name, last)


def _decorated(name: str, text: str) -> str:
    """The text in another alphabet, or with an accent."""
    if name == "mathbb" and text in _BLACKBOARD:
        return _BLACKBOARD[text]
    if name == "overline" and len(text) > 1 and text.isalnum():
        return "".join(f"{letter}{_LINE_ABOVE}" for letter in text)
    if name in _ACCENTS and (len(text) == 1 or (name in _ARROWS and text.isalpha())):
        return text + _ACCENTS[name]
    raise _NotSimple


def _grouped(text: str) -> str:
    return text if _ATOM.match(text.strip()) else f"({text.strip()})"
