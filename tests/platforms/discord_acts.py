"""What people do on a Discord server of the tests besides talking: commands, menus, buttons, selects, forms."""

import time
from collections.abc import Callable
from typing import Any

from tests.platforms.discord_channels import BUTTON, DM, SELECTS, Channel, Message, walk
from tests.platforms.discord_commands import CHAT, MESSAGE, chosen
from tests.platforms.discord_interactions import (
    AUTOCOMPLETE,
    COMMAND,
    COMPONENT,
    MODAL,
    Interaction,
    InteractionRoutes,
)
from tests.platforms.discord_world import Payload, Person, World

IN_GUILD, IN_DM, ELSEWHERE = 0, 1, 2
TEXT_INPUT = 4
FOREIGN_PERMISSIONS = 1 << 10 | 1 << 11 | 1 << 14 | 1 << 15
"""What an application may do in a server that it is no member of."""


class Acts(World):
    """A world in which people use what the bot offers. What no client would let them do fails the test at once."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock)
        self.interactions = InteractionRoutes(self)
        self.commands: list[Payload] = []
        """What is registered."""

    def slash(self, person: Person, channel: Channel, name: str, **values: Any) -> Interaction:
        """A command; "settings show" is a subcommand. Values: text, numbers, people, channels."""
        command, path = self._command(person, channel, name, CHAT)
        options, resolved = chosen(self, command, path, values)
        data = {"id": command["id"], "name": command["name"], "type": CHAT, "options": options}
        return self._happens(Interaction(self, COMMAND, person, channel, data | _resolved(resolved)))

    def menu(self, person: Person, channel: Channel, name: str, message: Message) -> Interaction:
        """A command of a message's context menu."""
        command, _ = self._command(person, channel, name, MESSAGE)
        data = {"id": command["id"], "name": command["name"], "type": MESSAGE, "target_id": str(message.id),
                "resolved": {"messages": {str(message.id): message.payload()}}}  # fmt: skip
        return self._happens(Interaction(self, COMMAND, person, channel, data))

    def autocomplete(self, person: Person, channel: Channel, name: str, option: str, typed: str, **values: Any
                     ) -> Interaction:  # fmt: skip
        """What is typed in an option so far. Values: the other options."""
        command, path = self._command(person, channel, name, CHAT)
        assert not path, "a subcommand's option is not completed here"
        found = {each["name"]: each for each in command["options"]}[option]
        assert found.get("autocomplete"), f"{name} {option} completes nothing"
        required = [each | {"required": False} for each in command["options"]]
        options, _ = chosen(self, command | {"options": required}, [], values)
        options.append({"name": option, "type": found["type"], "value": typed, "focused": True})
        data = {"id": command["id"], "name": name, "type": CHAT, "options": options}
        return self._happens(Interaction(self, AUTOCOMPLETE, person, channel, data))

    def press(self, person: Person, channel: Channel, label: str = "", *, message: Message | None = None,
              custom_id: str | None = None) -> Interaction:  # fmt: skip
        """A button, by how its label begins, of the newest message that has it; or a custom_id that no button has."""
        if custom_id is None:
            message, button = self._component(
                channel, message, lambda each: each["type"] == BUTTON and (each.get("label") or "").startswith(label)
            )
            assert not button.get("disabled"), f"{label} cannot be pressed"
            custom_id = button["custom_id"]
        data = {"custom_id": custom_id, "component_type": BUTTON, "id": 1}
        return self._used(person, channel, message or channel.last, data)

    def choose(self, person: Person, channel: Channel, name: str, *values: str, message: Message | None = None,
               forged: bool = False) -> Interaction:  # fmt: skip
        """In the select whose custom_id begins so: a value or what its option reads. Forged: whatever it offers."""
        message, select = self._component(
            channel, message, lambda each: each["type"] in SELECTS and each["custom_id"].startswith(name)
        )
        assert not select.get("disabled"), f"{name} cannot be used"
        offered = {option["label"]: option["value"] for option in select.get("options", [])}
        sent = [offered.get(value, value) for value in values]
        if not forged and select["type"] == SELECTS[0]:
            assert set(sent) <= set(offered.values()), f"{name} offers {offered}, not {values}"
            assert select.get("min_values", 1) <= len(sent) <= select.get("max_values", 1), f"{name} {values}"
        data = {"custom_id": select["custom_id"], "component_type": select["type"], "id": 1, "values": sent}
        return self._used(person, channel, message, data)

    def submit(self, person: Person, opened: Interaction, *values: str, **named: str) -> Interaction:
        """Send the form that an interaction was answered with: values in order, or by custom_id."""
        assert opened.modal is not None, "no form was opened"
        assert person == opened.person, "a form is shown to one person"
        given = list(values)
        rows = [self._filled(row, given, named) for row in opened.modal["components"]]
        assert not given and not named, f"the form has no field for {given} {named}"
        data = {"custom_id": opened.modal["custom_id"], "components": rows}
        interaction = Interaction(self, MODAL, person, opened.channel, data)
        interaction.source = opened.source
        return self._happens(interaction)

    # How it reaches the bot

    def _happens(self, interaction: Interaction) -> Interaction:
        channel, person, guild = interaction.channel, interaction.person, interaction.channel.guild
        context = IN_GUILD if guild else IN_DM if channel.kind == DM and not channel.foreign else ELSEWHERE
        interaction.owners = self._owners(interaction)
        permissions = guild.may(self.application_id, channel).value if guild else FOREIGN_PERMISSIONS
        data: Payload = {
            "id": str(interaction.id), "application_id": str(self.application_id), "type": interaction.kind,
            "token": interaction.token, "version": 1, "data": interaction.data, "channel_id": str(channel.id),
            "channel": channel.about | {"permissions": "0"}, "locale": person.locale, "context": context,
            "authorizing_integration_owners": interaction.owners, "entitlements": [], "entitlement_sku_ids": [],
            "attachment_size_limit": 10_485_760,
            "app_permissions": str(FOREIGN_PERMISSIONS if channel.foreign else permissions),
        }  # fmt: skip
        if guild is None:
            data["user"] = person.user
        else:
            member = guild.member(person.id, channel)
            assert member is not None, f"{person.name} is no member there"
            data |= {"guild_id": str(guild.id), "guild_locale": guild.locale, "member": member,
                     "guild": {"id": str(guild.id), "locale": guild.locale, "features": []}}  # fmt: skip
        if interaction.source is not None:
            data["message"] = interaction.source.payload()
        self.interactions.add(interaction)
        self.dispatch("INTERACTION_CREATE", data)
        return interaction

    def _owners(self, interaction: Interaction) -> Payload:
        if interaction.channel.foreign:
            return {"1": str(interaction.person.id)}
        guild = interaction.channel.guild
        return {"0": str(guild.id) if guild else "0"}

    def _used(self, person: Person, channel: Channel, message: Message, data: Payload) -> Interaction:
        seen = not message.ephemeral or (message.interaction is not None and message.interaction.person == person)
        assert seen, f"{person.name} does not see that message"
        interaction = Interaction(self, COMPONENT, person, channel, data)
        interaction.source = message
        return self._happens(interaction)

    def _component(self, channel: Channel, message: Message | None, fits: Callable[[Payload], bool]
                   ) -> tuple[Message, Payload]:  # fmt: skip
        for each in [message] if message else reversed(channel.messages):
            for component in walk(each.components):
                if fits(component):
                    return each, component
        shown = [(each.buttons, list(each.selects)) for each in channel.messages]
        raise AssertionError(f"nothing like it among {shown}")

    def _command(self, person: Person, channel: Channel, name: str, kind: int) -> tuple[Payload, list[str]]:
        """A command that the person can use there, and the path to a subcommand."""
        path = name.split(" ") if kind == CHAT else [name]
        of_kind = {command["name"]: command for command in self.commands if command["type"] == kind}
        assert path[0] in of_kind, f"no command {name!r} among {sorted(of_kind)}"
        command, guild = of_kind[path[0]], channel.guild
        context = IN_GUILD if guild else IN_DM if channel.kind == DM and not channel.foreign else ELSEWHERE
        everywhere = [IN_GUILD, IN_DM, ELSEWHERE] if command["dm_permission"] else [IN_GUILD]
        contexts = command["contexts"] if command["contexts"] is not None else everywhere
        assert context in contexts, f"{name!r} is not offered in context {context}"
        install = 1 if channel.foreign else 0
        assert install in command["integration_types"], f"{name!r} is not offered to install {install}"
        if guild is not None:
            may = guild.may(person.id, channel)
            assert channel.foreign or may.use_application_commands, f"{person.name} uses no commands there"
            needed = command["default_member_permissions"]
            if needed is not None and not channel.foreign:
                allowed = may.administrator or (int(needed) and may.value & int(needed) == int(needed))
                assert allowed, f"{person.name} lacks the permissions for {name!r}"
        return command, path[1:]

    def _filled(self, row: Payload, given: list[str], named: dict[str, str]) -> Payload:
        """A row of a form with what was entered."""
        if row["type"] == 10:
            return {"type": 10, "id": row.get("id", 0)}
        label = "component" in row
        field = row["component"] if label else row["components"][0]
        name, kind = field["custom_id"], field["type"]
        entered = named.pop(name) if name in named else given.pop(0) if given else field.get("value") or ""
        if kind == TEXT_INPUT:
            assert entered or not field.get("required", True), f"{name} needs something"
            longest = field.get("max_length") or 4000
            assert len(entered) <= longest, f"{name} takes {longest} characters"
            assert not entered or len(entered) >= (field.get("min_length") or 0), f"{name} is too short"
        sent: Payload = {"type": kind, "custom_id": name, "id": field.get("id", 0)}
        sent |= {"value": entered} if kind == TEXT_INPUT else {"values": [entered] if entered else []}
        return {"type": row["type"], "id": row.get("id", 0)} | (
            {"component": sent} if label else {"components": [sent]}
        )


def _resolved(resolved: Payload) -> Payload:
    return {"resolved": resolved} if resolved else {}
