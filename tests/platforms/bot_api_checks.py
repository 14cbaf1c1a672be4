"""What Telegram takes and what it refuses, in its own words; and what a bot of ours must never send."""

import json
import re
from typing import Any

import aiogram.methods
from aiogram.types import InlineKeyboardMarkup, MessageEntity

TEXTS = ("text", "callback_query_id", "action", "language_code", "description", "short_description", "url", "name",
         "parse_mode", "chat_id", "secret_token")  # fmt: skip
"""Parameters that are text whatever they look like: "42" stays "42"."""
ACTIONS = ("typing", "upload_photo", "upload_document", "choose_sticker", "find_location")
ALONE = ("code", "pre")
LINKS = ("text_link", "text_mention")


class Refusal(Exception):
    """What the server answers instead of a result."""

    def __init__(self, code: int, description: str, **parameters: Any) -> None:
        super().__init__(description)
        self.code, self.description, self.parameters = code, description, parameters


def bad(words: str) -> Refusal:
    """400."""
    return Refusal(400, f"Bad Request: {words}")


def width(text: str) -> int:
    """UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def decoded(method: str, raw: dict[str, str]) -> dict[str, Any]:
    """The parameters as values, checked against the Bot API as aiogram has it. Raises ValueError."""
    model = getattr(aiogram.methods, method[0].upper() + method[1:])
    values = {name: value if name in TEXTS else _value(value) for name, value in raw.items()}
    if unknown := values.keys() - model.model_fields.keys():
        raise ValueError(f"{method} has no {', '.join(sorted(unknown))}")
    model.model_validate(values)
    return values


def _value(raw: str) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw


def complaints(method: str, values: dict[str, Any]) -> list[str]:
    """What is wrong with a call although Telegram might take it."""
    found = ["parse_mode is never sent"] if "parse_mode" in values else []
    if method in ("sendMessage", "editMessageText") and "rich_message" not in values:
        found += _text_complaints(values)
    if method == "sendMessageDraft":
        found += entities_complaints(values.get("text", ""), values.get("entities") or [])
    if values.get("message_thread_id") == 1 and method in ("sendMessage", "sendRichMessage"):
        found.append("General takes no message_thread_id")
    if isinstance(markup := values.get("reply_markup"), dict):
        found += _keyboard_complaints(markup)
    if method == "answerCallbackQuery" and len(values.get("text", "")) > 200:
        found.append("an answer to a press has at most 200 characters")
    if method == "sendChatAction" and values.get("action") not in ACTIONS:
        raise bad("wrong parameter action in request")
    return found


def _text_complaints(values: dict[str, Any]) -> list[str]:
    text, found = values.get("text", ""), list[str]()
    if not (values.get("link_preview_options") or {}).get("is_disabled"):
        found.append("link previews must be off")
    if width(text) > 4096:
        found.append("text is too long")
    if text != text.strip():
        found.append("text begins or ends with white space")
    return found + entities_complaints(text, values.get("entities") or [])


def _keyboard_complaints(markup: dict[str, Any]) -> list[str]:
    rows = InlineKeyboardMarkup.model_validate(markup).inline_keyboard
    found = [f"{len(row)} buttons in a row" for row in rows if len(row) > 8]
    for button in (button for row in rows for button in row):
        if not 1 <= len((button.callback_data or "").encode()) <= 64:
            raise bad("BUTTON_DATA_INVALID")
    return found + (["too many buttons"] if sum(map(len, rows)) > 100 else [])


def entities_complaints(text: str, raw: list[Any]) -> list[str]:
    """Offsets inside the text, no half characters, nothing within code."""
    entities, units, found = [MessageEntity.model_validate(each) for each in raw], text.encode("utf-16-le"), []
    if len(entities) > 100:
        found.append("more than 100 entities")
    for entity in entities:
        start, end = entity.offset, entity.offset + entity.length
        if start < 0 or entity.length <= 0 or 2 * end > len(units):
            found.append(f"an entity outside the text: {entity.type}")
            continue
        try:
            inside = units[2 * start : 2 * end].decode("utf-16-le")
        except UnicodeDecodeError:
            found.append(f"an entity splits a character: {entity.type}")
            continue
        if not inside.strip():
            found.append(f"an entity around nothing: {entity.type}")
        if entity.type in LINKS and not re.match(r"(https?|tg|mailto|tel):", entity.url or ""):
            found.append(f"a link to {entity.url}")
    return found + _overlaps(entities)


def _overlaps(entities: list[MessageEntity]) -> list[str]:
    found = []
    for one in entities:
        for other in entities:
            first, second = (one.offset, one.offset + one.length), (other.offset, other.offset + other.length)
            if one is other or first[1] <= second[0] or second[1] <= first[0]:
                continue
            if one.type in ALONE and other.type != "blockquote":
                found.append(f"{other.type} and {one.type} overlap")
            if first[0] < second[0] < first[1] < second[1]:
                found.append(f"{one.type} and {other.type} cross")
    return found


def check_commands(values: dict[str, Any]) -> None:
    """setMyCommands."""
    commands = values.get("commands") or []
    names = [command["command"] for command in commands]
    if len(names) > 100 or not all(re.fullmatch(r"[a-z0-9_]{1,32}", name) for name in names):
        raise bad("BOT_COMMAND_INVALID")
    if not all(1 <= len(command["description"]) <= 256 for command in commands):
        raise bad("BOT_COMMAND_DESCRIPTION_INVALID")
