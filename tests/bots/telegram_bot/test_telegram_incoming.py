"""Reading updates: who is answered, where, and with which text, as tables of what Telegram sends."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from telegram import ChatMemberAdministrator, ChatMemberRestricted, Update

from bots.telegram_bot.incoming import UPDATE_KINDS, BotAccount, Membership, Migration, Parsed, parse_updates
from core.delivery.splitting import utf16
from core.domain.conversation import Author, ChatId, Incoming
from tests.tables import each_row

Json = dict[str, Any]

ME = BotAccount(42, "qwentin_bot")
NOW_MS = 1_700_000_005_000
BOT: Json = {"id": 42, "is_bot": True, "first_name": "Qwentin", "username": "qwentin_bot"}
ANN: Json = {"id": 7, "is_bot": False, "first_name": "Ann", "last_name": "Lee", "language_code": "en"}
BOB: Json = {"id": 8, "is_bot": False, "first_name": "Bob"}
VAN: Json = {"id": 9, "is_bot": False, "first_name": "Vân", "language_code": "vi-VN"}
OTHER_BOT: Json = {"id": 43, "is_bot": True, "first_name": "Other", "username": "other_bot"}
ANONYMOUS: Json = {"id": 1087968824, "is_bot": True, "first_name": "Group", "username": "GroupAnonymousBot"}
AS_CHANNEL: Json = {"id": 136817688, "is_bot": True, "first_name": "Channel", "username": "Channel_Bot"}
TELEGRAM: Json = {"id": 777000, "is_bot": False, "first_name": "Telegram"}
PRIVATE: Json = {"id": 7, "type": "private", "first_name": "Ann"}
GROUP: Json = {"id": -100, "type": "supergroup", "title": "Group"}
CHANNEL: Json = {"id": -200, "type": "channel", "title": "News"}
TOPIC: Json = {"message_thread_id": 77, "is_topic_message": True}
NAMED = "@qwentin_bot"
UNSEEN = "\n\n[and what the model can't see]"
"""Stands for Incoming.has_unseen_media in the tables below."""
PHOTO: Json = {"photo": [{"file_id": "a", "file_unique_id": "b", "width": 1, "height": 1}]}
FILE: Json = {"file_id": "a", "file_unique_id": "b"}


def entities(text: str) -> list[Json]:
    """What Telegram marks: every word beginning with @, and a command at the start."""
    found: list[Json] = []
    at = 0
    for word in text.replace("\n", " ").split(" "):
        name = word.rstrip(",.:;!?)")
        if name.startswith("@"):
            found.append({"type": "mention", "offset": at, "length": utf16(name)})
        if name.startswith("/") and not at:
            found.append({"type": "bot_command", "offset": 0, "length": utf16(name)})
        at += utf16(word) + 1
    return found


def said(text: str = "", chat: Json = GROUP, by: Json | None = ANN, number: int = 5, **more: Any) -> Json:
    """A message; `text` may be left away for one that has none."""
    message = {"message_id": number, "date": 1_700_000_000, "chat": chat, **({"from": by} if by else {})}
    return {**message, **({"text": text, "entities": entities(text)} if text else {}), **more}


def captioned(caption: str, chat: Json = GROUP, **more: Any) -> Json:
    return said("", chat, **{**PHOTO, "caption": caption, "caption_entities": entities(caption), **more})


def update(kind: str = "message", **content: Any) -> Update:
    made = Update.de_json({"update_id": 1, kind: content}, None)
    assert made is not None
    return made


def taken(*messages: Json) -> Parsed | None:
    return parse_updates([update(**message) for message in messages], ME, NOW_MS)


def text(*messages: Json) -> str | None:
    got = taken(*messages)
    assert got is None or isinstance(got, Incoming)
    return shown(got) if got else None


def shown(incoming: Incoming) -> str:
    return incoming.text + (UNSEEN if incoming.has_unseen_media else "")


def test_every_field_of_a_question() -> None:
    assert UPDATE_KINDS == ("message", "edited_message", "callback_query", "my_chat_member")
    assert taken(said("Hi", PRIVATE)) == Incoming(
        ChatId("telegram", "7"), "42", "m:7:5", 5, Author("7", "Ann Lee", "en"), "Hi", True, 1_700_000_000_000
    )


@each_row(
    ("message", "chat"),
    [
        (said("/help", **TOPIC), ChatId("telegram", "-100", "77")),
        (said("Hi", PRIVATE, **TOPIC), ChatId("telegram", "7", "77")),
        (said("/help"), ChatId("telegram", "-100")),
        (said("/help", message_thread_id=3), ChatId("telegram", "-100")),  # a reply in a plain supergroup
    ],
)
def test_topics_are_conversations_and_reply_chains_are_not(message: Json, chat: ChatId) -> None:
    got = taken(message)
    assert isinstance(got, Incoming) and got.chat == chat and got.private == (chat.chat == "7")


@each_row(
    ("message", "author"),
    [
        (said("/help", by=BOB), Author("8", "Bob")),
        (said("/help", by=ANONYMOUS, sender_chat=GROUP), Author("-100", "Group")),
        (said("/help", by=ANONYMOUS, sender_chat=GROUP, author_signature="Boss"), Author("-100", "Boss")),
        (said("/help", by=AS_CHANNEL, sender_chat=CHANNEL), Author("-200", "News")),
        (said("/help", by=AS_CHANNEL, sender_chat=CHANNEL, author_signature="x"), Author("-200", "News")),
        (said("/help", by=TELEGRAM, sender_chat=CHANNEL, is_automatic_forward=True), None),
        (said("/help", by=OTHER_BOT), None),
        (said("/help", by=BOT), None),
        (said("/help", by={**BOT, "is_bot": False}), None),
        (said("/help", by=None), None),
        (said("/help", via_bot=BOT), None),
        (said("/help", via_bot=OTHER_BOT), Author("7", "Ann Lee", "en")),
        (said("/help", CHANNEL, by=None, sender_chat=CHANNEL), None),
    ],
)
def test_who_is_answered(message: Json, author: Author | None) -> None:
    got = taken(message)
    assert (got.author if isinstance(got, Incoming) else got) == author


def marked(words: str, **entity: Any) -> Json:
    return said(words, entities=[entity])


REPLY: Json = {"reply_to_message": said("I say so.", by=BOT, number=3)}
NOTE: Json = {"reply_to_message": said(by=BOT, number=77, forum_topic_created={"name": "T", "icon_color": 1})}


@each_row(
    ("message", "wanted"),
    [
        (said("hello all"), None),
        (said(f"{NAMED} hello"), "hello"),
        (said("@QWENTIN_Bot hello"), "hello"),
        (said("@qwentin hello"), None),
        (said("@qwentin_bot2 hello"), None),
        (said("mail foo@qwentin_bot.com"), None),
        (said("no entity: @qwentin_bot", entities=[]), None),
        (marked("Qwentin, hello", type="text_mention", offset=0, length=7, user=BOT), "hello"),
        (marked("Bob, hello", type="text_mention", offset=0, length=3, user=BOB), None),
        (marked("Bob, hello", type="text_mention", offset=0, length=3), None),
        (said("why?", **REPLY), "why?"),
        (said("why?", reply_to_message=said("Because", by=BOB)), None),
        (said("why?", **TOPIC, **NOTE), None),
        (said("why?", reply_to_message=said(by=BOT, new_chat_members=[BOT])), None),
        (said("why?", reply_to_message=said(by=BOT, **PHOTO)), "why?"),
        (said("/temp 0.5"), "/temp 0.5"),
        (said("/temp@qwentin_bot 0.5"), "/temp@qwentin_bot 0.5"),
        (said("/temp@Qwentin_Bot 0.5"), "/temp@Qwentin_Bot 0.5"),
        (said("/temp@other_bot 0.5"), None),
        (said("/temp@other_bot 0.5", **REPLY), None),
        (said("/temp@other_bot 0.5", PRIVATE), None),
        (said(f"{NAMED} /temp@other_bot 0.5"), None),
        (said(f"{NAMED} /temp 0.5"), "/temp 0.5"),
        (said(f"/ask {NAMED}, what is it"), "/ask what is it"),
        (said(f"/ask what is it {NAMED}?"), "/ask what is it?"),
        (said("/help, please"), "/help, please"),
        (said("look: /help"), None),
        (said("/usr/bin", entities=[]), None),
        (said("/start payload", PRIVATE), "/start"),
        (said("/start@qwentin_bot payload"), "/start@qwentin_bot"),
        (
            said("look", PRIVATE, forward_origin={"type": "hidden_user", "date": 1, "sender_user_name": "x"}),
            "Forwarded message from x:\n> look",
        ),
        (said("mail foo@qwentin_bot.com", PRIVATE), "mail foo@qwentin_bot.com"),
    ],
)
def test_who_is_meant(message: Json, wanted: str | None) -> None:
    assert text(message) == wanted


@each_row(
    ("words", "wanted"),
    [
        ("@qwentin_bot hello", "hello"),
        ("@qwentin_bot, hello", "hello"),
        ("@qwentin_bot: hello", "hello"),
        ("@qwentin_bot , hello", "hello"),
        ("@qwentin_bot :) hello", ":) hello"),
        ("@qwentin_bot\n\nhello", "hello"),
        ("hello @qwentin_bot", "hello"),
        ("hello, @qwentin_bot", "hello"),
        ("hello: @qwentin_bot", "hello"),
        ("how are you @qwentin_bot?", "how are you?"),
        ("well, @qwentin_bot, how are you", "well, how are you"),
        ("what @qwentin_bot is this", "what is this"),
        ("first line\n@qwentin_bot, second", "first line\nsecond"),
        ("first @qwentin_bot\nsecond", "first\nsecond"),
        ("@qwentin_bot hi @qwentin_bot @qwentin_bot", "hi"),
        ("@bob and @qwentin_bot what", "@bob and what"),
        ("😀😀 @qwentin_bot hello", "😀😀 hello"),
        ("👩‍👩‍👧 Chào @qwentin_bot 😀", "👩‍👩‍👧 Chào 😀"),
        ("\ud83d @qwentin_bot \ude00 hello", "\ud83d \ude00 hello"),
        ("@qwentin_bot", "/start"),
        ("@qwentin_bot,", "/start"),
        ("  @qwentin_bot  @qwentin_bot ", "/start"),
    ],
)
def test_the_name_goes_and_the_rest_stays_neat(words: str, wanted: str) -> None:
    assert text(said(words)) == text(said(words, PRIVATE)) == wanted


def test_many_spaces_cost_no_time() -> None:
    """A person chooses how many stand where; a careless pattern would look at them for hours."""
    assert text(said("a" + " " * 4000 + f"b {NAMED}")) == "a" + " " * 4000 + "b"
    assert text(said(f"{NAMED}" + " " * 4000 + "b")) == "b"


BOBS: Json = {"reply_to_message": said("Water boils\n\nat 100 °C.", by=BOB, number=3)}
BOBS_QUOTED = "> Water boils\n>\n> at 100 °C."
PICKED: Json = {"quote": {"text": "at 100", "position": 13, "is_manual": True}}
SHOWN: Json = {"quote": {"text": "I say", "position": 0}}
OUTSIDE: Json = {"external_reply": {"origin": {"type": "hidden_user", "date": 1, "sender_user_name": "x"}}}


def replied(words: str, by: Json = BOB) -> Json:
    return {"reply_to_message": said(words, by=by, number=3)}


@each_row(
    ("message", "wanted"),
    [
        (said(f"{NAMED} really?", **BOBS), f"{BOBS_QUOTED}\n\nreally?"),
        (said("really?", PRIVATE, **BOBS), f"{BOBS_QUOTED}\n\nreally?"),
        (said(f"{NAMED} really?", **replied("I'm Ann", ANN)), "> I'm Ann\n\nreally?"),
        (said(f"{NAMED} really?", **BOBS, **PICKED), "> at 100\n\nreally?"),
        (said("really?", **REPLY), "really?"),
        (said("really?", **REPLY, **PICKED), "> at 100\n\nreally?"),
        (said("really?", **REPLY, **SHOWN), "really?"),
        (said(f"{NAMED} really?", **OUTSIDE, **PICKED), "> at 100\n\nreally?"),
        (said(f"{NAMED} really?", **OUTSIDE), "really?"),
        (said(f"{NAMED} really?", **TOPIC, **NOTE), "really?"),
        (said(f"{NAMED} really?", reply_to_message=captioned("A cat", by=BOB)), "> A cat\n\nreally?"),
        (said(f"{NAMED} really?", reply_to_message=said(by=BOB, **PHOTO)), "really?"),
        (said(f"{NAMED} really?", **replied("x" * 1000)), f"> {'x' * 1000}\n\nreally?"),
        (said(f"{NAMED} really?", **replied("x" * 1001)), f"> {'x' * 1000}…\n\nreally?"),
        (said(NAMED, **BOBS), "Water boils\n\nat 100 °C."),
        (said(NAMED, **BOBS, **PICKED), "at 100"),
        (said(NAMED, **replied("x" * 1001)), "x" * 1001),
        (said(NAMED, reply_to_message=captioned("A cat", by=BOB)), "A cat"),
        (said(NAMED, reply_to_message=said(by=BOB, **PHOTO)), "/start"),
        (said(NAMED, **REPLY), "/start"),
        (said(NAMED, **REPLY, **PICKED), "at 100"),
        (said(NAMED, **replied(f"{NAMED} what is it?")), "what is it?"),
        (said(NAMED, **replied("/clear")), "/ask /clear"),
        (said("/ask really?", **BOBS), f"/ask {BOBS_QUOTED}\n\nreally?"),
        (said("/ask@qwentin_bot", **BOBS), "/ask@qwentin_bot Water boils\n\nat 100 °C."),
        (said("/ask"), "/ask"),
        (said("/temp 0.5", **BOBS), "/temp 0.5"),
        (said("/start", **BOBS), "/start"),
    ],
)
def test_what_was_replied_to_goes_before_the_question(message: Json, wanted: str) -> None:
    assert text(message) == wanted


MOVING: Json = {**FILE, "width": 1, "height": 1, "duration": 1}
STICKER: Json = {**FILE, "width": 1, "height": 1, "is_animated": False, "is_video": False, "type": "regular"}
MEDIA: list[Json] = [
    PHOTO, {"video": MOVING}, {"document": FILE}, {"audio": MOVING}, {"voice": MOVING},
    {"animation": MOVING, "document": FILE},
]  # fmt: skip
WORDLESS: list[Json] = [
    *MEDIA, {"video_note": {**MOVING, "length": 1}}, {"sticker": STICKER}, {"dice": {"value": 1, "emoji": "🎲"}},
    {"location": {"longitude": 1.0, "latitude": 1.0}}, {"contact": {"phone_number": "1", "first_name": "x"}},
]  # fmt: skip
SERVICE: list[Json] = [
    {"new_chat_members": [BOB]}, {"left_chat_member": BOB}, {"new_chat_title": "x"}, {"delete_chat_photo": True},
    {"new_chat_photo": PHOTO["photo"]}, {"group_chat_created": True}, {"pinned_message": said("x")},
    {"forum_topic_created": {"name": "T", "icon_color": 1}}, {"forum_topic_closed": {}}, {"video_chat_started": {}},
    {"message_auto_delete_timer_changed": {"message_auto_delete_time": 1}},
]  # fmt: skip


@each_row("media", MEDIA, ids=lambda media: next(iter(media)))
def test_a_caption_is_the_question(media: Json) -> None:
    more = {"caption": "what is it", **media}
    assert text(said("", PRIVATE, **more)) == f"what is it{UNSEEN}"
    assert text(said("", GROUP, **more)) is None
    assert text(said("", GROUP, **more, **REPLY)) == f"what is it{UNSEEN}"


@each_row("content", WORDLESS, ids=lambda content: next(iter(content)))
def test_without_words_it_is_noticed_in_private_only(content: Json) -> None:
    assert text(said("", PRIVATE, **content)) == ""
    assert text(said("", PRIVATE, **content, **BOBS)) == ""
    assert text(said("", GROUP, **content, **REPLY)) is None


@each_row("content", SERVICE, ids=lambda content: next(iter(content)))
def test_telegrams_own_notes_are_passed_over(content: Json) -> None:
    assert taken(said("", PRIVATE, **content)) is None
    assert taken(said("", GROUP, **content, **REPLY)) is None


@each_row(
    ("message", "wanted"),
    [
        (captioned(f"{NAMED} what is it"), f"what is it{UNSEEN}"),
        (captioned(NAMED), None),
        (captioned(NAMED, PRIVATE), ""),
        (captioned(NAMED, **BOBS), f"Water boils\n\nat 100 °C.{UNSEEN}"),
        (captioned("/ask what is it"), f"/ask what is it{UNSEEN}"),
        (captioned("/temp 0.5"), "/temp 0.5"),
        (captioned(f"{NAMED} so?", **BOBS), f"{BOBS_QUOTED}\n\nso?{UNSEEN}"),
        (captioned("Gì đây", PRIVATE, **{"from": VAN}), f"Gì đây{UNSEEN}"),
    ],
)
def test_captions(message: Json, wanted: str | None) -> None:
    assert text(message) == wanted


def test_an_album_is_one_question() -> None:
    pieces = [
        captioned("", media_group_id="9", number=5),
        captioned(f"{NAMED} first", media_group_id="9", number=6),
        captioned("second", media_group_id="9", number=7),
    ]
    got = taken(*pieces)
    assert isinstance(got, Incoming)
    assert (got.external_id, got.seq, shown(got)) == ("g:-100:9", 5, f"first\nsecond{UNSEEN}")
    assert taken(pieces[2]) is None
    assert text(pieces[0], {**pieces[2], **REPLY}) == f"second{UNSEEN}"
    assert text(captioned("", PRIVATE, media_group_id="9"), captioned("", PRIVATE, media_group_id="9")) == ""
    assert text(*2 * [captioned("x" * 4096, PRIVATE, media_group_id="9")]) == f"{'x' * 4096}\n{'x' * 4096}{UNSEEN}"


def test_a_long_paste_is_one_question() -> None:
    hard, soft = "😀" * 2041 + "x", "y" * 4001
    pieces = [said(f"{NAMED} {hard}", number=5), said(soft, number=6), said("end", number=7)]
    got = taken(*pieces)
    assert isinstance(got, Incoming) and utf16(pieces[0]["text"]) == 4096
    assert (got.external_id, got.seq, got.text) == ("m:-100:5", 5, f"{hard}{soft}\nend")
    assert text(*[said(piece["text"].replace(NAMED, ""), PRIVATE) for piece in pieces[1:]]) == f"{soft}\nend"
    assert text(pieces[1], said(f"end {NAMED}")) == f"{soft}\nend"
    assert text(pieces[1], said("end")) is None
    assert text(said(f"/system {soft}"), said("more")) == f"/system {soft}\nmore"
    assert text(said(soft), said("end", **REPLY)) == f"{soft}\nend"


def test_a_group_moves() -> None:
    """Telegram says so in both groups."""
    old = {**GROUP, "id": -1, "type": "group"}
    assert taken(said("", old, migrate_to_chat_id=-100)) == Migration("-1", "-100")
    assert taken(said("", by=ANONYMOUS, sender_chat=GROUP, migrate_from_chat_id=-1)) == Migration("-1", "-100")


RIGHTS: Json = {name: False for name in ChatMemberRestricted.__slots__ if name.startswith("can_")}
POWERS: Json = {name: False for name in ChatMemberAdministrator.__slots__ if name.startswith(("can_", "is_"))}
RESTRICTED: Json = {"status": "restricted", "until_date": 0, **RIGHTS}
THERE: list[Json] = [{"status": "member"}, {"status": "administrator", **POWERS}, {**RESTRICTED, "is_member": True}]
GONE: list[Json] = [{"status": "left"}, {"status": "kicked", "until_date": 0}, {**RESTRICTED, "is_member": False}]


@each_row(("now", "member"), [*((now, True) for now in THERE), *((now, False) for now in GONE)])
def test_the_bot_comes_and_goes(now: Json, member: bool) -> None:
    change = {"chat": GROUP, "from": ANN, "date": 1, "old_chat_member": {"status": "left", "user": BOT}}
    got = parse_updates([update("my_chat_member", **change, new_chat_member={**now, "user": BOT})], ME, NOW_MS)
    assert got == Membership("-100", member)


def test_other_kinds_are_passed_over() -> None:
    assert parse_updates([update("channel_post", **said("/help"))], ME, NOW_MS) is None
    assert parse_updates([Update(1)], ME, NOW_MS) is None


WORDS = st.text(st.sampled_from("@qwentin_bot/ask \n,:😀\ud83d\ude00"), max_size=40) | st.text(max_size=40)
KIND = st.sampled_from(["mention", "bot_command", "text_mention", "bold", "new"])
ENTITY = st.builds(
    lambda kind, offset, length, user: {"type": kind, "offset": offset, "length": length, "user": user},
    KIND, st.integers(-3, 50), st.integers(-3, 50), st.sampled_from([BOT, BOB]),
)  # fmt: skip


@given(st.lists(st.tuples(WORDS, st.lists(ENTITY, max_size=4)), min_size=1, max_size=3), WORDS, st.booleans())
def test_nothing_that_people_write_breaks_it(pieces: list[tuple[str, list[Json]]], before: str, private: bool) -> None:
    plain = said("", PRIVATE if private else GROUP, reply_to_message=said(before, by=BOB))
    for texts, marks in (("text", "entities"), ("caption", "caption_entities")):
        got = taken(*({**plain, texts: words, marks: spans} for words, spans in pieces))
        assert got is None or (isinstance(got, Incoming) and (got.text or private))


@given(st.text(st.sampled_from("/ask@ab \n\t:é😀"), max_size=20) | st.text(max_size=20))
def test_a_plain_text_is_read_like_one_that_needs_more(words: str) -> None:
    reply_to_the_bot = said(words, PRIVATE, reply_to_message=said("x", PRIVATE, by=BOT))
    assert taken(said(words, PRIVATE)) == taken(reply_to_the_bot)


@given(st.text(max_size=30))
def test_a_name_at_either_end_leaves_the_question(words: str) -> None:
    question = f"x{words.replace('@', '')} y"
    assert text(said(f"{NAMED} {question}")) == text(said(f"{question} {NAMED}")) == question
