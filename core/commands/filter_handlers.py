"""/filter: a conversation's level, its own words, and the words that it allows."""

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from core.commands.setting_handlers import change
from core.domain.conversation import Role, Setting
from core.domain.errors import Refused
from core.domain.settings import FILTER_LISTS
from core.domain.store import Transaction
from core.filters import WORD_LONGEST, Level, Policy, masked, normal
from core.i18n.markdown import escape

if TYPE_CHECKING:
    from core.commands.handlers import Call

WORDS_MOST = 500
"""In each of a conversation's two lists."""
WORDS, ALLOWED = FILTER_LISTS
RULES_SHOWN = 3
"""Of each category, in /status."""
STRICT = Policy(Level.STRICT)


async def run(call: "Call", tx: Transaction) -> str:
    """The level without more; else what the first word says. Everybody may see the level and try a text."""
    verb, *after = call.argument.split(None, 1) or [""]
    rest = after[0].strip() if after else ""
    if (function := _VERBS.get(verb.lower())) is None:
        if verb and not call.setter:
            raise Refused("refused.may", usage="/filter")
        said = await change(call, tx, "filter", call.argument)
        return said if verb else f"{said}\n{_how_many(call, await _policy(call, tx))}"
    if function is not _test and not call.setter:
        raise Refused("refused.admins")
    return await function(call, tx, rest)


async def _policy(call: "Call", tx: Transaction) -> Policy:
    return call.rules.settings(await tx.preferences.settings(call.reply.chat)).policy


async def _add(call: "Call", tx: Transaction, rest: str) -> str:
    await _move(call, tx, word := _word(rest), WORDS)
    return call.t("filter.added", word=_shown(call, word))


async def _allow(call: "Call", tx: Transaction, rest: str) -> str:
    """What the owner's minimum finds, only the owner lets through."""
    word = _word(rest)
    if (
        call.role < Role.OWNER
        and call.filter.check(word.strip("*"), Policy(call.rules.min_level, owners=call.rules.owner_wordlist)).blocked
    ):
        raise Refused("refused.allow", level=call.rules.min_level)
    await _move(call, tx, word, ALLOWED)
    return call.t("filter.allowed", word=_shown(call, word))


def _shown(call: "Call", word: str) -> str:
    """A word of the lists, so that it may be shown at any level."""
    return escape(masked(word.lstrip("*")) if call.filter.check(word.strip("*"), STRICT).blocked else word)


async def _move(call: "Call", tx: Transaction, word: str, to: str) -> None:
    """Into one list, out of the other. Raises Refused where the list is full."""
    policy = await _policy(call, tx)
    lists = {WORDS: [*policy.words], ALLOWED: [*policy.allowed]}
    if word not in lists[to]:
        if len(lists[to]) >= WORDS_MOST:
            raise Refused("bad.filter_full", most=WORDS_MOST)
        lists[to].append(word)
    for name, words in lists.items():
        await _store(call, tx, name, [each for each in words if each != word or name == to])


async def _store(call: "Call", tx: Transaction, name: str, words: list[str]) -> None:
    if words:
        setting = Setting(json.dumps(words, ensure_ascii=False), call.reply.author.name, call.now)
        await tx.preferences.set(call.reply.chat, name, setting)
        return
    await tx.preferences.delete(call.reply.chat, name)
    if (await tx.preferences.settings(call.reply.chat)).get(name):  # the whole chat has some: none here
        await tx.preferences.set(call.reply.chat, name, Setting("[]", call.reply.author.name, call.now))


async def _remove(call: "Call", tx: Transaction, rest: str) -> str:
    word, policy = _word(rest), await _policy(call, tx)
    for name, words in ((WORDS, policy.words), (ALLOWED, policy.allowed)):
        if word in words:
            await _store(call, tx, name, [each for each in words if each != word])
            return call.t("filter.removed", word=_shown(call, word))
    raise Refused("filter.unknown", word=_shown(call, word))


async def _list(call: "Call", tx: Transaction, rest: str) -> str:
    if rest:
        raise Refused("bad.filter")
    policy = await _policy(call, tx)
    listed = {"filter.words": policy.words, "filter.allows": policy.allowed}
    lines = [
        call.t(key, words=", ".join(_shown(call, word) for word in sorted(words)))
        for key, words in listed.items()
        if words
    ]
    return "\n\n".join(lines) if lines else call.t("filter.empty")


async def _test(call: "Call", tx: Transaction, rest: str) -> str:
    if not rest:
        raise Refused("bad.filter")
    policy = await _policy(call, tx)
    found = call.filter.check(rest, policy)
    if not found.category:
        return call.t("filter.passes", level=policy.level)
    what = {"category": call.t(f"category.{found.category}"), "severity": found.severity, "level": policy.level}
    return call.t(f"filter.{found.action}s", rule=_rule(found.rule), **what)


def counted(call: "Call") -> str:
    """For the owner: what was found since the start, by category and the entries that were found most."""
    by_category: dict[str, dict[str, int]] = {}
    for (category, rule), count in call.filter.counts().items():
        by_category.setdefault(category, {})[rule] = count
    return "; ".join(
        call.t(f"category.{category}") + f" {sum(rules.values())}" + _most(rules)
        for category, rules in sorted(by_category.items())
    )


def _most(rules: dict[str, int]) -> str:
    named = [f"{_rule(rule)} {count}" for rule, count in list(rules.items())[:RULES_SHOWN] if rule]
    return f" ({', '.join(named)})" if named else ""


def _rule(rule: str) -> str:
    """An entry's name, so that it may be shown at any level."""
    language, _, entry = rule.partition(":")
    return f"{language}: {masked(entry.strip('*'))}"


def _word(text: str) -> str:
    if not text or len(text) > WORD_LONGEST or not (word := normal(text)):
        raise Refused("bad.filter_word", most=WORD_LONGEST)
    return word


def _how_many(call: "Call", policy: Policy) -> str:
    return call.t("filter.counted", words=len(policy.words), allowed=len(policy.allowed))


_VERBS: dict[str, Callable[["Call", Transaction, str], Awaitable[str]]] = {
    "add": _add,
    "remove": _remove,
    "allow": _allow,
    "list": _list,
    "test": _test,
}
