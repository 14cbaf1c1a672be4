"""A text as a reader sees it: blocks of words with a style. Pure.

What was written as Markdown is read once, into this; each platform writes it in its own way.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, Flag, auto
from itertools import groupby


class Style(Flag):
    """How words look. Several may hold at once."""

    PLAIN = 0
    BOLD = auto()
    ITALIC = auto()
    STRUCK = auto()
    UNDERLINED = auto()
    CODE = auto()


@dataclass(frozen=True, slots=True)
class Run:
    """Words of one style. `address`: where they lead, as it was written; "" for words that are no link. `latex`: the
    formula that they are, as it was written; "" for words that are none."""

    text: str
    style: Style = Style.PLAIN
    address: str = ""
    latex: str = field(default="", compare=False)


Runs = tuple[Run, ...]


class Kind(Enum):
    """What a block is."""

    PARAGRAPH = auto()
    HEADING = auto()
    CODE = auto()
    TABLE = auto()
    RULE = auto()


@dataclass(frozen=True, slots=True)
class Table:
    """The cells of a table: those of the header, and those of each row. Rows may be shorter than the header."""

    header: Sequence[Runs]
    rows: Sequence[Sequence[Runs]]


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, heading, list item, piece of code, table or rule.

    `marker`: of a list item, on its first block: "•", "3.", "☐". `depth`: in how many lists it stands; `quotes`: in how
    many quotes. `level`: of a heading, from 1. `language`: of code. `gap`: whether a blank line stands before it.
    `counted`: whether the numbers of its list go up by one each, as a platform would count them itself. `repeated`: of
    code, the lines that stand at the top of every part of it. `latex`: of a formula on lines of its own, as it was
    written. `table`: of a table, also where it is laid out as other blocks: then each has the rows that it shows.
    """

    kind: Kind
    runs: Runs = ()
    marker: str = ""
    depth: int = 0
    quotes: int = 0
    level: int = 0
    language: str = ""
    gap: bool = False
    counted: bool = False
    repeated: str = ""
    latex: str = ""
    table: Table | None = None

    @property
    def text(self) -> str:
        """The words of its runs."""
        return "".join([run.text for run in self.runs])


def text_of(runs: Sequence[Run]) -> str:
    """The words alone."""
    return "".join([run.text for run in runs])


def joined(runs: Sequence[Run]) -> Runs:
    """The same words in as few runs as possible, without empty ones."""
    out = list[Run]()
    for run in runs:
        if out and out[-1].style == run.style and out[-1].address == run.address and not (out[-1].latex or run.latex):
            out[-1] = Run(out[-1].text + run.text, run.style, run.address)
        elif run.text:
            out.append(run)
    return tuple(out)


def without_start(runs: Sequence[Run], size: int) -> Runs:
    """All but the first `size` characters. Takes no step for each run that stays."""
    at = 0
    for index, run in enumerate(runs):
        if size < at + len(run.text):
            first = run if size == at else Run(run.text[size - at :], run.style, run.address)
            return (first, *runs[index + 1 :])
        at += len(run.text)
    return ()


def cut(runs: Sequence[Run], start: int, end: int) -> Runs:
    """The characters from `start` up to `end`."""
    out, at = list[Run](), 0
    for run in runs:
        if at >= end:
            break
        after = at + len(run.text)
        if start <= at and after <= end:
            out.append(run)
        elif after > start:
            out.append(Run(run.text[max(start - at, 0) : end - at], run.style, run.address))
        at = after
    return tuple(out)


def style_ends(styles: Sequence[Style], kinds: Sequence[Style]) -> Sequence[Mapping[Style, int]]:
    """For each place where those of `kinds` end that hold there, in this order."""
    held = {style: [each for each in kinds if each in style] for style in set(styles)}
    out, after = list[Mapping[Style, int]](), dict[Style, int]()
    for at in range(len(styles) - 1, -1, -1):
        after = {each: after.get(each, at + 1) for each in held[styles[at]]}
        out.append(after)
    return out[::-1]


def stripped(runs: Sequence[Run]) -> Runs:
    """Without white space at either end."""
    text = text_of(runs)
    if text[-1:].isspace():
        runs = cut(runs, 0, len(text.rstrip()))
    return without_start(runs, len(text) - len(text.lstrip())) if text[:1].isspace() else tuple(runs)


def with_addresses(runs: Sequence[Run], links: Callable[[str], bool]) -> Runs:
    """The runs with every address written out behind its words that `links` says can't be a link."""
    if not any(run.address for run in runs):
        return tuple(runs)
    return joined(list(_written_out(runs, links)))


def stands_for_itself(words: str, address: str) -> bool:
    """Whether the words of a link are its address: then they are a link even where they are only text."""
    return words == address or (words[:4].lower() == "www." and address == f"https://{words}")


def _written_out(runs: Sequence[Run], links: Callable[[str], bool]) -> Iterator[Run]:
    for address, same in groupby(runs, key=lambda run: run.address):
        words = list(same)
        if not address or links(address):
            yield from words
            continue
        yield from (replace(run, address="") for run in words)
        shown = address.removeprefix("mailto:")
        if shown not in text_of(words) and not stands_for_itself(text_of(words), address):
            style = words[-1].style & ~Style.CODE
            yield from (Run(" (", style), Run(shown, style, shown), Run(")", style))


# As plain text

RULE = "───"
_INDENT = "  "


def lead(block: Block) -> str:
    """What stands before the words of a block: the indentation of lists, and the item's sign."""
    if block.kind is Kind.CODE or not block.depth:
        return ""
    if not block.marker:
        return _INDENT * block.depth
    return _INDENT * (block.depth - 1) + block.marker + (" " if block.runs else "")


def gap(block: Block) -> str:
    """What stands between a block and the one before it."""
    return "\n\n" if block.gap else "\n"


def shown_runs(block: Block, links: Callable[[str], bool]) -> Runs:
    """The words of a block as they are read, with the addresses that can't be links written out."""
    if block.kind is Kind.RULE:
        return (Run(RULE),)
    return block.runs if block.kind is Kind.CODE else with_addresses(block.runs, links)


def plain_text(blocks: Sequence[Block], links: Callable[[str], bool]) -> str:
    """What a person reads, without any look."""
    parts = [
        (gap(block) if at else "") + lead(block) + text_of(shown_runs(block, links)) for at, block in enumerate(blocks)
    ]
    return "".join(parts)
