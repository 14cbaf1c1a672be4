"""Who may stop, retry and change: every role in private chats and groups, for askers and others."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from core.commands.button_payloads import ActionPayload, FormPayload, OpenFormPayload, SettingPayload
from core.commands.buttons import ButtonActions
from core.commands.press import Press
from core.commands.role_lookup import RoleLookup
from core.commands.services import CommandServices
from core.commands.settings_view import setting_revision
from core.delivery.reply_control import ReplyControl
from core.domain.conversation import Author, ChatId, Chunk, Incoming, Question, Reply, Role
from core.domain.errors import Refused
from core.domain.permissions import Access, has_asked, is_asker, may_change
from core.domain.platform import ButtonAction, ChatIdChanged, NotSent, Unreachable
from core.domain.reply_states import Lane, State
from core.domain.store import Store, Transaction
from core.i18n.person_language import PersonLanguages
from tests.conftest import RULES
from tests.core.commands.calls import check_made, command_call
from tests.fakes import FakePlatform, OpenFilter
from tests.tables import each_row

ASKER, AGAIN, OTHER = Author("asker", "Asker"), Author("again", "Again"), Author("other", "Other")
"""Who asked, who had it answered again, and somebody else."""
HERE = ChatId("fake", "here")
QUESTION = Question(7, "why?", ASKER)
ANSWER = Reply(
    1, HERE, False, 1, Lane.ANSWER, State.GENERATING, 1, AGAIN, "why?", "bot", "m:1", 1,
    question=7, asker=ASKER, chunks=(Chunk("n", "8"),),
)  # fmt: skip

EVERYBODY = list(itertools.product(Role, (True, False), (ASKER, AGAIN, OTHER)))
MAY_CHANGE = {
    (Role.MEMBER, True): True, (Role.MEMBER, False): False, (Role.ADMIN, True): True, (Role.ADMIN, False): True,
    (Role.OWNER, True): True, (Role.OWNER, False): True,
}  # fmt: skip
IS_ASKER = {ASKER: True, AGAIN: True, OTHER: False}

who = each_row(("role", "private", "author"), EVERYBODY)


@who
def test_the_rules(role: Role, private: bool, author: Author) -> None:
    assert may_change(private, role) is MAY_CHANGE[role, private]
    assert is_asker(ANSWER, author) is IS_ASKER[author]
    assert has_asked(QUESTION, author) is (author is ASKER)
    assert not is_asker(replace(ANSWER, asker=None), ASKER)


def allowed(text: str, role: Role, private: bool) -> bool:
    try:
        check_made(command_call(text, role=role, private=private))
    except Refused:
        return False
    return True


@each_row(("role", "private"), list(MAY_CHANGE))
def test_who_may_give_a_command(role: Role, private: bool) -> None:
    for text in ("/clear", "/new", "/temp 0", "/temp reset", "/maxtokens 256", "/memory 1", "/system x"):
        assert allowed(text, role, private) is MAY_CHANGE[role, private], text
    for text in ("/temp", "/memory", "/settings", "/stop", "/undo", "/help", "/lang vi", "/filter strict"):
        assert allowed(text, role, private), "looking is free, the rest its handler checks"


class World:
    """A conversation with one answer, and what was done with it."""

    def __init__(self, state: State, role: Role, private: bool) -> None:
        self.answer = replace(ANSWER, state=state, private=private)
        self.role, self.private = role, private
        self.done = False

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        yield cast(Transaction, SimpleNamespace(replies=self, messages=self, turns=self, preferences=self))

    async def find(self, reply_id: int) -> Reply:
        return self.answer

    async def exists(self, *where: str) -> bool:
        return True

    async def open_answers(self, chat: ChatId) -> list[Reply]:
        return [self.answer] if self.answer.state.open else []

    async def move(self, reply: Reply, event: object, *, final: str | None = None) -> Reply:
        self.done = True
        return reply

    async def last_question(self, chat: ChatId) -> Question:
        return QUESTION

    async def answer_to(self, question: int) -> None:
        return None

    async def is_truncated(self, question: int) -> bool:
        return True

    async def become_answer(self, reply: Reply, question: Question, *, goes_on: bool = False) -> None:
        self.done = True

    async def delete_pair(self, question: int) -> None:
        self.done = True

    async def settings(self, chat: ChatId) -> dict[str, object]:
        return {}

    async def language(self, platform: str, user: str) -> str:
        return "en"

    async def set(self, *setting: object) -> None:
        self.done = True

    async def delete(self, *setting: object) -> None:
        self.done = True

    async def stop(self, reply: Reply) -> None:
        self.done = True

    async def accept(self, incoming: Incoming) -> None:
        self.done = True

    async def given(self, text: str, author: Author) -> bool:
        """Whether a command does something."""
        call = command_call(text, author=author, chat=HERE, private=self.private, role=self.role)
        try:
            async with self.begin() as tx:
                await call.command.handler(call, tx)
        except Refused:
            assert not self.done
        return self.done

    async def pressed(self, payload: object, author: Author) -> bool:
        """Whether a press does something, or opens the form."""
        access = Access(owners=frozenset({author.id}) if self.role is Role.OWNER else frozenset())
        platform = FakePlatform()
        platform.admins = {author.id} if self.role is Role.ADMIN else set()
        services = CommandServices(
            cast(Store, self), cast(ReplyControl, self), RoleLookup({"fake": platform}, access),
            PersonLanguages(cast(Store, self)), RULES, OpenFilter(),
            lambda: 0,
        )  # fmt: skip
        buttons = ButtonActions(services, self.accept)
        press = Press("p", HERE, "8", author, self.private, "bot", 0, payload)  # type: ignore[arg-type]
        result = await buttons.press(replace(press, value="5"), "en")
        assert (self.done or result.form is not None) is not result.alert, result.text
        return not result.alert


@who
async def test_who_may_stop(role: Role, private: bool, author: Author) -> None:
    setter, asker = MAY_CHANGE[role, private], IS_ASKER[author]
    stop = ActionPayload(ButtonAction.STOP, 1)
    assert await World(State.GENERATING, role, private).given("/stop", author) is (setter or asker)
    assert await World(State.QUEUED, role, private).given("/stop", author) is asker, "others' questions stay"
    for state in (State.GENERATING, State.QUEUED):
        assert await World(state, role, private).pressed(stop, author) is (setter or asker)


@who
async def test_who_may_repeat_and_take_back(role: Role, private: bool, author: Author) -> None:
    expected = MAY_CHANGE[role, private] or author is ASKER
    for text in ("/retry", "/continue", "/undo"):
        assert await World(State.DONE, role, private).given(text, author) is expected, text
    for action in (ButtonAction.RETRY, ButtonAction.CONTINUE):
        assert await World(State.DONE, role, private).pressed(ActionPayload(action, 1), author) is expected, action


@who
async def test_who_may_change_settings(role: Role, private: bool, author: Author) -> None:
    expected = MAY_CHANGE[role, private]
    for text in ("/lang reply vi", "/filter strict", "/filter add word", "/filter allow word"):
        assert await World(State.DONE, role, private).given(text, author) is expected, text
    memory, system = (setting_revision(HERE, RULES.settings({}), name) for name in ("memory", "system"))
    for payload in (SettingPayload("memory", "5", memory), OpenFormPayload(system), FormPayload(system)):
        assert await World(State.DONE, role, private).pressed(payload, author) is expected, payload


PLATFORM_SAYS = {"admin": Role.ADMIN, "member": Role.MEMBER}


@each_row("id", list(PLATFORM_SAYS))
async def test_roles_are_asked_of_the_platform(id: str) -> None:
    platform = FakePlatform()
    platform.admins = {"admin"}
    person = Author(id, id)
    lookup = RoleLookup({"fake": platform}, Access())
    assert await lookup.role(HERE, person, False) is PLATFORM_SAYS[id]
    platform.fails = NotSent()
    assert await lookup.role(HERE, person, False, matters=False) is Role.MEMBER, "nor where nothing depends on it"
    assert await lookup.role(HERE, person, True) is Role.ADMIN, "in private nobody is asked"
    with pytest.raises(Refused, match=r"error\.role"):
        await lookup.role(HERE, person, False)
    for failure in (Unreachable(), ChatIdChanged("there")):
        platform.fails = failure
        with pytest.raises(type(failure)):
            await lookup.role(HERE, person, False)


async def test_an_owner_is_owner_everywhere() -> None:
    lookup = RoleLookup({"fake": FakePlatform()}, Access(owners=frozenset({"fake:other"})))
    for private in (True, False):
        assert await lookup.role(HERE, OTHER, private) is Role.OWNER
        assert await lookup.role(HERE, OTHER, private, matters=False) is Role.OWNER
