"""The commands as Discord is told of them, and what is read of one that was given. Without a server."""

from types import SimpleNamespace
from typing import Any

from bots.discord_bot.api import Payload
from bots.discord_bot.command_menu import fingerprint, menu
from bots.discord_bot.gateway import FOR_PEOPLE, FOR_SERVERS
from bots.discord_bot.slash_commands import is_foreign, menu_target
from tests.tables import each_row


def test_the_menu_fits_discord() -> None:
    assert len(menu()) <= 100 and all(len(str(command.get("description", ""))) <= 100 for command in menu())


def test_commands_carry_their_bounds_their_languages_and_whose_they_are() -> None:
    commands = {command["name"]: command for command in menu()}
    assert commands["clear"]["default_member_permissions"] == str(1 << 4), "Manage Channels"
    assert commands["ask"]["default_member_permissions"] is None
    assert commands["ask"]["options"][0]["max_length"] == 6000
    assert all(command["name_localizations"]["vi"] for command in commands.values())


def test_another_menu_has_another_fingerprint() -> None:
    assert fingerprint(menu()) == fingerprint(menu([FOR_SERVERS, FOR_PEOPLE])) != fingerprint(menu([FOR_SERVERS]))


@each_row(
    ("known", "installed", "foreign"),
    [(True, True, False), (True, False, True), (False, True, True), (False, False, True)],
)
def test_which_servers_are_foreign(known: bool, installed: bool, foreign: bool) -> None:
    """Where the bot is not, and where only the person who asks has brought it."""
    client = SimpleNamespace(get_guild=lambda number: number if known else None)
    interaction: Any = SimpleNamespace(guild_id=1, client=client, is_guild_integration=lambda: installed)
    assert is_foreign(interaction) is foreign


@each_row(
    ("message", "text"),
    [
        ({"content": " the sky "}, "the sky"),
        ({"content": "", "message_snapshots": [{"message": {"content": "passed on"}}]}, "passed on"),
        ({"content": "", "message_snapshots": [{"message": {}}]}, ""),
    ],
)
def test_what_a_menu_was_opened_on(message: Payload, text: str) -> None:
    data = {"target_id": "5", "resolved": {"messages": {"5": message}}}
    interaction: Any = SimpleNamespace(data=data)
    assert menu_target(interaction) == (5, text)
