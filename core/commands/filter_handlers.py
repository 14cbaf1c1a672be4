"""/filter: a conversation's level, its own words, and the words that it allows."""

import json
from collections.abc import Awaitable, Callable

from core.commands.context import Call, Outcome
from core.commands.setting_handlers import change_setting
from core.domain.conversation import OptionValue, Role, Setting
from core.domain.errors import Refused
from core.domain.settings import FILTER_LISTS
from core.domain.store import Transaction
from core.filters import MAX_WORD_CHARACTERS, Level, Policy, mask_word, normalize_word
from core.i18n.markdown import escape

MAX_LIST_WORDS = 500
"""Words in each of a conversation's two lists."""
MAX_COUNTED_RULES = 3
"""Rules of each category that /status names."""

OWN_LIST, ALLOWED_LIST = FILTER_LISTS
_STRICT = Policy(Level.STRICT)


async def change_filter(call: Call, tx: Transaction) -> Outcome:
    """/filter: show or set the level, or do what one of the other options says. Everybody may look and try a text."""
    if not call.arguments:
        level = await change_setting(call, tx, "filter", "")
        policy = await _policy(call, tx)
        counts = call.t("filter.counted", words=len(policy.words), allowed=len(policy.allowed))
        return Outcome(f"{level}\n{counts}")
    if "level" in call.arguments:
        if not call.may_change:
            raise Refused("refused.may", usage="/filter")
        if len(call.arguments) > 1:
            raise Refused("bad.filter")
        return Outcome(await change_setting(call, tx, "filter", call.arguments["level"]))
    [(name, value)] = call.arguments.items()
    if name != "test" and not call.may_change:
        raise Refused("refused.admins")
    return Outcome(await _ACTIONS[name](call, tx, value))


async def _policy(call: Call, tx: Transaction) -> Policy:
    return call.rules.settings(await tx.preferences.settings(call.reply.chat)).policy


async def _add(call: Call, tx: Transaction, value: OptionValue) -> str:
    word = _parse_word(value)
    await _put_into(call, tx, word, OWN_LIST)
    return call.t("filter.added", word=_format_word(call, word))


async def _allow(call: Call, tx: Transaction, value: OptionValue) -> str:
    """What the owner's lowest level blocks, only the owner may allow."""
    word = _parse_word(value)
    lowest = Policy(call.rules.min_level, owners=call.rules.owner_wordlist)
    if call.role < Role.OWNER and call.filter.check(word.strip("*"), lowest).blocked:
        raise Refused("refused.allow", level=call.rules.min_level)
    await _put_into(call, tx, word, ALLOWED_LIST)
    return call.t("filter.allowed", word=_format_word(call, word))


def _format_word(call: Call, word: str) -> str:
    """A word of the lists, in a form that passes the final check at any level."""
    return escape(mask_word(word.lstrip("*")) if call.filter.check(word.strip("*"), _STRICT).blocked else word)


async def _put_into(call: Call, tx: Transaction, word: str, target: str) -> None:
    """Put a word into one list and take it out of the other. Raises Refused where the list is full."""
    policy = await _policy(call, tx)
    lists = {OWN_LIST: [*policy.words], ALLOWED_LIST: [*policy.allowed]}
    if word not in lists[target]:
        if len(lists[target]) >= MAX_LIST_WORDS:
            raise Refused("bad.filter_full", most=MAX_LIST_WORDS)
        lists[target].append(word)
    for name, words in lists.items():
        await _store(call, tx, name, [each for each in words if each != word or name == target])


async def _store(call: Call, tx: Transaction, name: str, words: list[str]) -> None:
    if words:
        setting = Setting(json.dumps(words, ensure_ascii=False), call.reply.author.name, call.now)
        await tx.preferences.set(call.reply.chat, name, setting)
        return
    await tx.preferences.delete(call.reply.chat, name)
    if (await tx.preferences.settings(call.reply.chat)).get(name):  # the chat's list would show through in its topic
        await tx.preferences.set(call.reply.chat, name, Setting("[]", call.reply.author.name, call.now))


async def _remove(call: Call, tx: Transaction, value: OptionValue) -> str:
    word, policy = _parse_word(value), await _policy(call, tx)
    for name, words in ((OWN_LIST, policy.words), (ALLOWED_LIST, policy.allowed)):
        if word in words:
            await _store(call, tx, name, [each for each in words if each != word])
            return call.t("filter.removed", word=_format_word(call, word))
    raise Refused("filter.unknown", word=_format_word(call, word))


async def _list(call: Call, tx: Transaction, value: OptionValue) -> str:
    if value is not True:  # there is a text behind the flag
        raise Refused("bad.filter")
    policy = await _policy(call, tx)
    lists = {"filter.words": policy.words, "filter.allows": policy.allowed}
    lines = [
        call.t(key, words=", ".join(_format_word(call, word) for word in sorted(words)))
        for key, words in lists.items()
        if words
    ]
    return "\n\n".join(lines) if lines else call.t("filter.empty")


async def _test(call: Call, tx: Transaction, value: OptionValue) -> str:
    text = str(value)
    if not text:
        raise Refused("bad.filter")
    policy = await _policy(call, tx)
    verdict = call.filter.check(text, policy)
    if not verdict.category:
        return call.t("filter.passes", level=policy.level)
    return call.t(
        f"filter.{verdict.action}s",
        rule=_format_rule(verdict.rule),
        category=call.t(f"category.{verdict.category}"),
        severity=verdict.severity,
        level=policy.level,
    )


def describe_counts(call: Call) -> str:
    """What the filter has found since the start, for the owner: each category with its most frequent rules; "" where
    it has found nothing."""
    by_category: dict[str, dict[str, int]] = {}
    for (category, rule), count in call.filter.counts().items():
        by_category.setdefault(category, {})[rule] = count
    return "; ".join(
        call.t(f"category.{category}") + f" {sum(rules.values())}" + _most_frequent(rules)
        for category, rules in sorted(by_category.items())
    )


def _most_frequent(rules: dict[str, int]) -> str:
    counts = [f"{_format_rule(rule)} {count}" for rule, count in list(rules.items())[:MAX_COUNTED_RULES] if rule]
    return f" ({', '.join(counts)})" if counts else ""


def _format_rule(rule: str) -> str:
    """A rule's name, in a form that passes the final check at any level. A guard model's is no word of a list."""
    language, _, entry = rule.partition(":")
    return f"{language}: {mask_word(entry.strip('*'))}" if entry else rule


def _parse_word(value: OptionValue) -> str:
    """A word for the lists, normalised. Raises Refused."""
    text = str(value).strip()
    if not text or len(text) > MAX_WORD_CHARACTERS or not (word := normalize_word(text)):
        raise Refused("bad.filter_word", most=MAX_WORD_CHARACTERS)
    return word


_ACTIONS: dict[str, Callable[[Call, Transaction, OptionValue], Awaitable[str]]] = {
    "add": _add,
    "remove": _remove,
    "allow": _allow,
    "list": _list,
    "test": _test,
}
"""What each option but the level does."""
