"""Interactions on a Discord server of the tests: their tokens, and the routes that answer them."""

import asyncio
from dataclasses import dataclass
from typing import Any

from tests.patience import limit
from tests.platforms import discord_checks as checks
from tests.platforms.discord_channels import EPHEMERAL, LOADING, Channel, Message
from tests.platforms.discord_checks import Refusal, invalid, unknown
from tests.platforms.discord_rest import Route, complain, edit, new_flags, route, unfit_new
from tests.platforms.discord_world import Call, Payload, Person, World

COMMAND, COMPONENT, AUTOCOMPLETE, MODAL = 2, 3, 4, 5
ANSWERABLE = {COMMAND: (4, 5, 9), COMPONENT: (4, 5, 6, 7, 9), AUTOCOMPLETE: (8,), MODAL: (4, 5, 6, 7)}
"""The callback types that each type of interaction takes."""
LIFE = 900.0


@dataclass(frozen=True, slots=True)
class Response:
    """How an interaction was answered, and how long after it."""

    type: int
    data: Payload
    ephemeral: bool


class Interaction:
    """Something that a person did and that waits for an answer."""

    def __init__(self, world: World, kind: int, person: Person, channel: Channel, data: Payload) -> None:
        self.id = world.snowflake()
        self.token = f"interaction-token-{self.id:x}"
        self.world, self.kind, self.person, self.channel, self.data = world, kind, person, channel, data
        self.source: Message | None = None
        """The message whose component it was."""
        self.created = world.now()
        self.owners: Payload = {}
        self.response: Response | None = None
        self.message: Message | None = None
        """Its original response."""
        self.followups: list[Message] = []
        self.modal: Payload | None = None
        self._answered = asyncio.Event()

    @property
    def metadata(self) -> Payload:
        """What a message tells about it."""
        data = {"id": str(self.id), "type": self.kind, "user": self.person.user,
                "authorizing_integration_owners": self.owners}  # fmt: skip
        return data | ({"interacted_message_id": str(self.source.id)} if self.source else {})

    async def responded(self) -> Response:
        """Wait for the answer."""
        try:
            async with limit():
                await self._answered.wait()
        except TimeoutError:
            ledger = self.world.ledger[-3:]
            raise AssertionError(f"no answer to {self.kind} {self.data}; {ledger}") from None
        assert self.response is not None
        return self.response

    def answer(self, type: int, data: Payload, ephemeral: bool) -> None:
        """It has its answer."""
        self.response = Response(type, data, ephemeral)
        self._answered.set()


class InteractionRoutes:
    """What needs an interaction's token, and not the bot's."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.interactions: dict[str, Interaction] = {}
        original, one = "/webhooks/{application}/{token}/messages/@original", "/webhooks/{application}/{token}/messages"
        self.routes: list[Route] = [
            route("POST", "/interactions/{interaction}/{token}/callback", self._callback),
            route("POST", "/webhooks/{application}/{token}", self._follow_up),
            route("GET", original, lambda call: self._original(call).payload()),
            route("PATCH", original, lambda call: self._edit(call, self._original(call))),
            route("DELETE", original, lambda call: self._remove(call, self._original(call))),
            route("GET", one + "/{message}", lambda call: self._one(call).payload()),
            route("PATCH", one + "/{message}", lambda call: self._edit(call, self._one(call))),
            route("DELETE", one + "/{message}", lambda call: self._remove(call, self._one(call))),
        ]

    def add(self, interaction: Interaction) -> None:
        """Somebody did something."""
        self.interactions[interaction.token] = interaction

    # The first answer

    def _callback(self, call: Call) -> Any:
        interaction = self.interactions.get(call.groups["token"])
        if interaction is None or str(interaction.id) != call.groups["interaction"]:
            raise unknown("interaction")
        call.channel = interaction.channel.id
        if interaction.response is not None:
            raise Refusal(400, 40060, "Interaction has already been acknowledged.")
        if self.world.now() - interaction.created > self.world.answer_within_s:
            raise unknown("interaction")
        kind, data = int(call.body["type"]), call.body.get("data") or {}
        if kind not in ANSWERABLE[interaction.kind] or (kind in (6, 7) and interaction.source is None):
            complain(self.world, call, [f"callback {kind} to an interaction of type {interaction.kind}"])
            raise invalid("type")
        {4: self._say, 5: self._promise, 6: self._leave, 7: self._update, 8: self._suggest, 9: self._ask}[kind](
            call, interaction, data
        )
        ephemeral = interaction.message.ephemeral if interaction.message else False
        interaction.answer(kind, data, ephemeral)
        return self._result(interaction, kind) if call.query.get("with_response") in ("1", "true") else None

    def _say(self, call: Call, interaction: Interaction, data: Payload) -> None:
        interaction.message = self._new(call, interaction, data)
        call.message = interaction.message.id

    def _promise(self, call: Call, interaction: Interaction, data: Payload) -> None:
        flags = LOADING | (data.get("flags") or 0) & EPHEMERAL
        interaction.message = interaction.channel.create("", [], flags, interaction=interaction, **_kind(interaction))
        call.message = interaction.message.id

    def _leave(self, call: Call, interaction: Interaction, data: Payload) -> None:
        interaction.message = interaction.source

    def _update(self, call: Call, interaction: Interaction, data: Payload) -> None:
        assert interaction.source is not None
        found = checks.previews(data, interaction.source.flags) if data.get("content") else []
        edit(self.world, call, interaction.source, data, found)
        interaction.message = interaction.source

    def _suggest(self, call: Call, interaction: Interaction, data: Payload) -> None:
        if found := checks.choices(data.get("choices") or []):
            complain(self.world, call, found)
            raise invalid(*found)

    def _ask(self, call: Call, interaction: Interaction, data: Payload) -> None:
        if found := checks.malformed_modal(data):
            complain(self.world, call, found)
            raise invalid(*found)
        interaction.modal = data

    def _result(self, interaction: Interaction, kind: int) -> Payload:
        about: Payload = {"id": str(interaction.id), "type": interaction.kind}
        message = interaction.message
        if message is not None:
            about |= {"response_message_id": str(message.id), "response_message_loading": message.thinking,
                      "response_message_ephemeral": message.ephemeral}  # fmt: skip
        resource = {"type": kind} | ({"message": message.payload()} if message and kind in (4, 7) else {})
        return {"interaction": about, "resource": resource}

    def _new(self, call: Call, interaction: Interaction, data: Payload) -> Message:
        content, components, flags = data.get("content") or "", data.get("components") or [], new_flags(data)
        unfit = unfit_new(data, content, components, flags)
        complain(self.world, call, checks.mentions(data) + checks.previews(data, flags) + unfit)
        if unfit:
            raise invalid(*unfit)
        return interaction.channel.create(content, components, flags, interaction=interaction, **_kind(interaction))

    # What follows it

    def _known(self, call: Call) -> Interaction:
        interaction = self.interactions.get(call.groups["token"])
        if interaction is None or call.groups["application"] != str(self.world.application_id):
            raise unknown("Webhook")
        call.channel = interaction.channel.id
        if self.world.now() - interaction.created > LIFE:
            raise Refusal(401, 50027, "Invalid Webhook Token")
        if interaction.response is None:
            raise unknown("Webhook")
        return interaction

    def _original(self, call: Call) -> Message:
        message = self._known(call).message
        if message is None or message.deleted:
            raise unknown("Message")
        call.message = message.id
        return message

    def _one(self, call: Call) -> Message:
        interaction = self._known(call)
        for message in [*interaction.followups, *([interaction.message] if interaction.message else [])]:
            if str(message.id) == call.groups["message"] and not message.deleted:
                call.message = message.id
                return message
        raise unknown("Message")

    def _edit(self, call: Call, message: Message) -> Payload:
        edit(self.world, call, message, call.body, checks.links(call.body.get("content") or ""))
        return message.payload()

    def _remove(self, call: Call, message: Message) -> None:
        message.remove()

    def _follow_up(self, call: Call) -> Any:
        interaction = self._known(call)
        promised = interaction.message
        if promised is not None and promised.thinking:
            # Discord fills the promise with the first message that follows.
            edit(self.world, call, promised, call.body, checks.previews(call.body, new_flags(call.body)))
            return promised.payload() if call.query.get("wait") == "true" else None
        if interaction.channel.foreign and len(interaction.followups) >= 5:
            raise Refusal(400, 40094, "This interaction has reached the maximum number of follow-up messages")
        message = self._new(call, interaction, call.body)
        interaction.followups.append(message)
        call.message = message.id
        return message.payload() if call.query.get("wait") == "true" else None


def _kind(interaction: Interaction) -> Payload:
    """How the type of a message tells what it answers."""
    if answered := interaction.message or interaction.source:
        return {"kind": 19, "reference": interaction.channel.refer(answered.id)}
    return {"kind": {1: 20, 2: 23, 3: 23}.get(interaction.data.get("type", 0), 0)}
