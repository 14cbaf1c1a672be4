"""One setting of a conversation shown, set or reset by a command."""

from core.commands import settings_view
from core.commands.context import Call, Handler, Outcome
from core.domain.conversation import OptionValue, Setting
from core.domain.errors import Refused
from core.domain.settings import SETTING_PARSERS, Source, Value
from core.domain.store import Transaction

RESET = "reset"
"""In place of a value: back to the default."""


def setting_handler(name: str) -> Handler:
    """The handler of a command whose only option is the value of the setting `name`, beside a flag that resets it."""

    async def handle(call: Call, tx: Transaction) -> Outcome:
        value = RESET if RESET in call.arguments else next(iter(call.arguments.values()), "")
        return Outcome(await change_setting(call, tx, name, value))

    return handle


async def change_setting(call: Call, tx: Transaction, name: str, value: OptionValue) -> str:
    """Set a setting, reset it (RESET, in any case), or show what is in force (""), and return what is said about it.

    Who may is not checked. Raises Refused for a value that the setting does not take.
    """
    rows = await tx.preferences.settings(call.reply.chat)
    old = call.rules.value(name, rows.get(name))
    if value == "":
        source = settings_view.describe_source(old, call.language)
        return call.t("set.shown", **_format(call, value=old), source=source)
    if isinstance(value, str) and value.lower() == RESET:
        await tx.preferences.delete(call.reply.chat, name)
        new = call.rules.value(name, (await tx.preferences.settings(call.reply.chat)).get(name))
        key = "set.reset_chat" if new.source is Source.CHAT else "set.reset"
        return call.t(key, **_format(call, old=old, new=new))
    setting = Setting(str(SETTING_PARSERS[name](value)), call.reply.author.name, call.now)
    if call.filter.check(setting.value, call.rules.settings(rows).policy).blocked:
        raise Refused("blocked.setting")
    await tx.preferences.set(call.reply.chat, name, setting)
    new = call.rules.value(name, setting)
    texts = _format(call, old=old, new=new)
    if new.clamped:
        return call.t("set.clamped", wanted=settings_view.format_requested(new, call.language), **texts)
    return call.t("set.same", **texts) if old.value == new.value else call.t("set.changed", **texts)


def _format(call: Call, **values: Value) -> dict[str, str]:
    """Values of one setting as texts by the same keys, and the setting's name as "name"."""
    name = next(iter(values.values())).name
    return {
        "name": call.t(f"name.{name}"),
        **{key: settings_view.format_value(value, call.language) for key, value in values.items()},
    }
