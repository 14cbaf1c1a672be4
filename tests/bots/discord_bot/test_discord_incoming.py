"""What of Discord's messages is addressed to the bot, and what it asks: as a table, on the library's own objects."""

from typing import Any

import discord

from bots.discord_bot.incoming import BotIdentity, parse_message
from core.commands.button_payloads import (
    ActionPayload,
    FormPayload,
    OpenFormPayload,
    QuestionFormPayload,
    SettingPayload,
    decode_payload,
)
from core.domain.platform import ButtonAction
from tests.tables import each_row

BOT, ANN, BOB = 1, 2, 3
GUILD, PLACE, THREAD, OWN_THREAD, DM, ROLE = 100, 200, 300, 301, 400, 500
SINCE = "2026-01-01T00:00:00+00:00"
FILE = {"id": "9", "filename": "a.png", "size": 1, "url": "http://x", "proxy_url": "http://x"}


def person(id: int, name: str, **more: Any) -> dict[str, Any]:
    return {"id": str(id), "username": name.lower(), "global_name": name, "discriminator": "0", "avatar": None} | more


PEOPLE = {BOT: person(BOT, "Qwentin", bot=True), ANN: person(ANN, "Ann"), BOB: person(BOB, "Bob")}


def world() -> Any:
    """A client's state with a server, two threads and the bot's own role."""
    state: Any = discord.Client(intents=discord.Intents(guilds=True))._connection
    state.user = discord.ClientUser(state=state, data=PEOPLE[BOT])  # type: ignore[arg-type]
    colors = {"primary_color": 0, "secondary_color": None, "tertiary_color": None}
    plain = {"color": 0, "colors": colors, "hoist": False, "managed": False, "mentionable": False, "flags": 0,
             "permissions": "0", "position": 0}  # fmt: skip
    roles = [{"id": str(GUILD), "name": "@everyone"} | plain,
             plain | {"id": str(ROLE), "name": "Qwentin", "managed": True, "tags": {"bot_id": str(BOT)}}]  # fmt: skip
    meta = {"archived": False, "auto_archive_duration": 60, "locked": False, "archive_timestamp": SINCE}
    thread = {"parent_id": str(PLACE), "name": "talk", "type": 11, "message_count": 0, "member_count": 0,
              "rate_limit_per_user": 0, "thread_metadata": meta, "guild_id": str(GUILD)}  # fmt: skip
    threads = [thread | {"id": str(id), "owner_id": str(owner)} for id, owner in ((THREAD, ANN), (OWN_THREAD, BOT))]
    payload = {
        "id": str(GUILD), "name": "g", "owner_id": str(BOB), "roles": roles, "emojis": [], "stickers": [],
        "features": [], "preferred_locale": "vi", "threads": threads,
        "channels": [{"id": str(PLACE), "type": 0, "name": "general", "position": 0, "permission_overwrites": []}],
        "members": [{"user": PEOPLE[BOT], "roles": [str(ROLE)], "joined_at": SINCE, "flags": 0}],
    }  # fmt: skip
    state._add_guild_from_data(payload)
    return state


def payload(content: str, place: int, extra: dict[str, Any]) -> dict[str, Any]:
    where = {"guild_id": str(GUILD)} if place != DM else {}
    return {
        "id": "7000000000000", "channel_id": str(place), "content": content, "author": PEOPLE[ANN], "type": 0,
        "attachments": [], "embeds": [], "mentions": [], "mention_roles": [], "mention_everyone": False,
        "pinned": False, "tts": False, "timestamp": SINCE, "edited_timestamp": None, "components": [],
    } | where | extra  # fmt: skip


def message(content: str, place: int, extra: dict[str, Any]) -> discord.Message:
    state = world()
    data: Any = payload(content, place, extra)
    channel, _ = state._get_guild_channel(data)
    return discord.Message(state=state, channel=channel, data=data)


ME = BotIdentity(BOT, {str(THREAD)})
HIM: dict[str, Any] = {"mentions": [PEOPLE[BOT]]}
BOTH: dict[str, Any] = {"mentions": [PEOPLE[BOT], PEOPLE[BOB]]}


def replying(to: int, content: str = "the sky is green", **extra: Any) -> dict[str, Any]:
    reference = {"message_id": "6999999999999", "channel_id": str(PLACE), "guild_id": str(GUILD)}
    referenced = payload(content, PLACE, {"id": "6999999999999", "author": PEOPLE[to]})
    return {"type": 19, "message_reference": reference, "referenced_message": referenced} | extra


def passing_on(content: str) -> dict[str, Any]:
    return {"message_snapshots": [{"message": payload(content, DM, {})}]}


FORWARDED = "Forwarded message from Someone:\n> "
"""Discord does not tell whose words they are."""
CASES: list[tuple[str, str, int, dict[str, Any], str | None]] = [
    # where it answers
    ("private", "hello", DM, {}, "hello"),
    ("a channel", "hello", PLACE, {}, None),
    ("a mention", f"<@{BOT}> hello", PLACE, HIM, "hello"),
    ("an old client's mention", f"<@!{BOT}> hello", PLACE, HIM, "hello"),
    ("its role", f"<@&{ROLE}> hello", PLACE, {"mention_roles": [str(ROLE)]}, "hello"),
    ("everyone", "@everyone hello", PLACE, {"mention_everyone": True}, None),
    ("somebody else", f"<@{BOB}> hello", PLACE, {"mentions": [PEOPLE[BOB]]}, None),
    ("a reply that pings", "and?", PLACE, replying(BOT, **HIM), "and?"),
    ("a reply that does not", "and?", PLACE, replying(BOT), None),
    ("a reply to another", "and?", PLACE, replying(BOB, mentions=[PEOPLE[BOB]]), None),
    ("a thread it was asked in", "hello", THREAD, {}, "hello"),
    ("a thread it opened", "hello", OWN_THREAD, {}, "hello"),
    ("between others in a thread", "hello", THREAD, {"mentions": [PEOPLE[BOB]]}, None),
    ("a thread without words", "", THREAD, {}, None),
    # who is answered
    ("itself", "hello", DM, {"author": PEOPLE[BOT]}, None),
    ("a bot", "hello", DM, {"author": person(BOB, "Bob", bot=True)}, None),
    ("a webhook", "hello", DM, {"webhook_id": "5"}, None),
    ("a note", "", DM, {"type": 6}, None),
    ("a welcome", f"<@{BOT}>", PLACE, {"type": 7} | HIM, None),
    # what is asked
    ("a name alone", f"<@{BOT}>", PLACE, HIM, "/start"),
    ("a name at the end", f"what is it, <@{BOT}>?", PLACE, HIM, "what is it?"),
    ("a name within", f"hey <@{BOT}> what is it", PLACE, HIM, "hey what is it"),
    ("a command", f"<@{BOT}> /temp 0.3", PLACE, HIM, "/temp 0.3"),
    ("a command in private", "/temp 0.3", DM, {}, "/temp 0.3"),
    ("names of others", f"<@{BOT}> ask <@{BOB}> <@9>", PLACE, BOTH, "ask @Bob @9"),
    ("channels and emoji", f"in <#{PLACE}> <#9> <:cat:5> <a:dog:6> <t:1>", DM, {}, "in #? #? :cat: :dog: <t:1>"),
    ("a channel's name", f"<@{BOT}> in <#{PLACE}>", PLACE, HIM, "in #general"),
    ("about a message", f"<@{BOT}> true?", PLACE, replying(BOB, **HIM), "> the sky is green\n\ntrue?"),
    ("a message alone", f"<@{BOT}>", PLACE, replying(BOB, **HIM), "the sky is green"),
    ("a command about a message", f"<@{BOT}> /ask", PLACE, replying(BOB, **HIM), "/ask the sky is green"),
    ("another's command", f"<@{BOT}>", PLACE, replying(BOB, "/clear", **HIM), "/ask /clear"),
    ("a picture", "", DM, {"attachments": [FILE]}, ""),
    ("a picture in a channel", f"<@{BOT}>", PLACE, {"attachments": [FILE]} | HIM, None),
    ("a picture with words", "what?", DM, {"attachments": [FILE]}, "what?"),
    ("passed on", "", DM, passing_on("news"), FORWARDED + "news"),
    ("a command passed on", "", DM, passing_on("/clear"), FORWARDED + "/clear"),
]


@each_row(("content", "place", "extra", "text"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_is_asked(content: str, place: int, extra: dict[str, Any], text: str | None) -> None:
    incoming = parse_message(message(content, place, extra), ME)
    assert (incoming.text if incoming else None) == text


def test_whether_there_is_a_picture() -> None:
    """What is said of it is the core's, in the person's language."""
    for extra, expected in ({"attachments": [FILE]}, True), ({}, False):
        incoming = parse_message(message("what?", DM, extra), ME)
        assert incoming is not None and incoming.has_unseen_media is expected


def test_who_asks_where() -> None:
    incoming = parse_message(message("hello", THREAD, {}), ME)
    assert incoming is not None
    assert (str(incoming.chat), incoming.private, incoming.external_id, incoming.seq) == (
        f"discord/{PLACE}/{THREAD}", False, "m:7000000000000", 7000000000000,
    )  # fmt: skip
    assert (incoming.author.id, incoming.author.name, incoming.author.locale) == (str(ANN), "Ann", "vi")
    private = parse_message(message("hello", DM, {}), ME)
    assert private and (str(private.chat), private.private, private.author.locale) == (f"discord/{DM}", True, "")


@each_row(
    ("custom_id", "meaning"),
    [
        ("a:s:5", ActionPayload(ButtonAction.STOP, 5)),
        ("a:r:123456789012345678", ActionPayload(ButtonAction.RETRY, 123456789012345678)),
        ("a:c:7", ActionPayload(ButtonAction.CONTINUE, 7)),
        ("p:t:0123abcd", SettingPayload("temperature", "", "0123abcd")),
        ("p:k:0123abcd", SettingPayload("max_tokens", "", "0123abcd")),
        ("p:m:0123abcd", SettingPayload("memory", "", "0123abcd")),
        ("p:l:0123abcd", SettingPayload("reply_language", "", "0123abcd")),
        ("o:0123abcd", OpenFormPayload("0123abcd")),
        ("f:0123abcd", FormPayload("0123abcd")),
        ("q:1575213092726374400", QuestionFormPayload(1575213092726374400)),
        *((forged, None) for forged in ("", "a:s:", "a:x:5", "a:s:-5", "a:s:٣", "p:s:0123abcd", "p:t:0123ABCD",
                                        "p:t:0123abcd ", "o:0", "q:", "q:1x", "a:s:1234567890123456789")),
    ],
)  # fmt: skip
def test_what_a_press_means(custom_id: str, meaning: object) -> None:
    assert decode_payload(custom_id) == meaning
