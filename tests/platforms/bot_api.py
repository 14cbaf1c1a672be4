"""A Bot API server on the loopback: real HTTP, Telegram's answers and limits, faults by script, a ledger of effects."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.platforms.bot_api_chats import BOT, Chat, Person, chat_ids
from tests.platforms.bot_api_checks import Refusal, bad, check_commands, complaints, decoded
from tests.platforms.bot_api_presses import Answer, Pressed
from tests.platforms.bot_api_queue import Conflict, Queue
from tests.platforms.bot_api_rich import read_rich
from tests.platforms.chaos import Chaos
from tests.platforms.faults import ANY_CALL, FaultKind, check_fault

TOKEN = "123456789:AAE-canary-token-that-no-log-may-show_0"
A_MINUTE = 20
COUNTED = ("sendMessage", "sendRichMessage", "editMessageText", "editMessageReplyMarkup")
"""Calls that a group may get so many of in a minute."""
FAULTS = {**ANY_CALL, FaultKind.ERROR: frozenset({"code", "description", "parameters"})}
OF_POLLS = {FaultKind.DUPLICATE: frozenset[str](), FaultKind.REORDER: frozenset[str]()}


@dataclass(frozen=True, slots=True)
class Effect:
    """A call as it ended. `refused` is why it had no effect, "" where it had."""

    at: float
    method: str
    chat: int | None
    message: int | None
    values: dict[str, Any]
    refused: str


@dataclass(slots=True)
class Fault:
    """What happens to the next calls of a method."""

    kind: FaultKind
    method: str
    times: int
    chat: int | None = None
    code: int = 0
    description: str = ""
    seconds: float = 0.0
    gate: asyncio.Event | None = None
    parameters: dict[str, Any] = field(default_factory=dict)


class BotApi:
    """The server. Tests act through people and chats, and look at `ledger`, `violations` and the chats."""

    def __init__(self, clock: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self.url = ""
        self.token = TOKEN
        self.queue = Queue(clock, monotonic)
        self._monotonic = monotonic
        self.chats: dict[int, Chat] = {}
        self.ledger: list[Effect] = []
        self.violations: list[str] = []
        self.faults: list[Fault] = []
        self._chaos: Chaos | None = None
        self.commands: dict[tuple[str, str], list[dict[str, str]]] = {}
        self.profile: dict[tuple[str, str], str] = {}
        self.changes = 0
        """Calls that changed commands or profile."""
        self.a_minute = A_MINUTE
        """Sends and edits in a group."""
        self.rich_refusal = ""
        """Why rich messages are refused, in the server's words."""
        self._answers: dict[str, asyncio.Future[Answer]] = {}
        self.unheard = 0.0
        """Seconds from a penalty's beginning in which a call may be under way that could not know of it."""
        self.penalties: dict[int, tuple[float, float]] = {}
        """From when, and until when."""
        self._people = itertools.count(1001)
        self._ids = chat_ids()
        self._closing = asyncio.Event()

    # What tests set up

    def person(self, name: str, language: str = "en") -> Person:
        """A new account."""
        return Person(next(self._people), name, language)

    def private(self, person: Person) -> Chat:
        """A person's chat with the bot."""
        chat = Chat(person.id, "private", self.queue, self._ids, first_name=person.name, language=person.language)
        return self.chats.setdefault(person.id, chat)

    def group(self, *members: Person, admins: tuple[Person, ...] = (), kind: str = "supergroup", forum: bool = False,
              privacy: bool = True) -> Chat:  # fmt: skip
        """A group with the bot in it."""
        id = (-1_000_000_000_000 if kind == "supergroup" else 0) - next(self._people)
        ids = chat_ids() if kind == "supergroup" else self._ids
        chat = self.chats[id] = Chat(
            id, kind, self.queue, ids, title="Friends", **({"is_forum": True} if forum else {})
        )
        chat.members = {person.id: "member" for person in members} | {person.id: "administrator" for person in admins}
        chat.privacy = privacy
        return chat

    def upgrade(self, group: Chat) -> Chat:
        """A group becomes a supergroup."""
        new = self.group(kind="supergroup")
        new.members, group.successor = group.members, new.id
        person = Person(next(iter(group.members)), "Ann")
        group.privacy = new.privacy = False
        group.service(person, migrate_to_chat_id=new.id)
        new.service(person, migrate_from_chat_id=group.id)
        return new

    def fault(self, kind: FaultKind, method: str, times: int = 1, *, chat: int | None = None, **options: Any) -> None:
        """The next `times` calls of a method meet it. Raises ValueError where they can't."""
        if not hasattr(self, f"_{method}"):
            raise ValueError(f"no method {method}")
        check_fault(kind, options, FAULTS | OF_POLLS if method == "getUpdates" else FAULTS)
        self.faults.append(Fault(kind, method, times, chat, **options))

    def meet(self, chaos: Chaos | None) -> None:
        """Faults at random, for calls that no script has one for. Raises ValueError where calls can't meet them."""
        if chaos:
            chaos.check(FAULTS)
        self._chaos = chaos

    def press(self, person: Person, chat: Chat, label: str = "", *, data: str = "", message: int = 0) -> Pressed:
        """Press a button of the newest message that has it, or send data that no button has."""
        shown = [each for each in chat.messages if each.id == message or (not message and each.keyboard)]
        if not data:
            data = next(
                button["callback_data"]
                for each in reversed(shown)
                for row in each.keyboard
                for button in row
                if button["text"].startswith(label)
            )
            message = next(each.id for each in reversed(shown) if any(b.startswith(label) for b in each.buttons))
        id = str(next(self._people))
        self._answers[id] = asyncio.get_running_loop().create_future()
        content = {"id": id, "from": person.user, "chat_instance": "1", "data": data,
                   "message": chat.known[message]}  # fmt: skip
        self.queue.put("callback_query", content)
        return Pressed(self._answers[id])

    def effects(self, *methods: str, chat: Chat | None = None) -> list[Effect]:
        """The calls of these methods that had an effect."""
        return [
            effect
            for effect in self.ledger
            if effect.method in methods and not effect.refused and (chat is None or effect.chat == chat.id)
        ]

    @property
    def wasted(self) -> list[Effect]:
        """Edits that changed nothing. A stale panel is painted anew whatever it shows: nobody knows."""
        return [each for each in self.ledger if "not modified" in each.refused and "'p:" not in str(each.values)]

    # The protocol

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One call."""
        method = request.match_info["method"]
        raw = {key: str(value) for key, value in [*request.query.items(), *(await request.post()).items()]}
        fault = self._fault(method, raw)
        if fault and fault.kind is FaultKind.DROP_BEFORE:
            return self._drop(request)
        if fault and fault.kind is FaultKind.SLOW:
            await (fault.gate.wait() if fault.gate else asyncio.sleep(fault.seconds))
        code, body = await self._answer(request.match_info["token"], method, raw, fault)
        if fault and fault.kind is FaultKind.ACCEPT_THEN_DROP:
            return self._drop(request)
        if fault and fault.kind is FaultKind.HANG:
            await self._closing.wait()
        text = json.dumps(body)
        if fault and fault.kind is FaultKind.TRUNCATED:
            text = text[: len(text) // 2]
        return web.Response(status=code, text=text, content_type="application/json")

    def close(self) -> None:
        """Let go of everybody who hangs."""
        self._closing.set()

    def _drop(self, request: web.Request) -> web.StreamResponse:
        if request.transport:
            request.transport.close()
        return web.Response()

    def _fault(self, method: str, raw: dict[str, str]) -> Fault | None:
        for fault in self.faults:
            if fault.times and fault.method == method and fault.chat in (None, int(raw.get("chat_id", 0))):
                fault.times -= 1
                return fault
        drawn = self._chaos.draw(method) if self._chaos else None
        return Fault(drawn.kind, method, 1, **drawn.options) if drawn else None

    async def _answer(self, token: str, method: str, raw: dict[str, str], fault: Fault | None) -> tuple[int, Any]:
        values: dict[str, Any] = dict(raw)
        try:
            if token != self.token:
                raise Refusal(401, "Unauthorized")
            if fault and fault.kind is FaultKind.ERROR:
                if fault.code == 429:
                    now = self._monotonic()
                    self.penalties[int(raw.get("chat_id", 0))] = now, now + fault.parameters["retry_after"]
                raise Refusal(fault.code, fault.description, **fault.parameters)
            call = getattr(self, f"_{method}", None)
            if call is None:
                raise Refusal(404, "Not Found: method not found")
            values = self._checked(method, raw)
            result = await call(values)
            if fault and fault.kind is FaultKind.DUPLICATE:
                result = result * 2
            if fault and fault.kind is FaultKind.REORDER:
                result = result[::-1]
        except Refusal as refusal:
            self._note(method, values, None, refusal.description)
            body = {"ok": False, "error_code": refusal.code, "description": refusal.description}
            return refusal.code, body | ({"parameters": refusal.parameters} if refusal.parameters else {})
        self._note(method, values, result, "")
        return 200, {"ok": True, "result": result}

    def _note(self, method: str, values: dict[str, Any], result: Any, refused: str) -> None:
        if method == "getUpdates":
            return
        message = result.get("message_id") if isinstance(result, dict) else values.get("message_id")
        chat = int(values["chat_id"]) if "chat_id" in values else None
        self.ledger.append(Effect(self._monotonic(), method, chat, message, values, refused))

    def _checked(self, method: str, raw: dict[str, str]) -> dict[str, Any]:
        try:
            values = decoded(method, raw)
        except ValueError as error:
            self.violations.append(f"{method}: {error}")
            raise bad("invalid parameters") from error
        self.violations += [f"{method}: {complaint}" for complaint in complaints(method, values)]
        return values

    def _chat(self, values: dict[str, Any], *, counted: bool = False) -> Chat:
        chat = self.chats.get(int(values["chat_id"]))
        if chat is None:
            raise bad("chat not found")
        if chat.successor:
            raise Refusal(400, "Bad Request: group chat was upgraded to a supergroup chat",
                          migrate_to_chat_id=chat.successor)  # fmt: skip
        if chat.gone:
            raise Refusal(403 if chat.gone.startswith("Forbidden") else 400, chat.gone)
        begun, until = self.penalties.get(chat.id, (0.0, 0.0))
        if (left := until - self._monotonic()) > 0:
            if self._monotonic() - begun >= self.unheard:
                self.violations.append(f"a call to {chat.id} within its penalty")
            raise Refusal(429, "Too Many Requests", retry_after=int(left) + 1)
        if counted and chat.kind != "private":
            shown = self.effects(*COUNTED, chat=chat)
            recent = [effect for effect in shown if effect.at > self._monotonic() - 60]
            if len(recent) >= self.a_minute:
                self.violations.append(f"more than {self.a_minute} calls a minute to {chat.id}")
        return chat

    # Methods

    async def _getUpdates(self, values: dict[str, Any]) -> Any:
        if self.queue.webhook:
            raise Refusal(409, "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to "
                               "delete the webhook first")  # fmt: skip
        try:
            return await self.queue.get(
                values.get("offset"), values.get("limit", 100), values.get("timeout", 0), values.get("allowed_updates")
            )
        except Conflict:
            raise Refusal(409, "Conflict: terminated by other getUpdates request; make sure that only one bot "
                               "instance is running") from None  # fmt: skip

    async def _getMe(self, values: dict[str, Any]) -> Any:
        return BOT | {"can_join_groups": True, "can_read_all_group_messages": False, "supports_inline_queries": False}

    async def _setWebhook(self, values: dict[str, Any]) -> Any:
        self.queue.webhook = values["url"]
        return True

    async def _deleteWebhook(self, values: dict[str, Any]) -> Any:
        self.queue.webhook = ""
        return True

    async def _sendMessage(self, values: dict[str, Any]) -> Any:
        chat = self._chat(values, counted=True)
        if not values["text"].strip():
            raise bad("message text is empty")
        if len(values["text"]) > 4096:
            raise bad("message is too long")
        return chat.send(values)

    async def _sendRichMessage(self, values: dict[str, Any]) -> Any:
        return self._chat(values, counted=True).send(values | self._read(values))

    async def _editMessageText(self, values: dict[str, Any]) -> Any:
        chat = self._chat(values, counted=True)
        if "rich_message" in values:
            values |= self._read(values)
        return chat.edit(values, text=True)

    def _read(self, values: dict[str, Any]) -> dict[str, Any]:
        read = read_rich(values, self.rich_refusal)
        self.violations += read.complaints
        return {"text": read.text, "rich": read}

    async def _editMessageReplyMarkup(self, values: dict[str, Any]) -> Any:
        return self._chat(values, counted=True).edit(values, text=False)

    async def _deleteMessage(self, values: dict[str, Any]) -> Any:
        return self._chat(values).delete(int(values["message_id"]))

    async def _sendChatAction(self, values: dict[str, Any]) -> Any:
        self._chat(values).actions.append(values["action"])
        return True

    async def _sendMessageDraft(self, values: dict[str, Any]) -> Any:
        if not int(values["draft_id"]):
            raise bad("RANDOM_ID_INVALID")
        return self._chat(values).show_draft(values.get("text", ""))

    async def _answerCallbackQuery(self, values: dict[str, Any]) -> Any:
        answer = self._answers.get(values["callback_query_id"])
        if answer is None or answer.done():
            raise bad("query is too old and response timeout expired or query ID is invalid")
        answer.set_result(Answer(values.get("text", ""), bool(values.get("show_alert"))))
        return True

    async def _getChatMember(self, values: dict[str, Any]) -> Any:
        chat, user = self._chat(values), int(values["user_id"])
        status = chat.members.get(user)
        if status is None:
            raise bad("user not found")
        member: dict[str, Any] = {"status": status, "user": {"id": user, "is_bot": False, "first_name": "?"}}
        if status == "administrator":
            names = ("can_be_edited is_anonymous can_manage_chat can_delete_messages can_manage_video_chats "
                     "can_restrict_members can_promote_members can_change_info can_invite_users can_post_stories "
                     "can_edit_stories can_delete_stories")  # fmt: skip
            member |= dict.fromkeys(names.split(), False)
        return member

    async def _getMyCommands(self, values: dict[str, Any]) -> Any:
        return self.commands.get(_scope(values), [])

    async def _setMyCommands(self, values: dict[str, Any]) -> Any:
        check_commands(values)
        self.commands[_scope(values)] = values["commands"]
        self.changes += 1
        return True

    async def _getMyDescription(self, values: dict[str, Any]) -> Any:
        return {"description": self.profile.get(("description", values.get("language_code", "")), "")}

    async def _setMyDescription(self, values: dict[str, Any]) -> Any:
        return self._set("description", values, values["description"])

    async def _getMyShortDescription(self, values: dict[str, Any]) -> Any:
        return {"short_description": self.profile.get(("short", values.get("language_code", "")), "")}

    async def _setMyShortDescription(self, values: dict[str, Any]) -> Any:
        return self._set("short", values, values["short_description"])

    def _set(self, what: str, values: dict[str, Any], text: str) -> bool:
        self.profile[what, values.get("language_code", "")] = text
        self.changes += 1
        return True


def _scope(values: dict[str, Any]) -> tuple[str, str]:
    return (values.get("scope") or {}).get("type", "default"), values.get("language_code", "")


@asynccontextmanager
async def bot_api(
    clock: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
) -> AsyncIterator[BotApi]:
    """A server while the block lasts; what a bot must never do fails the test at its end."""
    server = BotApi(clock, monotonic)
    app = web.Application(client_max_size=2**22)
    app.router.add_route("*", "/bot{token}/{method}", server.handle)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        server.close()
        await runner.cleanup()
    assert not server.violations, server.violations
