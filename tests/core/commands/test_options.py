"""Commands from the fields of a platform: written as a person would write them, and then as good as typed."""

from core.commands.options import Kind
from core.commands.registry import COMMANDS, find
from core.domain.conversation import Author, ChatId
from core.i18n import t
from tests.conftest import Bot
from tests.tables import each_row

CASES: list[tuple[str, dict[str, object], str]] = [
    ("temp", {}, "/temp"),
    ("temp", {"value": 0.3}, "/temp 0.3"),
    ("temp", {"value": 1}, "/temp 1"),
    ("temp", {"value": 0.1 + 0.2}, "/temp 0.3"),
    ("temp", {"value": 1e-9}, "/temp 0"),
    ("temp", {"reset": True}, "/temp reset"),
    ("temp", {"reset": False}, "/temp"),
    ("temp", {"value": 0.3, "reset": True}, "/temp 0.3 reset"),
    ("maxtokens", {"value": 256}, "/maxtokens 256"),
    ("memory", {"value": 10}, "/memory 10"),
    ("system", {"text": "You are  a pirate."}, "/system You are  a pirate."),
    ("lang", {"language": "vi"}, "/lang vi"),
    ("lang", {"reply": "auto"}, "/lang reply auto"),
    ("lang", {"language": "en", "reply": "reset"}, "/lang en reply reset"),
    ("help", {"command": "temp"}, "/help temp"),
    ("ask", {"question": "/temp"}, "/ask /temp"),
    ("stop", {"unknown": 1}, "/stop"),
]


@each_row(("name", "values", "text"), CASES)
def test_a_command_as_it_is_written(name: str, values: dict[str, object], text: str) -> None:
    command = find(name)
    assert command and command.written(values) == text


@each_row(
    ("text", "expected"),
    [
        ("/lang vi reply en", ["Từ giờ mình nói tiếng Việt", "Ngôn ngữ trả lời: auto → en"]),
        ("/lang en reply", ["I speak English", "Reply language: en (set here"]),
        ("/lang vi nonsense", ["mình nói tiếng Việt"]),
        ("/temp 0.3 reset", ["from 0 to 1"]),
    ],
)
async def test_both_at_once(bot: Bot, text: str, expected: list[str]) -> None:
    person, chat = Author(text, "Ann", "en-GB"), ChatId("fake", text)
    if text.endswith("reply"):
        await bot.say("/lang reply en", person, chat)
    said = await bot.say(text, person, chat)
    assert all(words in said for words in expected), said


@each_row("command", COMMANDS, ids=lambda command: command.name)
def test_every_argument_has_its_options(command: object) -> None:
    row = find(getattr(command, "name", ""))
    assert row and bool(row.argument) is bool(row.options)
    for option in row.options:
        for language in ("en", "vi"):
            assert t(language, f"option.{option.name}") and t(language, f"field.{option.name}")
        if row.changes_settings and option.name != "reset":
            assert any(other.kind is Kind.FLAG for other in row.options), "what can be set can be reset"
