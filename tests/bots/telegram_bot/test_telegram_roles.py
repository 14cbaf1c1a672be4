"""Roles: asked of Telegram, kept for a minute, and who needs no asking."""

import pytest
from telegram import ChatMember, ChatMemberAdministrator, ChatMemberMember, ChatMemberOwner, User
from telegram.error import BadRequest, Forbidden, TimedOut

from bots.telegram_bot.roles import ROLE_LIFETIME_S, ChatRoles
from core.domain.conversation import Author, ChatId, Role
from core.domain.platform import Ambiguous, DeliveryError, Unreachable
from tests.tables import each_row

GROUP = ChatId("telegram", "-100")
ANN = User(1, "Ann", False)


class Asked:
    """A bot that is asked for members."""

    def __init__(self) -> None:
        self.answer: ChatMember | Exception = ChatMemberMember(ANN)
        self.count = 0

    async def get_chat_member(self, chat_id: int, user_id: int) -> ChatMember:
        self.count += 1
        assert (chat_id, user_id) == (-100, 1)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


ADMIN = ChatMemberAdministrator(ANN, False, False, False, False, False, False, False, False, False, False, False, False)


@each_row(
    ("member", "role"),
    [
        (ChatMemberOwner(ANN, False), Role.ADMIN),
        (ADMIN, Role.ADMIN),
        (ChatMemberMember(ANN), Role.MEMBER),
        (BadRequest("User not found"), Role.MEMBER),
        (BadRequest("PARTICIPANT_ID_INVALID"), Role.MEMBER),
    ],
    ids=str,
)
async def test_roles(member: ChatMember | Exception, role: Role) -> None:
    bot = Asked()
    bot.answer = member
    assert await ChatRoles(bot).role(GROUP, Author("1", "Ann")) is role


async def test_an_answer_holds_for_a_minute() -> None:
    bot, now = Asked(), [0.0]
    members = ChatRoles(bot, lambda: now[0])
    assert await members.role(GROUP, Author("1", "Ann")) is Role.MEMBER
    bot.answer = ADMIN
    now[0] = ROLE_LIFETIME_S - 1
    assert await members.role(GROUP, Author("1", "Ann")) is Role.MEMBER and bot.count == 1
    now[0] = ROLE_LIFETIME_S + 1
    assert await members.role(GROUP, Author("1", "Ann")) is Role.ADMIN and bot.count == 2


@each_row(("error", "kind"), [(TimedOut(), Ambiguous), (Forbidden("kicked"), Unreachable)])
async def test_what_telegram_can_not_tell_nobody_is(error: Exception, kind: type[DeliveryError]) -> None:
    bot = Asked()
    bot.answer = error
    members = ChatRoles(bot)
    with pytest.raises(kind):
        await members.role(GROUP, Author("1", "Ann"))
    bot.answer = ADMIN
    assert await members.role(GROUP, Author("1", "Ann")) is Role.ADMIN, "a failure is not kept"


async def test_who_speaks_for_the_group_is_its_admin_and_a_channel_is_not() -> None:
    bot = Asked()
    members = ChatRoles(bot)
    assert await members.role(GROUP, Author("-100", "Friends")) is Role.ADMIN
    assert await members.role(GROUP, Author("-200", "Ann's channel")) is Role.MEMBER
    assert bot.count == 0
