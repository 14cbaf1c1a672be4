"""From Markdown to blocks: one walk over markdown-it's tokens. Pure."""

import logging
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from markdown_it.common.utils import normalizeReference
from markdown_it.token import Token

from core.markdown.document import Block, Kind, Run, Runs, Style, Table, joined, stripped
from core.markdown.formulas import readable
from core.markdown.grammar import PARSER
from core.markdown.html_blocks import as_markdown
from core.markdown.inline import Piece, pieces_of, runs_of
from core.markdown.tables import repaired_row
from core.runtime.safe_traceback import safe_traceback

log = logging.getLogger(__name__)

_WORDS = r"(?:[^\W\d_]|…)(?:[^\W_]|[ ,.;:!?'\"()%…–—“”]|(?<=[^\W_])-(?=[^\W_]))*+(?<! )"
_LINE = rf"(?:- )?{_WORDS}|\*\*{_WORDS}\*\*"
_SIMPLE = re.compile(rf"(?:{_LINE})(?:\n\n?(?:{_LINE}))*+")
"""Lines of letters, digits, spaces and common punctuation that begin with a letter: plain, in a list, or bold."""
_TASK = re.compile(r"\[([ xX])\](?:\s+|$)")
_ALERT = re.compile(r"\[!(\w+)\][-+]?([ \t][^\n]*)?(?:\n|$)")
_FOOTNOTE = re.compile(r"^[ \t>]*\[\^(\w{1,32})\]:", re.MULTILINE)
_IN_BRACKETS = re.compile(r"\[([^\[\]]+)\]")
_LETTERED = re.compile(r"\n(?=[a-z][.)][ \t]+\S)")
"""Before "a) ..." on a line of its own."""
_INDENTED = re.compile(r"(?: {0,3}>)* ?(?:[ ]{2}|\t)| {2,}")
_BULLET, _UNDONE, _DONE = "•", "☐", "☑"
_LATEX = "latex"

References = tuple[tuple[str, str], ...]
"""Labels of reference links, with their addresses."""


def simple_lines(markdown: str) -> Sequence[tuple[str, bool]] | None:
    """The lines of a text that needs no parser, as they are shown, each with whether it is bold; None where it has to
    be read. Most short answers and the bot's own panels are such texts."""
    if not _SIMPLE.fullmatch(markdown):
        return None
    lines = [line.strip("*") for line in markdown.split("\n")]
    bold = [len(line) < len(written) for line, written in zip(lines, markdown.split("\n"), strict=True)]
    return [(f"• {line[2:]}" if line.startswith("- ") else line, each) for line, each in zip(lines, bold, strict=True)]


def read(markdown: str) -> Sequence[Block]:
    """The blocks of a text, in order. A text that can't be read is one paragraph, as it was written."""
    try:
        tokens, lines, known = _parsed(markdown)
        return list(_Walk(lines, known).blocks(tokens))
    except Exception as error:  # a bug of the library must not cost an answer
        log.error("a text of %d characters could not be read\n%s", len(markdown), safe_traceback(error))
        return [Block(Kind.PARAGRAPH, (Run(markdown.strip()),))]


@dataclass(frozen=True, slots=True)
class _Known:
    """What the words of a text may refer to."""

    references: References
    footnotes: frozenset[str]


def _parsed(markdown: str) -> tuple[Sequence[Token], Sequence[str], _Known]:
    """The block tokens, the lines that they count, and what the words may refer to.

    Where the parser would drop something that a reader needs (a cell too many in a row of a table, an address that no
    link names), the source is mended and parsed again.
    """
    lines = as_markdown(markdown.replace("\r\n", "\n").replace("\r", "\n")).split("\n")
    env = dict[str, Any]()
    tokens = PARSER.parse("\n".join(lines), env)
    mended = dict(_repaired_tables(tokens, lines)) | dict(_unused_definitions(tokens, lines, env))
    if mended:
        lines, env = "\n".join(mended.get(at, line) for at, line in enumerate(lines)).split("\n"), {}
        tokens = PARSER.parse("\n".join(lines), env)
    references = tuple((label, found["href"]) for label, found in env.get("references", {}).items())
    return tokens, lines, _Known(references, frozenset(_FOOTNOTE.findall(markdown)))


def _repaired_tables(tokens: Sequence[Token], lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    columns = 0
    for token in tokens:
        if token.type == "table_open":
            columns = 0
        elif token.type == "th_open":
            columns += 1
        elif token.type == "tr_open" and token.map and columns:
            line = lines[token.map[0]]
            if "|" not in line:  # words right below a table
                yield token.map[0], f"\n{line}"
                columns = 0
                continue
            repaired = repaired_row(line, columns)
            if repaired != line:
                yield token.map[0], repaired


def _unused_definitions(
    tokens: Sequence[Token], lines: Sequence[str], env: Mapping[str, Any]
) -> Iterator[tuple[int, str]]:
    """The lines of definitions that no link needs, so written that they are words."""
    defined = [(label, each["map"][0]) for label, each in env.get("references", {}).items()]
    defined += [("", each["map"][0]) for each in env.get("duplicate_refs", ())]
    if defined:
        words = " ".join(token.content for token in tokens if token.type == "inline")
        used = {normalizeReference(found) for found in _IN_BRACKETS.findall(words)}
        yield from ((line, lines[line].replace("]:", "\\]:", 1)) for label, line in defined if label not in used)


@lru_cache(maxsize=512)
def _pieces(words: str, known: _Known) -> Sequence[Piece]:
    """The words of a paragraph. Kept, so that a growing text costs only what is new in it."""
    env: dict[str, Any] = {"references": {label: {"href": href} for label, href in known.references}}
    env["footnotes"] = known.footnotes
    return pieces_of(PARSER.inline.parse(words, PARSER, env, []))


class _Walk:
    """Where the walk is: in how many quotes and lists, and below which marker or heading."""

    def __init__(self, lines: Sequence[str], known: _Known) -> None:
        self._lines, self._known = lines, known
        self._quotes, self._level = 0, 0
        self._lists: list[bool] = []
        """Of each list around: whether its numbers go up by one each."""
        self._marker: tuple[str, int] | None = None
        """The marker that the next block gets, and its line."""
        self._opens_quote = False
        self._last_line = -1
        """Where the block before begins."""

    def blocks(self, tokens: Sequence[Token]) -> Iterator[Block]:
        """The blocks of the tokens, in order."""
        counted, index = _counted_lists(tokens), 0
        while index < len(tokens):
            token = tokens[index]
            if token.type == "table_open":
                end = next(at for at in range(index, len(tokens)) if tokens[at].type == "table_close")
                yield from self._marker_alone()
                yield self._block(token, Kind.TABLE, table=self._table(tokens[index:end]))
                index = end
            elif token.nesting:
                yield from self._enter_or_leave(token, counted.get(index, False))
            else:
                yield from self._leaf(token)
            index += 1

    def _enter_or_leave(self, token: Token, counted: bool) -> Iterator[Block]:
        match token.type:
            case "blockquote_open" | "blockquote_close":
                self._quotes += token.nesting
                self._opens_quote = token.nesting > 0
            case "bullet_list_open" | "ordered_list_open":
                self._lists.append(counted)
            case "bullet_list_close" | "ordered_list_close":
                self._lists.pop()
            case "list_item_open":
                yield from self._marker_alone()
                self._marker = (f"{token.info}{token.markup}" if token.info else _BULLET), (token.map or [0])[0]
            case "list_item_close":
                yield from self._marker_alone()
            case "heading_open" | "heading_close":
                self._level = int(token.tag[1:]) if token.nesting > 0 else 0

    def _leaf(self, token: Token) -> Iterator[Block]:
        match token.type:
            case "inline":
                yield from self._words(token)
            case "fence" if not token.content.strip() and token.info.strip() and self._is_open(token):
                yield from self._pieces_of(token, token.info.strip())
            case "fence" | "code_block" if token.content.strip() or token.info.strip():
                yield from self._marker_alone()
                yield self._code(token, token.content.rstrip(), (token.info.split() or [""])[0])
            case "formula_block":
                yield from self._formula(token)
            case "hr":
                yield from self._marker_alone()
                yield self._block(token, Kind.RULE)

    def _is_open(self, fence: Token) -> bool:
        """Whether a fence ends the text: words right behind the end of code ("```done") open another one."""
        first, end = fence.map or (0, 0)
        return not any(line.strip(" \t>") for line in self._lines[first + 1 : end])

    def _words(self, token: Token) -> Iterator[Block]:
        """A paragraph or heading; formulas that need lines of their own are blocks between its words."""
        content, *lettered = self._lettered(token)
        yield from self._pieces_of(token, self._without_signs(content))
        self._lists.append(False)
        for item in lettered:
            marker, _, words = item.partition(" ")
            line = self._last_line + 1 + content.count("\n")
            self._marker, content = (marker, line), words
            yield from self._pieces_of(Token("", "", 0, map=[line, line + 1]), words.strip())
        self._lists.pop()

    def _lettered(self, token: Token) -> Sequence[str]:
        """The words of an item of a list, and the items "a) ..." that stand indented below them: no list to CommonMark,
        which would lose their indentation."""
        if not self._lists or "\n" not in token.content or not token.map:
            return [token.content]
        pieces = _LETTERED.split(token.content)
        second = token.map[0] + pieces[0].count("\n") + 1
        is_indented = second < len(self._lines) and self._lines[second].startswith(("  ", "\t"))
        return pieces if is_indented else [token.content]

    def _pieces_of(self, token: Token, content: str) -> Iterator[Block]:
        kind = Kind.HEADING if self._level else Kind.PARAGRAPH
        runs = list[Run]()
        for piece in _pieces(content, self._known):
            if isinstance(piece, Run):
                runs.append(piece)
                continue
            yield from self._paragraph(token, kind, runs)
            yield self._displayed(token, piece.latex.strip())
            runs = []
        yield from self._paragraph(token, kind, runs)

    def _paragraph(self, token: Token, kind: Kind, runs: Sequence[Run]) -> Iterator[Block]:
        words = stripped(joined(runs))
        if self._lists and (count := self._count_indented(token)):
            words = _indented(words, "  " * len(self._lists), count)
        if words or self._marker:
            yield self._block(token, kind, words, level=self._level)

    def _count_indented(self, token: Token) -> int:
        """How many line breaks within an item of a list are followed by an indentation. Where the author wrote none,
        the line below is hardly meant as part of the item."""
        first, end = token.map or (0, 0)
        lines = self._lines[first + 1 : end]
        flush = (at for at, line in enumerate(lines) if not _INDENTED.match(line))
        return next(flush, sys.maxsize)

    def _without_signs(self, content: str) -> str:
        """The words without the box of a task, which becomes the marker, and without the brackets of an alert."""
        if self._marker and (task := _TASK.match(content)):
            box, (marker, line) = _UNDONE if task[1] == " " else _DONE, self._marker
            self._marker = (box if marker == _BULLET else f"{marker} {box}"), line
            return content[task.end() :]
        if self._opens_quote and (alert := _ALERT.match(content)):
            return f"**{alert[1]}**{(alert[2] or '').rstrip()}\n{content[alert.end() :]}"
        return content

    def _formula(self, token: Token) -> Iterator[Block]:
        latex = token.content.strip() + token.info.strip()
        line = readable(token.content)
        if line is not None:
            yield self._block(token, Kind.PARAGRAPH, (Run(line + token.info.strip()),), latex=latex)
            return
        yield from self._marker_alone()
        yield self._displayed(token, latex)

    def _displayed(self, token: Token, latex: str) -> Block:
        return self._block(token, Kind.CODE, (Run(latex, Style.CODE),), language=_LATEX, latex=latex)

    def _code(self, token: Token, code: str, language: str) -> Block:
        return self._block(token, Kind.CODE, (Run(code, Style.CODE),), language=language)

    def _table(self, tokens: Sequence[Token]) -> Table:
        rows = list[list[Runs]]()
        for token in tokens:
            if token.type == "tr_open":
                rows.append([])
            elif token.type == "inline":
                rows[-1].append(stripped(runs_of(_pieces(token.content, self._known))))
        return Table(rows[0], rows[1:])

    def _marker_alone(self) -> Iterator[Block]:
        """A list item whose marker has no words beside it."""
        if self._marker:
            line = self._marker[1]
            yield self._block(Token("", "", 0, map=[line, line + 1]), Kind.PARAGRAPH)

    def _block(self, token: Token, kind: Kind, runs: Runs = (), **more: Any) -> Block:
        line = token.map[0] if token.map else 0
        gap = self._last_line not in (-1, line) and not self._lines[line - 1].strip(" \t>")
        marker = self._marker[0] if self._marker else ""
        self._marker, self._last_line, self._opens_quote = None, line, False
        counted = bool(self._lists) and self._lists[-1]
        return Block(kind, runs, marker, len(self._lists), self._quotes, gap=gap, counted=counted, **more)


def _indented(runs: Runs, indent: str, count: int) -> Runs:
    """The words with an indentation after the first `count` line breaks."""
    out = list[Run]()
    for run in runs:
        breaks = run.text.count("\n")
        out.append(replace(run, text=run.text.replace("\n", f"\n{indent}", max(count, 0))) if breaks else run)
        count -= breaks
    return tuple(out)


def _counted_lists(tokens: Sequence[Token]) -> Mapping[int, bool]:
    """For the token that opens a list: whether its numbers go up by one each."""
    opened, numbers, out = list[int](), list[list[int]](), dict[int, bool]()
    for index, token in enumerate(tokens):
        if token.type in ("ordered_list_open", "bullet_list_open"):
            opened.append(index)
            numbers.append([])
        elif token.type in ("ordered_list_close", "bullet_list_close"):
            found = numbers.pop()
            out[opened.pop()] = found == list(range(found[0], found[0] + len(found))) if found else True
        elif token.type == "list_item_open" and token.info:
            numbers[-1].append(int(token.info))
    return out
