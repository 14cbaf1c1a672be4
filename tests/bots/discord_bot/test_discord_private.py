"""Private messages as people use them: the real library against a server that answers as Discord does."""

import re

from core.domain.permissions import Access
from core.filters import ContentFilter, blocked
from core.i18n import t
from tests.bots.discord_bot.discord_running import RETRY, STOP, asked, running
from tests.bots.settling import settled
from tests.fakes import FakeModel, WordFilter
from tests.platforms.discord_channels import Channel, attachment
from tests.platforms.discord_server import DiscordServer
from tests.platforms.discord_world import Person
from tests.watching import held, release


async def test_a_question_in_private(server: DiscordServer, database: str, ann: Person, dm: Channel) -> None:
    async with running(server, database):
        dm.say("hello there", ann)
        answer = await dm.ended()
        assert (answer.content, answer.buttons, answer.reference) == ("hello there", [RETRY], None)
        assert len(dm.messages) == 1 and not answer.ephemeral


async def test_a_message_grows_under_a_stop_button(
    server: DiscordServer, database: str, ann: Person, dm: Channel
) -> None:
    model = held()
    async with running(server, database, model):
        dm.say("one two **three four** five", ann)
        await dm.until(lambda channel: bool(channel.typing))
        assert dm.messages == [], "nothing to show yet"
        release(model, 3)
        await dm.until(lambda channel: channel.texts == ["one two **three**"])
        assert dm.last.buttons == [STOP]
        release(model)
        answer = await dm.ended()
    assert answer.content == "one two **three four** five" and answer.buttons == [RETRY]


async def test_commands_as_text(server: DiscordServer, database: str, ann: Person, dm: Channel) -> None:
    async with running(server, database):
        for text, expected in [
            ("/start", "(?s)Hello.*fake-model"),
            ("/temp 0.3", "0.7 → 0.3"),
            ("/temp", r"0\.3"),
            ("/tmep", "Did you mean /temp"),
            ("/help temp", "/temp 0.3"),
        ]:
            count = len(dm.messages)
            dm.say(text, ann)
            answer = await dm.ended(count + 1)
            assert re.search(expected, answer.content), f"{text}: {answer.content}"
            assert answer.buttons == []


async def test_what_is_no_text(server: DiscordServer, database: str, ann: Person, dm: Channel) -> None:
    async with running(server, database) as bot:
        dm.say("", ann, attachments=[attachment("a.png", kind="image/png")])
        assert (await dm.ended()).content == t("en", "media.only_text")
        dm.say("what is this?", ann, attachments=[attachment("a.png", kind="image/png")])
        await dm.ended(2)
        assert asked(bot) == [f"what is this?\n\n{t('en', 'media.unseen')}"]


async def test_a_stranger_learns_his_id(server: DiscordServer, database: str, ann: Person, dm: Channel) -> None:
    async with running(server, database, access=Access(users=frozenset({"discord:1"}))):
        dm.say("hello", ann)
        assert f"discord:{ann.id}" in (await dm.ended()).content


async def test_a_long_answer_with_code(server: DiscordServer, database: str, ann: Person, dm: Channel) -> None:
    lines = "\n".join(f"    print({i})" for i in range(300))
    answer = f"Look at **this** & <that>:\n\n```python\ndef f():\n{lines}\n```\n\nDone. See https://example.org/a_b."
    async with running(server, database, FakeModel(lambda prompt: re.findall(r"(?s).{1,500}", answer))):
        dm.say("code please", ann)
        await dm.until(
            lambda channel: channel.messages and "Done." in channel.last.content and channel.last.buttons == [RETRY]
        )
    assert len(dm.messages) == 3 and all(message.buttons == [] for message in dm.messages[:-1])
    assert all(text.count("```") == 2 and "```python\n" in text for text in dm.texts), "fences are opened again"
    shown = "\n".join(dm.texts)
    assert re.sub(r"```(python)?", "", shown).split() == re.sub(r"```(python)?", "", answer).split()
    nonces = [effect.body["nonce"] for effect in server.effects("POST", r"/messages$")]
    assert len({nonce.rsplit("-", 1)[0] for nonce in nonces}) == 1 and [nonce[-1] for nonce in nonces] == [
        "0",
        "1",
        "2",
    ]


async def test_the_filter_sees_what_discord_shows(
    server: DiscordServer, database: str, ann: Person, dm: Channel
) -> None:
    """Harmless as Markdown, but rendering joins what was apart."""
    async with running(
        server, database, FakeModel(lambda prompt: ["so ", "b**a**d", " ok"]), content_filter=WordFilter("bad")
    ):
        dm.say("say it", ann)
        answer = await dm.ended()
    assert answer.content == t("en", "refused.answer") and not any("b**a**d" in text for text in answer.history)


async def test_whatever_a_model_writes_discord_takes(
    server: DiscordServer, database: str, ann: Person, dm: Channel
) -> None:
    wild = (
        "@everyone @here <@1> <@&2> **bold *both** it* `a` [x](javascript:alert(1)) <b>&amp; \u202e 👩‍👩‍👧 ||s|| \n\n"
    )
    wild += "> - ```py\n```\n|a|b|\n|-|-|\n|1|2|\n# \n- [ ] t https://a.example/x"
    async with running(server, database, FakeModel(lambda prompt: [*re.findall(r"(?s).{1,3}", wild)])):
        dm.say("go wild", ann)
        answer = await dm.ended()
    assert "<b>& " in answer.content and "@everyone" not in answer.content


async def test_other_bots_and_notes_are_no_questions(
    server: DiscordServer, database: str, ann: Person, dm: Channel, channel: Channel
) -> None:
    async with running(server, database) as bot:
        robot = server.person("Robot")
        channel.say("hi", author={**robot.user, "bot": True}, mention=True)
        channel.say("hi", ann, webhook_id="123", mention=True)
        channel.say("hi", ann, type=7, mention=True)
        await settled(bot)
        assert bot.model.prompts == [] and channel.messages == []


async def test_rude_words_never_reach_discord(server: DiscordServer, database: str, ann: Person, dm: Channel) -> None:
    said = ["so ", "fu", "ck", " it, f**uc**k, [fu](http://a.example)ck, ", "đ", "ịt m", "ẹ and ", "s h i", " t", " ok"]
    async with running(server, database, FakeModel(lambda prompt: said), content_filter=ContentFilter()):
        dm.say("say it", ann)
        answer = await dm.ended()
        dm.say("fuck you", ann)
        refused = await dm.ended(2)
    assert answer.content.startswith("so f•••") and answer.content.endswith("ok")
    assert not any(map(blocked, [answer.content, *answer.history]))
    assert refused.content == t("en", "blocked.profanity")
