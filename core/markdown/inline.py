"""The words of one paragraph, heading or cell: from markdown-it's inline tokens to runs. Pure."""

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from markdown_it.token import Token

from core.markdown.document import Run, Runs, Style, joined
from core.markdown.formulas import lowered, raised, readable

_STYLES = {
    "strong": Style.BOLD, "b": Style.BOLD, "em": Style.ITALIC, "i": Style.ITALIC, "s": Style.STRUCK,
    "del": Style.STRUCK, "strike": Style.STRUCK, "u": Style.UNDERLINED, "ins": Style.UNDERLINED, "code": Style.CODE,
    "kbd": Style.CODE, "samp": Style.CODE, "tt": Style.CODE, "var": Style.ITALIC, "cite": Style.ITALIC,
    "summary": Style.BOLD, "h1": Style.BOLD, "h2": Style.BOLD, "h3": Style.BOLD, "h4": Style.BOLD,
}  # fmt: skip
_STRUCTURE = ("details", "summary", "div", "p", "center", "section", "ul", "ol", "li")
"""Tags that may stand around several paragraphs, so that their partner is in another one."""
_SEVERAL_PARAGRAPHS = ("details", "section", "ul", "ol", "li")
"""Of these, the ones that are rarely closed on their own line."""
_KNOWN = frozenset((*_STYLES, *_STRUCTURE, "span", "font", "small", "big", "mark", "abbr", "q", "a", "sub", "sup"))
_TAG = re.compile(
    r"<(/?)([a-zA-Z][a-zA-Z0-9]*+)"
    r"(?:\s++[a-zA-Z_:][\w:.-]*+(?:\s*+=\s*+(?:[^\s\"'=<>`]++|'[^'<>]*+'|\"[^\"<>]*+\"))?+)*+\s*+/?>"
)
_BREAK = re.compile(r"<(?:br|hr)\s*/?>", re.IGNORECASE)
_HREF = re.compile(r"href\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'<>]+))", re.IGNORECASE)
_IMAGE_SIGN = "🖼 "
MAX_ADDRESS_CHARACTERS = 500
"""A longer address is written, not linked: it would stand in every message that has a part of its words."""


@dataclass(frozen=True, slots=True)
class DisplayedFormula:
    """A formula on lines of its own that no line of text can show: LaTeX, as it was written."""

    latex: str


Piece = Run | DisplayedFormula


@dataclass(frozen=True, slots=True)
class _Tag:
    """A tag of HTML that means something here; `address`: where a link leads."""

    name: str
    opens: bool
    address: str = ""


@dataclass(slots=True)
class _Look:
    """How the next words look: the styles, links and scripts (sub, sup) that are open around them."""

    styles: list[Style] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)

    def run(self, text: str, style: Style = Style.PLAIN) -> Run:
        """Words as they look here."""
        if self.scripts and text[:1].isalnum():  # a note as [1], and ®, are as they are
            text = (raised if self.scripts[-1] == "sup" else lowered)(text)
        for each in self.styles:
            style |= each
        address = self.addresses[0] if self.addresses else ""
        return Run(text, style, address if len(address) <= MAX_ADDRESS_CHARACTERS else "")

    def mark(self, style: Style, opens: bool) -> None:
        """A style begins or ends."""
        if opens:
            self.styles.append(style)
        elif style in self.styles:
            self.styles.remove(style)


def pieces_of(tokens: Sequence[Token]) -> Sequence[Piece]:
    """The words in order, and between them the formulas that need a block of their own."""
    out, look, tags, before = list[Piece](), _Look(), _paired_tags(tokens), None
    structure = _shown_structure(tokens, tags)
    for index, token in enumerate(tokens):
        out += _pieces(token, look, tags.get(index), structure.get(index), before)
        before = token if token.content or token.nesting else before
    return _with_missing_spaces(out)


def runs_of(pieces: Sequence[Piece]) -> Runs:
    """The pieces as runs, formulas as code: for a place that has no room for blocks."""
    return joined(
        [
            piece if isinstance(piece, Run) else Run(" ".join(piece.latex.split()), Style.CODE, latex=piece.latex)
            for piece in pieces
        ]
    )


def _pieces(
    token: Token, look: _Look, tag: _Tag | None, structure: str | None, before: Token | None
) -> Iterator[Piece]:
    match token.type:
        case "softbreak" | "hardbreak" | "code_inline":
            yield look.run(token.content, Style.CODE) if token.content else look.run("\n")
        case "formula":
            yield _formula(token, look)
        case "address":
            yield _address(token.content, look)
        case "html_inline":
            yield from _html(token, look, tag, structure)
        case "link_open" | "image_open":
            yield look.run(_IMAGE_SIGN if token.type == "image_open" else "")
            look.addresses.append(str(token.attrs["href"]))
        case "link_close" | "image_close":
            yield from _link_end(look, before)
        case _ if token.nesting:
            look.mark(_STYLES[token.tag], token.nesting > 0)
        case _:
            yield look.run(token.content)


def _address(address: str, look: _Look) -> Run:
    """An address that stands for itself: a link, unless it is part of another one."""
    run = look.run(address)
    if look.addresses or len(address) > MAX_ADDRESS_CHARACTERS:
        return run
    return replace(run, address=address if "://" in address else f"https://{address}")


def _formula(token: Token, look: _Look) -> Piece:
    line = readable(token.content)
    if line is not None:
        return replace(look.run(line), latex=token.content)
    if token.markup in ("$$", "\\["):
        return DisplayedFormula(token.content)
    return replace(look.run(" ".join(token.content.split()), Style.CODE), latex=token.content)


def _link_end(look: _Look, before: Token | None) -> Iterator[Run]:
    """A link without words shows its address; so do an image that is itself the words of a link, and what is too long
    for a link."""
    empty = before is None or before.type in ("link_open", "image_open") or before.content.isspace()
    shown = look.run(look.addresses[-1] if empty else "")
    inner = look.addresses.pop()
    yield shown
    if not empty and (look.addresses or len(inner) > MAX_ADDRESS_CHARACTERS):
        yield replace(look.run(f" ({inner})"), address="")


# HTML


def is_known_tag(name: str) -> bool:
    """Whether a tag of this name means something here."""
    return name.lower() in _KNOWN


def open_tags(words: str) -> str:
    """The tags that would close those that are open at the end of a paragraph."""
    opened = list[str]()
    for found in _TAG.finditer(words):
        name = found[2].lower()
        begins_line = not words[words.rfind("\n", 0, found.start()) + 1 : found.start()].strip()
        if name in _KNOWN and not (name in _SEVERAL_PARAGRAPHS and begins_line):
            if not found[1]:
                opened.append(name)
            elif name in opened:
                opened.reverse()
                opened.remove(name)
                opened.reverse()
    return "".join(f"</{name}>" for name in reversed(opened))


def _paired_tags(tokens: Sequence[Token]) -> Mapping[int, _Tag]:
    """The tags that have a partner in the same text. Others are words: vector<int>, "the <b> tag"."""
    opened, pairs = dict[str, list[int]](), dict[int, _Tag]()
    for index, token in enumerate(tokens):
        found = _TAG.fullmatch(token.content) if token.type == "html_inline" else None
        name = found[2].lower() if found else ""
        if found is None or name not in _KNOWN:
            continue
        if not found[1]:
            opened.setdefault(name, []).append(index)
        elif opened.get(name):
            start = opened[name].pop()
            if tokens[start + 1].content.startswith(" ") and tokens[index - 1].content.endswith(" "):
                continue  # both are spoken of: "between <b> and </b>"
            href = _HREF.search(tokens[start].content)
            address = html.unescape(href[1] or href[2] or href[3] or "") if href else ""
            pairs[start], pairs[index] = _Tag(name, True, address), _Tag(name, False, address)
    return pairs


def _html(token: Token, look: _Look, tag: _Tag | None, structure: str | None) -> Iterator[Run]:
    """`structure`: what is shown in place of a tag of structure."""
    if _BREAK.fullmatch(token.content):
        yield look.run("\n")
        return
    if tag is None or structure:
        yield look.run(token.content if structure is None else structure)
    if tag is None:
        return
    if tag.name in _STYLES:
        look.mark(_STYLES[tag.name], tag.opens)
    elif tag.name in ("a", "sub", "sup"):
        stack, value = (look.addresses, tag.address) if tag.name == "a" else (look.scripts, tag.name)
        if tag.opens:
            stack.append(value)
        elif value in stack:
            stack.remove(value)


def _shown_structure(tokens: Sequence[Token], tags: Mapping[int, _Tag]) -> Mapping[int, str]:
    """What is shown in place of each tag of structure: a line break between words of one line, nothing at its ends.

    One without a partner that stands in a sentence is a word: "the <p> tag".
    """
    out, last = dict[int, str](), ""  # the last sign before, in the same line
    for index, token in enumerate(tokens):
        if not _is_structure(token):
            last = "" if token.type in ("softbreak", "hardbreak") else token.content[-1:] or last
            continue
        after = tokens[index + 1] if index + 1 < len(tokens) else None
        follows = "" if after is None or _is_structure(after) else after.content
        if index not in tags and _is_in_sentence(token.content, last, follows):
            out[index], last = token.content, ">"
        elif last and follows.strip():
            out[index], last = "\n", ""
        else:
            out[index] = ""
    return out


def _is_in_sentence(tag: str, last: str, follows: str) -> bool:
    if tag.startswith("</"):
        return last == " " or bool(last and follows.strip())
    return bool(last) or (follows[:1] == " " and bool(follows.strip()))


def _is_structure(token: Token) -> bool:
    found = _TAG.fullmatch(token.content) if token.type == "html_inline" else None
    return found is not None and found[2].lower() in _STRUCTURE


def _with_missing_spaces(pieces: list[Piece]) -> list[Piece]:
    """With a space where bold ends with punctuation right before a word: "**Note:**text"; without one after a break."""
    pieces = [piece for piece in pieces if not isinstance(piece, Run) or piece.text]
    for at, (before, after) in enumerate(pairwise(pieces)):
        if isinstance(before, Run) and isinstance(after, Run):
            if before.text == "\n":
                pieces[at + 1] = replace(after, text=after.text.lstrip(" "))
            elif _lacks_space(before, after):
                pieces[at + 1] = replace(after, text=f" {after.text}")
    return pieces


def _lacks_space(bold: Run, after: Run) -> bool:
    ends = Style.BOLD in bold.style and Style.BOLD not in after.style and not after.address
    return ends and bold.text.endswith((":", "!", "?", "…", ".")) and _has_capitals(after.text[:1])


def _has_capitals(letter: str) -> bool:
    """Whether its script has words between spaces, and not as Chinese."""
    return letter.lower() != letter.upper()
