"""One setting of a conversation shown, set or reset by a command."""

from typing import TYPE_CHECKING

from core.commands import settings_view as panel
from core.domain.conversation import Setting
from core.domain.errors import Refused
from core.domain.settings import SETTING_PARSERS, Source, Value
from core.domain.store import Transaction

if TYPE_CHECKING:
    from core.commands.handlers import Call


async def change(call: "Call", tx: Transaction, name: str, argument: str) -> str:
    """What is in force without an argument; else it is set, or reset. Raises Refused."""
    rows = await tx.preferences.settings(call.reply.chat)
    old = call.rules.value(name, rows.get(name))
    if not argument:
        return call.t("set.shown", **_told(call, value=old), source=panel.source(old, call.language))
    if argument.lower() == "reset":
        await tx.preferences.delete(call.reply.chat, name)
        new = call.rules.value(name, (await tx.preferences.settings(call.reply.chat)).get(name))
        key = "set.reset_chat" if new.source is Source.CHAT else "set.reset"
        return call.t(key, **_told(call, old=old, new=new))
    setting = Setting(str(SETTING_PARSERS[name](argument)), call.reply.author.name, call.now)
    if call.filter.check(setting.value, call.rules.settings(rows).policy).blocked:
        raise Refused("blocked.setting")
    await tx.preferences.set(call.reply.chat, name, setting)
    return _changed(call, old, call.rules.value(name, setting))


def _changed(call: "Call", old: Value, new: Value) -> str:
    texts = _told(call, old=old, new=new)
    if new.clamped:
        return call.t("set.clamped", wanted=panel.wanted(new, call.language), **texts)
    return call.t("set.same", **texts) if old.value == new.value else call.t("set.changed", **texts)


def _told(call: "Call", **values: Value) -> dict[str, str]:
    """Values of one setting as texts, with its name."""
    name = panel.named(next(iter(values.values())), call.language)
    return {"name": name, **{key: panel.shown(value, call.language) for key, value in values.items()}}
