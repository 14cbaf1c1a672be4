"""Commands on a Discord server of the tests: what may be registered, and options as a client lets people fill them."""

import re
from typing import Any

import discord

from tests.platforms.discord_channels import Channel
from tests.platforms.discord_world import Payload, Person, World

CHAT, USER, MESSAGE = 1, 2, 3
SUBCOMMAND, GROUP, STRING, INTEGER, BOOLEAN, PERSON, CHANNEL, NUMBER = 1, 2, 3, 4, 5, 6, 7, 10
LOCALES = frozenset(str(locale) for locale in discord.Locale)
_NAME = re.compile(r"[-_'\w]{1,32}")
_TYPES: dict[int, tuple[type, ...]] = {STRING: (str,), INTEGER: (int,), BOOLEAN: (bool,), NUMBER: (int, float),
                                       PERSON: (Person,), CHANNEL: (Channel,)}  # fmt: skip


def faults_of(command: Payload) -> list[str]:
    """What Discord would not take."""
    name, kind = str(command.get("name", "")), command.get("type", CHAT)
    found = _named(command, kind)
    if kind == CHAT:
        found += _described(command) + _options(command.get("options") or [])
    elif command.get("description") or command.get("options"):
        found.append("a description or options in a menu")
    for key, allowed in (("integration_types", {0, 1}), ("contexts", {0, 1, 2})):
        values = command.get(key)
        if values is not None and not (set(values) <= allowed and len(set(values)) == len(values)):
            found.append(f"{key} {values}")
    permissions = command.get("default_member_permissions")
    if permissions is not None and not str(permissions).isdigit():
        found.append(f"default_member_permissions {permissions!r}")
    if _weight(command) > 8000:
        found.append("more than 8,000 characters")
    return [f"command {name!r}: {each}" for each in found]


def faults_together(commands: list[Payload]) -> list[str]:
    """What Discord would not take of them together."""
    names = [(command.get("type", CHAT), command.get("name")) for command in commands]
    found = ["two commands of one name"] if len(set(names)) < len(names) else []
    for kind, most in ((CHAT, 100), (USER, 15), (MESSAGE, 15)):
        if sum(each == kind for each, _ in names) > most:
            found.append(f"more than {most} commands of type {kind}")
    return found


def _weight(thing: Payload) -> int:
    """The characters that count: of each text only its longest translation, and all that is inside."""
    inner = [*(thing.get("options") or []), *(thing.get("choices") or [])]
    texts = [
        max(len(text) for text in [str(thing.get(key) or ""), *(thing.get(f"{key}_localizations") or {}).values()])
        for key in ("name", "description", "value")
    ]
    return sum(texts) + sum(_weight(each) for each in inner)


def _named(thing: Payload, kind: int) -> list[str]:
    localized = thing.get("name_localizations") or {}
    found = [f"locale {locale!r}" for locale in localized if locale not in LOCALES]
    for name in [str(thing.get("name", "")), *localized.values()]:
        if kind == CHAT and not (_NAME.fullmatch(name) and name == name.lower()):
            found.append(f"name {name!r}")
        if kind != CHAT and not 1 <= len(name) <= 32:
            found.append(f"name {name!r}")
    return found


def _described(thing: Payload) -> list[str]:
    localized = thing.get("description_localizations") or {}
    found = [f"locale {locale!r}" for locale in localized if locale not in LOCALES]
    texts = [str(thing.get("description", "")), *localized.values()]
    return found + [f"description {text!r}" for text in texts if not 1 <= len(text) <= 100]


def _options(options: list[Payload]) -> list[str]:
    found = ["more than 25 options"] if len(options) > 25 else []
    if len({option.get("name") for option in options}) < len(options):
        found.append("two options of one name")
    required = [bool(option.get("required")) for option in options]
    if required != sorted(required, reverse=True):
        found.append("a required option after one that is not")
    for option in options:
        found += [f"option {option.get('name')!r}: {each}" for each in _option(option)]
    return found


def _option(option: Payload) -> list[str]:
    kind, choices = option.get("type"), option.get("choices") or []
    found = _named(option, CHAT) + _described(option)
    if kind not in range(1, 12):
        found.append(f"type {kind}")
    if kind in (SUBCOMMAND, GROUP):
        return found + _options(option.get("options") or [])
    if len(choices) > 25 or (choices and option.get("autocomplete")):
        found.append("more than 25 choices, or choices and autocompletion")
    for choice in choices:
        names = [str(choice.get("name", "")), *(choice.get("name_localizations") or {}).values()]
        found += [f"choice {name!r}" for name in names if not 1 <= len(name) <= 100]
        if not isinstance(choice.get("value"), _TYPES.get(kind or 0, ())) or len(str(choice["value"])) > 100:
            found.append(f"choice {choice.get('value')!r}")
    return found + _bounds(option, kind)


def _bounds(option: Payload, kind: Any) -> list[str]:
    found = []
    for low, high, kinds in (("min_value", "max_value", (INTEGER, NUMBER)), ("min_length", "max_length", (STRING,))):
        given = [option[key] for key in (low, high) if option.get(key) is not None]
        if given and (kind not in kinds or given != sorted(given)):
            found.append(f"{low} or {high} {given}")
    if option.get("min_length") is not None and not 0 <= option["min_length"] <= 6000:
        found.append("min_length")
    if option.get("max_length") is not None and not 1 <= option["max_length"] <= 6000:
        found.append("max_length")
    return found


def registered(application_id: int, command: Payload, id: int, version: int) -> Payload:
    """A command as Discord shows it once it has it."""
    kind = command.get("type", CHAT)
    filled: Payload = {"id": str(id), "application_id": str(application_id), "version": str(version), "type": kind,
                       "description": "", "default_member_permissions": None, "nsfw": False,
                       "name_localizations": None, "description_localizations": None, "contexts": None,
                       "integration_types": [0, 1], "dm_permission": True, "options": []}  # fmt: skip
    return filled | {key: value for key, value in command.items() if value is not None}


# What a client does


def chosen(world: World, command: Payload, path: list[str], values: Payload) -> tuple[list[Payload], Payload]:
    """The options as a client sends them for what was typed, and what is resolved for them."""
    options = command.get("options") or []
    if path:
        inner = next((each for each in options if each["name"] == path[0] and each["type"] <= GROUP), None)
        assert inner, f"/{command['name']} has no subcommand {path[0]}"
        sent, resolved = chosen(world, inner, path[1:], values)
        return [{"name": inner["name"], "type": inner["type"], "options": sent}], resolved
    by_name = {option["name"]: option for option in options}
    assert not (strange := values.keys() - by_name.keys()), f"/{command['name']} has no option {strange}"
    absent = [name for name, option in by_name.items() if option.get("required") and name not in values]
    assert not absent, f"/{command['name']} needs {absent}"
    sent, resolved = [], {}
    for name, value in values.items():
        _check_value(by_name[name], value)
        if isinstance(value, Person):
            resolved.setdefault("users", {})[str(value.id)] = value.user
        if isinstance(value, Channel):
            resolved.setdefault("channels", {})[str(value.id)] = value.about | {"permissions": "0"}
        plain = str(value.id) if isinstance(value, Person | Channel) else value
        sent.append({"name": name, "type": by_name[name]["type"], "value": plain})
    return sent, resolved


def _check_value(option: Payload, value: Any) -> None:
    kind, name = option["type"], option["name"]
    right = isinstance(value, _TYPES[kind]) and (kind == BOOLEAN or not isinstance(value, bool))
    assert right, f"option {name} takes no {value!r}"
    offered = [choice["value"] for choice in option.get("choices") or []]
    assert not offered or value in offered, f"option {name} offers {offered}, not {value!r}"
    measure = len(value) if kind == STRING else value
    for key, sign in (("min_value", 1), ("min_length", 1), ("max_value", -1), ("max_length", -1)):
        bound = option.get(key)
        assert bound is None or sign * (measure - bound) >= 0, f"option {name} has {key} {bound}, {value!r} breaks it"
