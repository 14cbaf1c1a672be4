"""Typed values of a slash command are as good as typed text, for every setting and every other option."""

import itertools

from core.commands.context import Outcome
from core.commands.options import Kind, read_options
from core.commands.registry import COMMANDS, find
from core.domain.conversation import ChatId, OptionValue
from core.domain.errors import Refused
from storage.store import DatabaseStore
from tests.conftest import RULES
from tests.core.commands.calls import command_call
from tests.tables import each_row

Options = dict[str, OptionValue]


def each(command: str, option: str, *values: OptionValue) -> list[tuple[str, Options]]:
    """The values, one after another, behind the beginning of a command."""
    return [(f"{command} {value}", {option: value}) for value in values]


VERBS = ("add", "allow", "remove", "test")
SAME: list[tuple[str, Options]] = [
    ("/temp", {}),
    *each("/temp", "value", 0, 1, 0.0, 0.3, 0.25, 1.0, 0.05, 2, -1, 1.5, -0.1),
    ("/temp 0.3", {"value": 0.1 + 0.2}),
    ("/temp 0", {"value": 1e-9}),
    ("/temp reset", {"reset": True}),
    ("/temp", {"reset": False}),
    ("/temp 0.3", {"value": 0.3, "reset": False}),
    ("/temp 0.3 reset", {"value": 0.3, "reset": True}),
    *each("/maxtokens", "value", 256, 512, 1024, 0, 300, -1),
    ("/maxtokens reset", {"reset": True}),
    *each("/memory", "value", *range(-1, 12), 10**20),
    ("/memory reset", {"reset": True}),
    *each("/system", "text", "Be brief.", "Be\nbrief.", "two  spaces", " around ", "reset", "bell\x07"),
    *each("/system", "text", "x" * 2000, "x" * 2001, "   "),
    ("/system reset", {"reset": True}),
    *each("/lang", "language", "en", "vi", "auto", "xx"),
    *each("/lang reply", "reply", "en", "vi", "auto", "reset", "xx"),
    ("/lang vi reply en", {"language": "vi", "reply": "en"}),
    ("/lang xx reply en", {"language": "xx", "reply": "en"}),
    ("/lang", {}),
    *each("/filter", "level", "off", "standard", "strict", "reset", "loud"),
    *(
        pair
        for verb in ("add", "allow", "remove", "test")
        for pair in each(f"/filter {verb}", verb, "banana", "a b", "")
    ),
    ("/filter list", {"list": True}),
    ("/filter", {"list": False}),
    ("/filter strict add banana", {"level": "strict", "add": "banana"}),
    ("/filter add banana list", {"add": "banana", "list": True}),
    *each("/help", "command", "temp", "nope"),
    ("/stop", {"unknown": 1}),
]


async def carried_out(store: DatabaseStore, text: str, options: Options, chat: ChatId) -> object:
    """What is said or refused, and what the conversation has then."""
    call = command_call(text, options=options, chat=chat)
    said: object
    try:
        async with store.begin() as tx:
            said = await call.command.handler(call, tx)
            assert isinstance(said, Outcome)
    except Refused as refused:
        said = refused.key, refused.values
    async with store.begin() as tx:
        return said, RULES.settings(await tx.preferences.settings(chat)), await tx.preferences.language("fake", "ann")


async def test_typed_values_equal_typed_text(store: DatabaseStore) -> None:
    chats = (ChatId("fake", str(number)) for number in itertools.count(100))
    for text, options in SAME:
        typed, written = [await carried_out(store, text, given, next(chats)) for given in (options, {})]
        assert typed == written, (text, options)


def test_every_option_is_in_the_table() -> None:
    used = {(text.split()[0][1:], name) for text, options in SAME for name in options}
    every = {(command.name, option.name) for command in COMMANDS for option in command.options}
    assert every - {("ask", "question")} <= used, "with an argument /ask is no command"


@each_row(("text", "options"), [(text, options) for text, options in SAME if len(options) == 1])
def test_one_typed_value_stays_as_it_is(text: str, options: Options) -> None:
    command = find(text.split(maxsplit=1)[0][1:])
    assert command
    arguments = command.arguments("what is written counts for nothing", options)
    [(name, value)] = options.items()
    if value is False or name == "unknown" or not str(value).strip():
        assert arguments == command.arguments("what is written counts for nothing", {})
    else:
        assert arguments[name] is value and len(arguments) == 1


@each_row(
    ("name", "text", "arguments"),
    [
        ("temp", "", {}),
        ("temp", "0,3", {"value": "0,3"}),
        ("temp", "reset", {"reset": True}),
        ("temp", "RESET", {"reset": True}),
        ("temp", "reset it", {"value": "reset it"}),
        ("system", "reset the clock", {"text": "reset the clock"}),
        ("system", "two  spaces\nand a line", {"text": "two  spaces\nand a line"}),
        ("lang", "vi", {"language": "vi"}),
        ("lang", "vi reply en", {"language": "vi", "reply": "en"}),
        ("lang", "vi\nREPLY  en", {"language": "vi", "reply": "en"}),
        ("lang", "reply", {"reply": ""}),
        ("lang", "Reply vi", {"reply": "vi"}),
        ("lang", "vi nonsense", {"language": "vi nonsense"}),
        ("filter", "add", {"add": ""}),
        ("filter", "ADD a b", {"add": "a b"}),
        ("filter", "list", {"list": True}),
        ("filter", "list all", {"list": "all"}),
        ("filter", "strict", {"level": "strict"}),
        ("filter", "strict please", {"level": "strict please"}),
        ("filter", "strict add a", {"level": "strict", "add": "a"}),
        ("stop", "it", {}),
    ],
)
def test_a_written_argument_by_its_options(name: str, text: str, arguments: Options) -> None:
    command = find(name)
    assert command and read_options(command.options, text) == arguments


def test_numbers_have_options_for_numbers() -> None:
    kinds = {command.name: command.options[0].kind for command in COMMANDS if command.changes_settings}
    assert kinds == {"temp": Kind.NUMBER, "maxtokens": Kind.INTEGER, "memory": Kind.INTEGER, "system": Kind.TEXT}
