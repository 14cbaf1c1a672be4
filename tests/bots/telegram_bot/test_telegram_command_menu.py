"""Menus: who is offered what, within Telegram's limits, and no call for what is there already."""

import logging
import re
from collections.abc import Sequence

import pytest
from telegram import BotCommand, BotCommandScope, BotDescription, BotShortDescription
from telegram.error import InvalidToken, NetworkError

from bots.telegram_bot.command_menu import LANGUAGES, SCOPES, Scope, menu, publish_menus
from core.commands.registry import COMMANDS
from core.i18n import t
from tests.tables import each_row

MEMBERS = {"filter", "ask", "help", "stop", "retry", "continue", "undo", "settings", "status", "lang", "whoami"}


class FakeAccount:
    """Keeps what is set, as Telegram does; fails at the call after `lasts` others. `described`: whether it knows the
    calls for descriptions, which older Bot API servers don't."""

    def __init__(self, lasts: int = 1000, *, described: bool = True) -> None:
        self.described = described
        self.commands: dict[tuple[str, str | None], tuple[BotCommand, ...]] = {}
        self.descriptions: dict[str | None, str] = {}
        self.shorts: dict[str | None, str] = {}
        self.sets = 0
        self.lasts = lasts

    def _called(self, *, sets: bool = False) -> bool:
        if not self.lasts:
            raise NetworkError("https://api.telegram.org/bot123:SECRET/getMyCommands")
        self.lasts -= 1
        self.sets += sets
        return True

    async def get_my_commands(
        self, scope: BotCommandScope | None = None, language_code: str | None = None
    ) -> tuple[BotCommand, ...]:
        self._called()
        return self.commands.get((scope.type if scope else "", language_code), ())

    async def set_my_commands(
        self,
        commands: Sequence[tuple[str, str]],
        scope: BotCommandScope | None = None,
        language_code: str | None = None,
    ) -> bool:
        self.commands[scope.type if scope else "", language_code] = tuple(BotCommand(*command) for command in commands)
        return self._called(sets=True)

    async def get_my_description(self, language_code: str | None = None) -> BotDescription:
        self._called()
        if not self.described:
            raise InvalidToken("Not Found")
        return BotDescription(self.descriptions.get(language_code, ""))

    async def set_my_description(self, description: str | None = None, language_code: str | None = None) -> bool:
        self.descriptions[language_code] = description or ""
        return self._called(sets=True)

    async def get_my_short_description(self, language_code: str | None = None) -> BotShortDescription:
        self._called()
        return BotShortDescription(self.shorts.get(language_code, ""))

    async def set_my_short_description(
        self, short_description: str | None = None, language_code: str | None = None
    ) -> bool:
        self.shorts[language_code] = short_description or ""
        return self._called(sets=True)


@each_row(
    ("scope", "names"),
    [
        ("all_private_chats", {command.name for command in COMMANDS}),
        ("all_group_chats", MEMBERS),
        ("all_chat_administrators", MEMBERS | {"temp", "maxtokens", "memory", "system", "clear"}),
    ],
)
def test_people_are_offered_what_they_may_use(scope: Scope, names: set[str]) -> None:
    for language in LANGUAGES:
        offered = [name for name, _ in menu(scope, language)]
        assert set(offered) == names and len(offered) == len(names)


def test_the_scopes_are_telegrams() -> None:
    assert {name: scope.type for name, scope in SCOPES.items()} == {name: name for name in SCOPES}


@each_row("language", LANGUAGES)
def test_the_limits_are_kept(language: str) -> None:
    for scope in SCOPES:
        offered = menu(scope, language)
        assert 0 < len(offered) <= 100
        for name, description in offered:
            assert re.fullmatch("[a-z0-9_]{1,32}", name)
            assert 1 <= len(description) <= 256 and "`" not in description
    assert 0 < len(t(language or "en", "profile.description")) <= 512
    assert 0 < len(t(language or "en", "profile.short")) <= 120


def test_vietnamese_is_not_english() -> None:
    assert dict(menu("all_private_chats", "vi"))["help"] != dict(menu("all_private_chats", ""))["help"]


async def test_everything_is_set_once() -> None:
    bot = FakeAccount()
    assert await publish_menus(bot) == bot.sets == len(LANGUAGES) * (len(SCOPES) + 2)
    assert await publish_menus(bot) == 0
    assert bot.sets == 10
    assert set(bot.commands) == {(scope, language) for scope in SCOPES for language in LANGUAGES}
    assert bot.descriptions == {"": t("en", "profile.description"), "vi": t("vi", "profile.description")}
    assert bot.shorts == {"": t("en", "profile.short"), "vi": t("vi", "profile.short")}


async def test_only_what_differs_is_sent() -> None:
    bot = FakeAccount()
    await publish_menus(bot)
    bot.commands["all_group_chats", "vi"] = bot.commands["all_group_chats", "vi"][1:]
    bot.shorts[""] = "old"
    assert await publish_menus(bot) == 2
    assert await publish_menus(bot) == 0


async def test_a_server_without_a_method_gets_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    """Both languages; and nobody reads that a token is invalid."""
    bot = FakeAccount(described=False)
    with caplog.at_level(logging.WARNING):
        assert await publish_menus(bot) == len(LANGUAGES) * (len(SCOPES) + 1)
    assert set(bot.shorts) == set(LANGUAGES) and bot.descriptions == {}
    assert caplog.messages == ["this Bot API server has no description of the bot; the rest of the menus is tried"]


@each_row("lasts", [0, 1, 7])
async def test_a_failure_is_one_line_without_its_words(lasts: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert await publish_menus(FakeAccount(lasts)) == lasts // 2
    assert [record.getMessage() for record in caplog.records] == ["menus not updated: NetworkError"]
