"""Conversations as tables: what is said, and what must come back. On the real store, around a model that echoes."""

import re
from dataclasses import replace

from core.domain.conversation import Author, ChatId
from core.domain.permissions import Access
from core.domain.settings import Rules
from core.i18n import t
from tests.conftest import DEFAULTS, Bot, MakeBot
from tests.fakes import ANN, BOB, CHAT, FakeModel, incoming
from tests.tables import each_row

CARL = Author("carl", "Carl")
GROUP = ChatId("fake", "group")

PRIVATE = {
    "a question": [("hello", "hello")],
    "start": [("/start", "(?s)fake-model.*/clear")],
    "help lists every command": [("/help", r"(?s)/start.*/help.*/ask.*/clear.*/temp.*/whoami")],
    "help of one": [("/help temp", r"(?s)/temp \[0-1\].*`/temp 0.3`"), ("/help /new", "/clear"),
                    ("/help nope", "don't know")],
    "ask": [("/ask why?", "^why\\?$"), ("/ask", "Example")],
    "ask with a slash": [("/ask /dev/null is?", "^/dev/null is\\?$")],
    "a path is a question": [("/usr/bin is?", "^/usr/bin is\\?$"), ("/2 + 2", "^/2 \\+ 2$")],
    "the bot's name in a command": [("/temp@qwentin_bot 0.3", "0.7 → 0.3")],
    "capitals": [("/TEMP 0.3", "0.7 → 0.3")],
    "unknown": [("/tmep 1", r"/tmep.*Did you mean /temp"), ("/xyzzy", "Did you mean /help")],
    "temperature": [
        ("/temp", "0.7.*default"), ("/temp 0,3", "0.7 → 0.3"), ("/temp", "0.3.*set here by Ann"),
        ("/temp 2", "0 to 1.*Example"), ("/temp", "0.3"), ("/temp 0.3", "stays at 0.3"), ("/temp reset", "0.3 → 0.7"),
        ("/temp", "default"), ("/temp RESET", "0.7 → 0.7"),
    ],
    "max tokens": [("/maxtokens 256", "512 tokens → 256 tokens"), ("/maxtokens 300", "256, 512, 1024"),
                   ("/maxtokens", "256 tokens.*Ann")],
    "memory": [("/memory 10", "3 → 10"), ("/memory 11", "1 to 10"), ("/memory", r"turns \(at least\): 10")],
    "system": [("/system Be\nbrief.", "(?s)Be kind.*→.*Be\nbrief"), ("/system " + "x" * 2001, "2000.*2001"),
               ("/system", "Be\nbrief"), ("/system reset", "Be kind")],
    "reply language": [("/lang reply vi", "auto → vi"), ("/lang reply fr", "auto, en or vi"), ("/lang reply", "vi"),
                       ("/lang reply reset", "vi → auto")],
    "one's own language": [("/lang", "automatic.*English"), ("/lang vi", "tiếng Việt"), ("/temp 5", "Nhiệt độ"),
                           ("/lang xx", "Mình nói được"), ("/lang auto", "English"), ("/temp 5", "goes from")],
    "settings": [("/temp 0", "→ 0"),
                 ("/settings", r"(?s)Temperature: 0 \(set here by Ann.*512 tokens \(the default\)")],
    "status": [("/status", r"(?s)fake-model.*top-p 0.9, top-k 0, repetition penalty 1\n.*4096.*Nobody.*Temperature")],
    "whoami": [("/whoami", r"(?s)fake:whoami.*admin.*fake:whoami")],
    "nothing to stop": [("/stop", "nothing to stop")],
    "nothing to undo or retry": [("/undo", "nothing to take back"), ("/retry", "no question")],
    "undo": [("one", "one"), ("two", "two"), ("/undo", "“two”"), ("/undo", "“one”"), ("/undo", "nothing")],
    "retry": [("one", "one"), ("/retry", "^one$"), ("/retry", "^one$")],
    "clear": [("one", "one"), ("/clear", "Forgotten"), ("/undo", "nothing")],
    "clear by its other names": [("/new", "Forgotten"), ("/reset", "Forgotten")],
    "an argument too many": [("/clear everything", "takes no argument"), ("/stop it", "no argument")],
    "lang over two lines": [("/lang reply\nvi", "auto → vi")],
    "a prompt is shown as it was written": [("/system Be *very* [brief](x).", r"Be \\\*very\\\* &#91;brief&#93;")],
    "settings stay when history goes": [
        ("/memory 5", "→ 5"), ("/clear", "Forgotten"), ("/memory", r"turns \(at least\): 5"),
    ],
}  # fmt: skip


@each_row("name", PRIVATE)
async def test_private(bot: Bot, name: str) -> None:
    chat, author = ChatId("fake", name), replace(ANN, id=name)
    for said, expected in PRIVATE[name]:
        answer = await bot.say(said, author, chat)
        assert re.search(expected, answer), f"{said!r} was answered {answer!r}"


GROUPS = {
    "members may look": [(BOB, "/temp", "0.7"), (BOB, "/settings", "Nhiệt độ"), (BOB, "/status", "fake-model")],
    "members may not set": [
        (BOB, "/temp 0", "chỉ quản trị viên"), (BOB, "/maxtokens 256", "chỉ quản trị viên"),
        (BOB, "/memory 1", "chỉ quản trị viên"), (BOB, "/system x", "chỉ quản trị viên"),
        (BOB, "/lang reply vi", "chỉ quản trị viên"), (BOB, "/temp reset", "chỉ quản trị viên"),
        (BOB, "/clear", "chỉ quản trị viên"), (BOB, "/temp", "0.7.*mặc định"),
    ],
    "admins may": [(ANN, "/temp 0", "→ 0"), (ANN, "/clear", "Forgotten"), (BOB, "/temp", "0.*Ann")],
    "everyone has their own language": [(CARL, "/lang vi", "tiếng Việt"), (CARL, "/temp", "Nhiệt độ"),
                                      (ANN, "/temp", "Temp")],
    "only the asker and admins take back": [
        (BOB, "bob asks", "Bob: bob asks"), (CARL, "/undo", "Only the person"), (CARL, "/retry", "Only the person"),
        (BOB, "/retry", "bob asks"), (ANN, "/undo", "bob asks"),
    ],
    "names": [(BOB, "hi", "Bob: hi"), (CARL, "and me", "Carl: and me")],
    "an admin's retry keeps the asker's name": [(BOB, "hi", "Bob: hi"), (ANN, "/retry", "Bob: hi")],
}  # fmt: skip


@each_row("name", GROUPS)
async def test_groups(make_bot: MakeBot, name: str) -> None:
    group = ChatId("fake", f"-{name}")
    async with make_bot(FakeModel(lambda prompt: ["I heard ", prompt[-1].content])) as bot:
        bot.platform.admins = {f"{name} ann"}
        for author, said, expected in GROUPS[name]:
            answer = await bot.say(said, replace(author, id=f"{name} {author.id}"), group, private=False)
            assert re.search(expected, answer), f"{author.name}: {said!r} was answered {answer!r}"


async def test_an_echoed_name_is_cut_in_groups(bot: Bot) -> None:
    assert await bot.say("hi", BOB, GROUP, private=False) == "hi"
    assert bot.model.prompts[-1][-1].content == "Bob: hi"


async def test_an_unknown_command_in_a_group_is_for_somebody_else(bot: Bot) -> None:
    assert await bot.service.ingest.accept(incoming("/play", BOB, GROUP, private=False)) is None
    assert "/help" in await bot.say("/pley@bot", BOB, GROUP, private=False), "but not where this bot is named"


async def test_what_is_no_text_gets_a_notice_in_private_and_silence_in_groups(bot: Bot) -> None:
    assert await bot.say("   ") == t("en", "media.only_text")
    assert await bot.service.ingest.accept(incoming("", BOB, GROUP, private=False)) is None


async def test_conversations_have_settings_and_histories_of_their_own(bot: Bot) -> None:
    topic = ChatId(CHAT.platform, CHAT.chat, "topic")
    await bot.say("/temp 0")
    await bot.say("secret of the chat")
    assert "0 (set for the whole chat by Ann" in await bot.say("/temp", ANN, topic), "the chat's, until it has its own"
    assert "0 → 0.3" in await bot.say("/temp 0.3", ANN, topic)
    assert "0 (set here" in await bot.say("/temp")
    assert "0.3 → 0, as in the whole chat" in await bot.say("/temp reset", ANN, topic)
    await bot.say("/temp reset")
    assert "0.7 (the default)" in await bot.say("/temp", ANN, topic)
    await bot.say("question", ANN, topic)
    assert [message.content for message in bot.model.prompts[-1]][1:] == ["question"]


ACCESS = [
    (Access(), ANN, CHAT, True),
    (Access(users=frozenset({"ann"})), ANN, CHAT, True),
    (Access(users=frozenset({"fake:ann"})), ANN, CHAT, True),
    (Access(users=frozenset({"other:ann"})), ANN, CHAT, False),
    (Access(users=frozenset({"bob"})), ANN, CHAT, False),
    (Access(chats=frozenset({"1"})), ANN, CHAT, True),
    (Access(chats=frozenset({"fake:1"})), ANN, ChatId("fake", "1", "topic"), True),
    (Access(chats=frozenset({"2"})), ANN, CHAT, False),
    (Access(users=frozenset({"bob"}), owners=frozenset({"ann"})), ANN, CHAT, True),
]


@each_row(("access", "author", "chat", "admitted"), ACCESS)
async def test_access(make_bot: MakeBot, access: Access, author: Author, chat: ChatId, admitted: bool) -> None:
    async with make_bot(access=access) as bot:
        answer = await bot.say("my secret", author, chat)
        assert ("my secret" in answer) is admitted
        assert ("`fake:ann`" in answer) is not admitted
        assert bool(bot.model.prompts) is admitted
        if not admitted:
            assert "`fake:ann`" in await bot.say("/temp 0", author, chat)
            assert await bot.service.ingest.accept(incoming("hello", author, chat, private=False)) is None


async def test_an_owner_may_set_in_any_group(make_bot: MakeBot) -> None:
    async with make_bot(access=Access(owners=frozenset({"bob"}))) as bot:
        assert "0.7 → 0" in await bot.say("/temp 0", BOB, GROUP, private=False)
        assert "chủ bot" in await bot.say("/whoami", BOB, GROUP, private=False)


async def test_the_owners_caps_clamp_and_say_so(make_bot: MakeBot) -> None:
    async with make_bot(rules=Rules(DEFAULTS, {"temperature": 0.5, "memory": 2, "max_tokens": 256})) as bot:
        assert re.search("0.5 \\(0.7 wanted, the owner does not allow that", await bot.say("/temp"))
        assert re.search("the owner does not allow 0.9", await bot.say("/temp 0.9"))
        await bot.say("hello")
        assert (bot.model.samplings[-1].temperature, bot.model.samplings[-1].max_tokens) == (0.5, 256)
