"""Rich messages on the Bot API server: what Telegram's HTML for them may hold, its limits, and what a reader sees.

Source: core.telegram.org/bots/api#rich-message-formatting-options, as of Bot API 10.1.
"""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from tests.platforms.bot_api_checks import bad

INLINE = {"a", "b", "i", "u", "s", "code", "sub", "sup", "tg-math"}
BLOCKS = {"p", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "blockquote", "ul", "ol", "li", "table", "tr", "th", "td",
          "tg-math-block"}  # fmt: skip
ALONE = {"hr", "br", "input"}
ATTRIBUTES = {"a": {"href"}, "code": {"class"}, "li": {"value"}, "table": {"bordered", "striped"},
              "input": {"type", "checked"}}  # fmt: skip
PARENTS = {"li": {"ul", "ol"}, "tr": {"table"}, "th": {"tr"}, "td": {"tr"}, "ul": {"", "li", "blockquote"},
           "ol": {"", "li", "blockquote"}}  # fmt: skip
COUNTED = {"p", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "blockquote", "ul", "ol", "li", "table", "tr", "hr",
           "tg-math-block"}  # fmt: skip
BREAKS = COUNTED - {"ul", "ol", "table"}


@dataclass(slots=True)
class Read:
    """What a rich message says: its text as a reader sees it, and what is wrong with it."""

    html: str
    text: str = ""
    complaints: list[str] = field(default_factory=list)
    formulas: list[str] = field(default_factory=list)
    tables: list[list[list[str]]] = field(default_factory=list)


class _Parser(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.read, self._open, self._blocks, self._depth = Read(html), list[str](), 0, 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._blocks += tag in COUNTED
        if tag not in INLINE | BLOCKS | ALONE:
            self.read.complaints.append(f"no tag of rich messages: {tag}")
        if unknown := {name for name, _ in attrs} - ATTRIBUTES.get(tag, set()):
            self.read.complaints.append(f"{tag} has no {unknown}")
        if tag in PARENTS and (self._open[-1] if self._open else "") not in PARENTS[tag]:
            self.read.complaints.append(f"{tag} within {self._open}")
        if tag in ("table", "pre", "hr") and set(self._open) & {"p", "td", "th", *INLINE}:
            self.read.complaints.append(f"{tag} within {self._open}")
        if tag in BREAKS | {"br"} and self.read.text and not self.read.text.endswith("\n"):
            self.read.text += "\n"
        self._note(tag)
        if tag not in ALONE:
            self._open.append(tag)
            self._depth = max(self._depth, len(self._open))

    def _note(self, tag: str) -> None:
        if tag == "table":
            self.read.tables.append([])
        elif tag == "tr":
            self.read.tables[-1].append([])
        elif tag in ("th", "td"):
            self.read.text += " " if self.read.tables[-1][-1] else ""
            self.read.tables[-1][-1].append("")
        elif tag in ("tg-math", "tg-math-block"):
            self.read.formulas.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ALONE:
            return
        if not self._open or self._open[-1] != tag:
            self.read.complaints.append(f"</{tag}> within {self._open}")
            return
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self.read.text += data
        if self._open and self._open[-1] in ("tg-math", "tg-math-block"):
            self.read.formulas[-1] += data
        if {"td", "th"} & set(self._open):
            self.read.tables[-1][-1][-1] += data

    def finished(self) -> Read:
        self.close()
        if self._open:
            self.read.complaints.append(f"not closed: {self._open}")
        columns = max((len(row) for table in self.read.tables for row in table), default=0)
        for name, count, most in (("characters", len(self.read.text), 32_768), ("blocks", self._blocks, 500),
                                  ("levels", self._depth, 16), ("columns", columns, 20)):  # fmt: skip
            if count > most:
                self.read.complaints.append(f"a rich message of {count} {name}")
        self.read.text = self.read.text.strip()
        return self.read


def read_html(html: str) -> Read:
    """What a rich message says."""
    return _Parser(html).finished()


def read_rich(values: dict[str, Any], refusal: str) -> Read:
    """The rich message of a call. Raises Refusal; `refusal`: why all are refused."""
    if refusal:
        raise bad(refusal)
    rich = values["rich_message"]
    if set(rich) & {"markdown", "blocks"} or "html" not in rich:
        raise bad("exactly one of html, markdown, or blocks must be used")
    read = read_html(rich["html"])
    if "text" in values or "entities" in values:
        read.complaints.append("a rich message with a text")
    if not read.text:
        raise bad("RICH_MESSAGE_CONTENT_REQUIRED")
    if not rich.get("skip_entity_detection") and "@" in read.text:
        raise bad("RICH_MESSAGE_EMAIL_INVALID")
    return read
