"""The Markdown that models write: CommonMark with tables, formulas and footnotes, and without its surprises.

The block and inline rules that differ from markdown-it's own. Every rule looks at each character a bounded number of
times, so that no text takes quadratic time.
"""

import html
import re
from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.common.utils import normalizeReference
from markdown_it.rules_block import StateBlock
from markdown_it.rules_block.blockquote import blockquote
from markdown_it.rules_block.lheading import lheading
from markdown_it.rules_block.list import list_block
from markdown_it.rules_block.reference import reference
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.balance_pairs import link_pairs
from markdown_it.token import Token

from core.markdown.addresses import bare_address, tagged_address
from core.markdown.emphasis import Mark, emphasis, is_word, settle
from core.markdown.formulas import is_formula

_MAX_NESTING = 20
_MAX_UNDERLINED_CHARACTERS = 100
"""A longer line above "---" is a paragraph above a rule, not a heading."""
_MAX_HEADING_LINES = 3
_UNDERLINE = re.compile(r"=+|-+")
_LONG_UNDERLINE = re.compile(r"={2,}")
_MAX_FORMULA_LINES = 60
_MAX_LINES_BEFORE = 5
"""Of a formula, before an environment in it."""
_TERMINATOR = re.compile(r"[\n!$&*<>\[\\\]^_`~]|https?://|(?<![^\W_])www\.", re.IGNORECASE)
"""Where plain words end."""
_ESCAPABLE = '*_`~#[]()<>|.!-+$"'
"""What a backslash hides behind. LaTeX and Windows' paths keep theirs before anything else."""
_DESTINATION = re.compile(
    r"\(\s*+(?:<([^<>\n]*+)>|((?:[^\s()\\]|\\.|\([^\s()]*+\))*+))"
    r"(?:\s++(?:\"[^\"\n]*+\"|'[^'\n]*+'|\([^()\n]*+\)))?\s*+\)"
)
_ESCAPED_SIGN = re.compile(r"\\([!-/:-@\[-`{-~])")
_DRAWN = re.compile(r"\\[_|]+/")
"""A picture of signs: /\\_/\\, \\|/."""
_PLACE = re.compile(r"[/:.#@]")
"""In every address that behind a name is one."""
_PATH = re.compile(r"\W*(?:[A-Za-z]:\\|\\\\\w)")
_MAX_PATH_CHARACTERS = 260
_NO_FORMULA = re.compile(r"\A\s+[a-z]{2,}\s+\Z|://|(?<!\\)\\[dwsDWSbB](?![a-zA-Z])|[\])+*?]\\\.")
_FOOTNOTE = re.compile(r"\[\^(\w{1,32})\]")
CODE_SPAN = re.compile(r"(?<![`\\])(`++)(?:(?!\1).|(?<=`)`)*?(?<!`)\1(?!`)", re.DOTALL)
FORMULA = re.compile(
    r"(?<![\w\\])(?:\$\$[^`$]++\$\$|\\\[(?:[^`\\]|\\(?!\])){1,300}+\\\]|\\\((?:[^`\\]|\\(?!\))){1,300}+\\\)|\$(?![\s$])(?:[^`$\n\\]|\\[^\n])++(?<!\s)\$(?![\d$/]))"
)
_DOLLARS = re.compile(r"\$(?![\s$])((?:[^`$\n\\]|\\[^\n])++)(?<!\s)\$(?![\d$/])")
_NO_QUOTE = re.compile(r">=|>\d|>>> |>>>$|>>$|>(?: ?[\^.~=_]|-) ?<(?!\w)", re.MULTILINE)
"""What begins like a quote and is none: a version, a comparison, Python's prompt, a shift, a face."""
_NO_LIST = re.compile(r"\d{1,9}[.)][ \t]+\d{1,9}[.)](?:\s|$)|([-+*])[ \t]+\1(?:\s|$)")
_ENVIRONMENT = re.compile(
    r"\\begin\{((?:align(?:ed|at)?|equation|gather(?:ed)?|multline|eqnarray|cases|array|[bpvBV]?matrix)\*?)\}"
)
"""A formula that needs no other signs around it."""
_FORMULA_ENDS = {"\\[": "\\]", "$$": "$$", "\\(": "\\)"}
_BRACKETS = re.compile(r"\\.|[\[\]]", re.DOTALL)
_FENCE_IN_LINE = re.compile(r"\A[ \t>]*(?:`{3,}|~{3,})")


def make_parser() -> MarkdownIt:
    """The parser for everything that is shown."""
    parser = MarkdownIt("commonmark", {"maxNesting": _MAX_NESTING}).enable(["table", "strikethrough"])
    parser.disable(["html_block"])
    blocks, inline = parser.block.ruler, parser.inline.ruler
    blocks.at("blockquote", _quote, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    blocks.at("list", _list, {"alt": ["paragraph", "reference", "blockquote"]})
    blocks.at("lheading", _underlined_heading)
    blocks.at("reference", _definition)
    blocks.before("blockquote", "formula", _formula_block, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    parser.inline.terminator_re = _TERMINATOR
    inline.after("text", "address", bare_address)
    inline.before("escape", "formula", _formula)
    inline.at("escape", _escape)
    inline.at("emphasis", emphasis)
    parser.inline.ruler2.before("balance_pairs", "settle", settle)
    inline.at("autolink", tagged_address)
    inline.at("link", _link)
    inline.at("image", _image)
    parser.core.ruler.enableOnly(["normalize", "block"])  # words are read apart, and kept: reader.py
    # Rules are compiled at the first use, which in two threads at once goes wrong.
    parser.inline.parse("x", parser, {}, parser.parse("x"))
    return parser


# Blocks


def _line(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]


def _quote(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    at = state.bMarks[start] + state.tShift[start]
    if _NO_QUOTE.match(state.src, at, state.eMarks[start]):
        return False
    return blockquote(state, start, end, silent)


def _list(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A number that another number follows is a date or a countdown, and a row of signs is a row of signs."""
    return not _NO_LIST.match(_line(state, start)) and list_block(state, start, end, silent)


def _underlined_heading(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A heading is one short line: below more than that, "---" is a rule. Above "===" it may be three."""
    for line in range(start + 1, min(start + 1 + _MAX_HEADING_LINES, end)):
        if len(_line(state, line - 1)) > _MAX_UNDERLINED_CHARACTERS:
            return False
        underline = _line(state, line).rstrip()
        if _UNDERLINE.fullmatch(underline) if line == start + 1 else _LONG_UNDERLINE.fullmatch(underline):
            return lheading(state, start, end, silent)
        if not underline or underline.startswith("--"):
            return False
    return False


def _definition(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """The address of a link that names it elsewhere; a footnote is a paragraph."""
    return not _line(state, start).startswith("[^") and reference(state, start, end, silent)


def _formula_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A formula that begins a line and may go over several, blank ones among them."""
    opening = _line(state, start)[:2]
    environment = _ENVIRONMENT.match(_line(state, start)) if opening == "\\b" else None
    if (opening not in ("\\[", "$$") and not environment) or state.is_code_block(start):
        return False
    if environment and _is_within_formula(state, start):
        return False
    closing = f"\\end{{{environment[1]}}}" if environment else _FORMULA_ENDS[opening]
    last = _formula_end(state, start, end, closing)
    if last is None:
        return False
    if not silent:
        state.line = last + 1
        token = state.push("formula_block", "", 0)
        lines = state.getLines(start, last + 1, state.blkIndent, False).strip()
        token.content, _, token.info = lines.rpartition(closing)
        if not environment:
            token.content = token.content[2:]
        elif environment[1].startswith("equation"):
            token.content = token.content[environment.end() :]
        else:
            token.content += closing
        token.map = [start, state.line]
    return True


def _is_within_formula(state: StateBlock, start: int) -> bool:
    """Whether the paragraph around the line begins as a formula that is not complete."""
    for line in range(start - 1, max(start - _MAX_LINES_BEFORE, -1), -1):
        if state.isEmpty(line):
            return False
        if closing := _FORMULA_ENDS.get((text := _line(state, line))[:2]):
            return closing not in text[2:]
    return False


def _formula_end(state: StateBlock, start: int, end: int, closing: str) -> int | None:
    """The line that ends a formula; None where none does, or where words follow: then it stands in a paragraph."""
    again = ("\\[", closing.replace("\\end", "\\begin"))
    for line in range(start, min(end, start + _MAX_FORMULA_LINES)):
        text = _line(state, line)
        if (at := text.find(closing, 2 if line == start else 0)) >= 0:
            return None if text[at + len(closing) :].strip(" .,;") else line
        if line > start and (
            state.sCount[line] < state.blkIndent or _FENCE_IN_LINE.match(text) or text.startswith(again)
        ):
            return None
    return None


# Inline


def _push(state: StateInline, kind: str, content: str) -> Token:
    token = state.push(kind, "", 0)
    token.content = content
    return token


def _escape(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] != "\\" or state.pos + 1 >= state.posMax:
        return False
    src, at = state.src, state.pos
    sign, before = src[at + 1], src[at - 1] if at else " "
    if sign not in _ESCAPABLE and (sign != "\n" or before in "\\/_|") and (before, sign) != ("¯", "\\"):
        return False
    if _is_in_path(src, at) or (sign == "." and before in "+*])}?") or _is_drawn(src, at, before):
        return False
    if not silent:
        if sign == "\n":
            state.push("hardbreak", "br", 0)
        else:
            _push(state, "text_special", sign).markup = "\\" + sign
    state.pos += 2
    return True


def _is_drawn(src: str, at: int, before: str) -> bool:
    """Whether a backslash is a line of a picture."""
    return src[at + 1] in "_|" and (before in "¯/" or (not is_word(before) and _DRAWN.match(src, at) is not None))


def _is_in_path(src: str, at: int) -> bool:
    """Whether a backslash stands in a path of Windows: C:\\x or \\\\host\\x."""
    earliest = max(0, at - _MAX_PATH_CHARACTERS)
    return _PATH.match(src[earliest : at + 2].rsplit(maxsplit=1)[-1] if src[at + 1].strip() else "") is not None


def _formula(state: StateInline, silent: bool) -> bool:
    src, at = state.src, state.pos
    opening = src[at : at + 2]
    if src[at] not in "\\$" or (at and (src[at - 1].isalnum() or src[at - 1] == "\\")):
        return False
    if closing := _FORMULA_ENDS.get(opening):
        end = src.find(closing, at + 2, state.posMax) if state.html_terminator_last(closing) > at + 1 else -1
        content, after = src[at + 2 : end], end + 2
        if end < 0 or not content.strip() or "`" in content or _NO_FORMULA.search(content):
            return False
        if opening != "\\(" and (not is_formula(content)):
            return False
        if src.startswith(("(", "\\("), after) or (at and src[at - 1] in "'\"/"):
            return False
    else:
        found = _DOLLARS.match(src, at, state.posMax) if src[at] == "$" else None
        if found is None or not is_formula(found[1]):
            return False
        content, after = found[1], found.end()
    if not silent:
        _push(state, "formula", content).markup = opening if closing else "$"
    state.pos = after
    return True


def _link(state: StateInline, silent: bool) -> bool:
    return state.src[state.pos] == "[" and _linked(state, state.pos, silent)


def _image(state: StateInline, silent: bool) -> bool:
    src, at = state.src, state.pos
    return src[at] == "!" and src[at + 1 : at + 2] == "[" and _linked(state, at + 1, silent)


def _linked(state: StateInline, start: int, silent: bool) -> bool:
    """What stands in brackets from `start` on: a link, an image or the number of a footnote."""
    if state.linkLevel and start == state.pos:
        return False
    if (note := _FOOTNOTE.match(state.src, start, state.posMax)) and _is_footnote(state, note[1]):
        state.pos = note.end()
        if not silent:
            _push(state, "text", f"[{note[1]}]")
        return True
    end = _partners(state).get(start, state.posMax)
    if end >= state.posMax:
        return False
    target = _target(state, start, end)
    if target is None or (_is_index(state.src, start) and not _PLACE.search(target[0])):
        return False
    address, after = target
    if not silent:
        _push_link(state, start + 1, end, address)
    state.pos = after
    return True


def _is_index(src: str, start: int) -> bool:
    """Whether a bracket stands right behind a name, as in a[i](x)."""
    return start > 0 and (is_word(src[start - 1]) or src[start - 1] == "]")


def _push_link(state: StateInline, start: int, end: int, address: str) -> None:
    """Push the link with the words from `start` up to `end`."""
    is_image, kept = state.src[state.pos] == "!", state.posMax
    kind = "image" if is_image else "link"
    state.push(f"{kind}_open", "a", 1).attrs = {"href": address}
    state.pos, state.posMax = start, end
    state.linkLevel += not is_image
    state.md.inline.tokenize(state)
    state.linkLevel -= not is_image
    state.posMax = kept
    state.push(f"{kind}_close", "a", -1)


def _target(state: StateInline, start: int, end: int) -> tuple[str, int] | None:
    """The address behind the brackets, and where what follows begins."""
    src = state.src
    if found := _DESTINATION.match(src, end + 1, state.posMax):
        written = found[1] if found[1] is not None else found[2]
        return html.unescape(_ESCAPED_SIGN.sub(r"\1", written)), found.end()
    label, after = src[start + 1 : end], end + 1
    closing = _partners(state).get(after, state.posMax)
    if src[after : after + 1] == "[" and closing < state.posMax:
        label, after = src[after + 1 : closing] or label, closing + 1
    known = state.env.get("references", {}).get(normalizeReference(label)) if len(label) < 1000 else None
    return (known["href"], after) if known else None


def _partners(state: StateInline) -> dict[int, int]:
    """For every opening bracket the one that closes it; found once for a text."""
    kept = state.env.get("brackets")
    if kept is None or kept[0] is not state.src:
        kept = state.env["brackets"] = state.src, _matched(state.src)
    return kept[1]


def _matched(src: str) -> dict[int, int]:
    opened, pairs = list[int](), dict[int, int]()
    for found in _BRACKETS.finditer(src):
        if found[0] == "[":
            opened.append(found.start())
        elif found[0] == "]" and opened:
            pairs[opened.pop()] = found.start()
    return pairs


def _is_footnote(state: StateInline, label: str) -> bool:
    return label.isdigit() or label in state.env.get("footnotes", ())


PARSER = make_parser()


@lru_cache(maxsize=16)
def open_marks(words: str) -> tuple[str, int]:
    """The marks that would close what is open at the end of a paragraph, and how many characters at its end are marks
    that mean nothing yet."""
    state = StateInline(words, PARSER, {}, [])
    PARSER.inline.tokenize(state)
    settle(state, growing=True)
    link_pairs(state)
    closers = {each.end for each in state.delimiters if each.end >= 0}
    unpaired = [each for at, each in enumerate(state.delimiters) if each.end < 0 and at not in closers]
    opened = [each for each in unpaired if each.open or (isinstance(each, Mark) and each.run.may_close)]
    loose = len(words) - len(words.rstrip("*_~"))
    last = state.delimiters[-1] if state.delimiters else None
    if loose and isinstance(last, Mark) and last.run.crosses:
        return "", loose
    matched = sum(
        len(state.tokens[state.delimiters[at].token].content)
        for at in closers
        if len(state.tokens) - state.delimiters[at].token <= loose
    )
    if loose > matched:
        return "", loose - matched
    return "".join(state.tokens[each.token].content for each in reversed(opened)), 0
