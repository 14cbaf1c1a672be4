"""A claimed command is executed once, and what follows from it is done, whatever the database does meanwhile."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from core.answering.assistant import Assistant
from core.commands.executor import CommandExecutor
from core.commands.role_lookup import RoleLookup
from core.commands.services import CommandServices
from core.delivery.button_cleanup import ButtonCleanup
from core.delivery.rate_limiter import ChatRateLimiter
from core.delivery.reply_control import ReplyControl
from core.domain.conversation import Author, ChatId, OptionValue, Reply
from core.domain.permissions import Access
from core.domain.platform import NotSent
from core.domain.reply_states import Lane, ReplyEvent, State
from core.domain.store import Stale, Store, Transaction, Unavailable
from core.i18n import t
from core.i18n.person_language import PersonLanguages
from core.runtime.retry import Backoff
from storage.store import DatabaseStore, now_ms
from tests.conftest import EVERYBODY, RULES
from tests.fakes import ANN, BOB, CHAT, FakeModel, FakePlatform, OpenFilter, claim_next, incoming, owe
from tests.tables import each_row

GROUP = ChatId("fake", "group")
AT_ONCE = Backoff(least_s=0.001, most_s=0.001)


class DoubtfulStore:
    """Its next commit is answered with an error: `stored` or not."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.loses: bool | None = None
        """Whether the commit that is lost was stored; None loses none."""

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        lost: bool | None = None
        async with self._store.begin() as tx:
            yield tx
            lost, self.loses = self.loses, None
            if lost is False:
                raise Unavailable("before it was stored")
        if lost:
            raise Unavailable("after it was stored")


class WatchedControl(ReplyControl):
    """Notes what is asked of it."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.halted: list[int] = []
        self.withdrawn: list[int] = []
        self.stopped: list[int] = []

    async def stop(self, reply: Reply) -> None:
        self.stopped.append(reply.id)

    async def wait_for_outcome(self, reply: Reply) -> Reply:
        return reply

    def halt(self, reply_id: int) -> None:
        self.halted.append(reply_id)

    def cancelled(self, reply: Reply) -> None:
        assert reply.state is State.SENDING, "of others nothing is to be shown"
        self.withdrawn.append(reply.id)


class WatchedCleanup(ButtonCleanup):
    """Notes what it is told."""

    def __init__(self, platform: FakePlatform) -> None:
        super().__init__({"fake": platform}, ChatRateLimiter())
        self.deleted: list[int] = []

    def note_deleted(self, question: int) -> None:
        self.deleted.append(question)


@dataclass
class Executing:
    """An executor on a real store, with claimed commands."""

    store: DatabaseStore
    doubtful: DoubtfulStore = field(init=False)
    control: WatchedControl = field(init=False)
    platform: FakePlatform = field(default_factory=FakePlatform)
    access: Access = EVERYBODY
    released: int = 0

    def __post_init__(self) -> None:
        self.doubtful = DoubtfulStore(self.store)
        self.control = WatchedControl(self.doubtful)
        self.model, self.cleanup = FakeModel(), WatchedCleanup(self.platform)
        self.assistant = Assistant(self.doubtful, self.model, RULES, OpenFilter())
        self.languages = PersonLanguages(self.doubtful)
        roles = RoleLookup({"fake": self.platform}, self.access)
        services = CommandServices(self.doubtful, self.control, roles, self.languages, RULES, OpenFilter(), now_ms)
        self.executor = CommandExecutor(services, self.assistant, self.cleanup, bot_name="Botty", backoff=AT_ONCE)

    async def queue(self, text: str, author: Author = ANN, chat: ChatId = CHAT, *, lane: Lane = Lane.NOTICE) -> Reply:
        async with self.store.begin() as tx:
            reply = await owe(tx, incoming(text, author, chat, private=chat == CHAT), lane)
        assert reply
        return reply

    async def claim(self, text: str, author: Author = ANN, chat: ChatId = CHAT, *, lane: Lane = Lane.NOTICE) -> Reply:
        await self.queue(text, author, chat, lane=lane)
        async with self.store.begin() as tx:
            reply = await claim_next(tx, lane)
        assert reply and reply.text == text
        return reply

    async def carry_out(self, reply: Reply, options: Mapping[str, OptionValue] | None = None) -> Reply:
        return (await self.executor.carry_out(replace(reply, options=options or {}), self.release)).reply

    async def answered(self, text: str) -> Reply:
        """A question that is answered."""
        reply = await self.claim(text, lane=Lane.ANSWER)
        async with self.store.begin() as tx:
            await tx.turns.save_answer(reply, text)
            await tx.replies.move(
                await tx.replies.move(reply, ReplyEvent.FINISH, outcome=State.DONE, final=text), ReplyEvent.DELIVER
            )
        return reply

    def release(self) -> None:
        self.released += 1


@pytest.fixture
def executing(store: DatabaseStore) -> Executing:
    return Executing(store)


async def test_a_command_ends_in_its_text(executing: Executing) -> None:
    reply = await executing.carry_out(await executing.claim("/start"))
    assert (reply.state, reply.outcome) == (State.SENDING, State.DONE)
    assert reply.final and "Botty" in reply.final and not executing.released


async def test_typed_values_reach_the_handler(executing: Executing) -> None:
    reply = await executing.carry_out(await executing.claim("/temp 0.3"), {"value": 0.4})
    assert reply.final and "0.7 → 0.4" in reply.final


@each_row("text", ["/clear", ""])
async def test_who_is_not_admitted_any_more_is_told_so(store: DatabaseStore, text: str) -> None:
    """The lists became stricter while the command waited; "" is how strangers' messages were stored before."""
    executing = Executing(store, access=Access(users=frozenset({"somebody else"})))
    reply = await executing.carry_out(await executing.claim(text))
    assert (reply.outcome, reply.final) == (State.REFUSED, t("en", "refused.access", user=f"fake:{ANN.id}"))


async def test_a_refusal_is_the_text(executing: Executing) -> None:
    reply = await executing.carry_out(await executing.claim("/temp 7"))
    assert (reply.state, reply.outcome, reply.final) == (State.SENDING, State.REFUSED, t("en", "bad.temperature"))


async def test_a_bug_is_an_apology(executing: Executing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeModel, "status", lambda model: 1 / 0)
    reply = await executing.carry_out(await executing.claim("/status"))
    assert reply.outcome is State.FAILED and reply.final


@pytest.mark.parametrize("stored", [True, False])
async def test_a_lost_commit_changes_nothing(executing: Executing, stored: bool) -> None:
    """Carried out a second time, "0.7 → 0" would be "stays at 0"."""
    reply = await executing.claim("/temp 0")
    executing.doubtful.loses = stored
    reply = await executing.carry_out(reply)
    assert reply.final and "0.7 → 0" in reply.final


@pytest.mark.parametrize("stored", [True, False, pytest.param(None, marks=pytest.mark.slow)])
async def test_what_follows_a_lost_commit_is_done(executing: Executing, stored: bool | None) -> None:
    """What is withdrawn is shown only by who knows that it is stored: else by the sweep."""
    running = await executing.claim("one", lane=Lane.ANSWER)
    async with executing.store.begin() as tx:
        waiting = await owe(tx, replace(incoming("two"), reply_token="1::key"), Lane.ANSWER)
    assert waiting
    command = await executing.claim("/stop")
    executing.doubtful.loses = stored
    reply = await executing.carry_out(command)
    assert reply.final == t("en", "stop.queued", count=1)
    assert set(executing.control.halted) == {running.id}
    assert executing.control.withdrawn == ([] if stored else [waiting.id])
    async with executing.store.begin() as tx:
        assert (await tx.replies.get(waiting.id)).state is State.SENDING


async def test_what_is_refused_has_no_follow_up(executing: Executing) -> None:
    await executing.claim("one", BOB, GROUP, lane=Lane.ANSWER)
    reply = await executing.carry_out(await executing.claim("/clear", ANN, GROUP))
    assert reply.final == t("en", "refused.admins")
    assert not (executing.control.halted or executing.control.withdrawn or executing.control.stopped)


async def test_a_running_answer_is_stopped_first(executing: Executing) -> None:
    running = await executing.claim("one", lane=Lane.ANSWER)
    await executing.carry_out(await executing.claim("/retry"))
    assert executing.control.stopped == [running.id]
    assert executing.released == 1, "that may take long"


async def test_a_retry_that_became_an_answer_by_a_lost_commit_is_not_this_workers(executing: Executing) -> None:
    question = await executing.answered("one")
    first, second = await executing.claim("/retry"), await executing.queue("/start")
    reply = await executing.carry_out(first)
    assert (reply.state, reply.lane, reply.question) == (State.QUEUED, Lane.ANSWER, question.question)
    assert second.id != reply.id
    async with executing.store.begin() as tx:
        answer = await claim_next(tx)
    assert answer and answer.id == first.id and answer.attempt > first.attempt
    executing.doubtful.loses = False
    with pytest.raises(Stale):
        await executing.carry_out(first)
    assert not executing.control.stopped, "it would have stopped the answer that it became"


@pytest.mark.slow
async def test_everybody_learns_what_a_command_did(executing: Executing) -> None:
    question = (await executing.answered("one")).question
    assert await executing.languages.of(CHAT.platform, ANN) == "en"
    for text, deleted, language, dropped in [
        ("/lang vi", [], "vi", []), ("/undo", [question], "vi", []), ("/clear", [question], "vi", [str(CHAT)]),
    ]:  # fmt: skip
        done = await executing.carry_out(await executing.claim(text))
        async with executing.store.begin() as tx:
            await tx.replies.move(done, ReplyEvent.DELIVER)
        assert (executing.cleanup.deleted, executing.model.dropped) == (deleted, dropped)
        assert await executing.languages.of(CHAT.platform, ANN) == language


async def test_only_the_asker_and_admins_stop_what_runs(executing: Executing) -> None:
    await executing.claim("one", BOB, GROUP, lane=Lane.ANSWER)
    reply = await executing.carry_out(await executing.claim("/undo", ANN, GROUP))
    assert reply.final == t("en", "undo.others") and not executing.control.stopped
    executing.platform.fails = NotSent()
    reply = await executing.carry_out(await executing.claim("/undo", ANN, GROUP))
    assert reply.final == t("en", "error.role")
    assert (await executing.carry_out(await executing.claim("/temp", ANN, GROUP))).final, "looking needs no role"
