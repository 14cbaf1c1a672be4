"""A plain client of discord.py that a Discord server of the tests is tried with, and raw requests."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import discord
import pytest
import yarl

from tests.platforms.discord_server import DiscordServer
from tests.platforms.discord_world import Payload
from tests.waiting import idle

NOBODY = discord.AllowedMentions.none()
QUIET: Payload = {"allowed_mentions": {"parse": []}, "flags": 4}
Ask = Callable[..., Awaitable[tuple[int, Any]]]


@asynccontextmanager
async def asking(server: DiscordServer) -> AsyncIterator[Ask]:
    """Raw requests with the bot's token: status and body."""
    async with aiohttp.ClientSession() as session:

        async def ask(method: str, path: str, body: Any = None, token: str = "") -> tuple[int, Any]:
            headers = {"Authorization": f"Bot {token or server.token}"}
            async with session.request(method, server.api_url + path, json=body, headers=headers) as response:
                return response.status, (await response.json() if response.status != 204 else None)

        yield ask


class Echo(discord.Client):
    """Answers what it reads, and offers some commands."""

    def __init__(self, intents: discord.Intents) -> None:
        super().__init__(intents=intents, allowed_mentions=NOBODY, guild_ready_timeout=0.05)
        self.read: list[str] = []
        self.pressed: list[discord.Interaction] = []
        self._nonces = itertools.count(1)
        self.tree = discord.app_commands.CommandTree(self)
        self.tree.add_command(discord.app_commands.Command(name="later", description="x", callback=later))
        self.tree.add_command(discord.app_commands.Command(name="ask", description="x", callback=ask_back))
        self.tree.add_command(
            discord.app_commands.ContextMenu(
                name="Ask about this",
                callback=about,
                allowed_installs=discord.app_commands.AppInstallationType(guild=True, user=True),
            )
        )

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """The library's own waits five seconds."""

    async def on_message(self, message: discord.Message) -> None:
        assert self.user
        if message.author.id != self.user.id:
            self.read.append(message.content)
            await message.channel.send(f"> {message.content}", nonce=next(self._nonces), suppress_embeds=True)

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        if interaction.type is discord.InteractionType.component:
            self.pressed.append(interaction)
            await interaction.response.edit_message(content="pressed", view=None, suppress_embeds=True)
        elif interaction.type is discord.InteractionType.modal_submit:
            await interaction.response.send_message(str(interaction.data), ephemeral=True, suppress_embeds=True)


async def later(interaction: discord.Interaction, value: float, mode: str = "") -> None:
    """A command that takes its time."""
    await interaction.response.defer(thinking=True)
    view = discord.ui.View()
    view.add_item(discord.ui.Button(label="⏹ Stop", custom_id="stop"))
    await interaction.edit_original_response(content="…", view=view)
    await interaction.edit_original_response(content=f"{value} {mode}", view=None)
    await interaction.followup.send("more", ephemeral=True, suppress_embeds=True)


async def about(interaction: discord.Interaction, message: discord.Message) -> None:
    """A command of a message's menu."""
    context = interaction.context
    place = [context.guild, context.dm_channel, context.private_channel].index(True)
    where = [place, interaction.is_guild_integration(), interaction.is_user_integration()]
    await interaction.response.send_message(f"{message.content} {where}", ephemeral=True, suppress_embeds=True)


async def ask_back(interaction: discord.Interaction) -> None:
    """A command that opens a form."""
    form: discord.ui.Modal = discord.ui.Modal(title="Form", custom_id="form")
    form.add_item(discord.ui.TextInput(label="Name", custom_id="name", max_length=5))
    await interaction.response.send_modal(form)


def pointed(server: DiscordServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library speaks to this server, and does not wait long to connect again."""
    monkeypatch.setattr("discord.http.Route.BASE", server.api_url)
    monkeypatch.setattr("discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY", yarl.URL(server.gateway_url))
    monkeypatch.setattr("discord.backoff.ExponentialBackoff.delay", lambda self: 0.02)


@asynccontextmanager
async def running(server: DiscordServer, monkeypatch: pytest.MonkeyPatch, **wanted: bool) -> AsyncIterator[Echo]:
    """A client at work."""
    pointed(server, monkeypatch)
    client = Echo(discord.Intents(**{"guilds": True, "messages": True, "message_content": True} | wanted))
    count = len(server.identifies) + 1
    working = asyncio.create_task(client.start(server.token))
    try:
        await server.ready(count)
        await client.wait_until_ready()
        yield client
        await idle()  # whatever it answers, it has its answer
    finally:
        await client.close()
        await asyncio.wait({working})
        if not working.cancelled():
            working.exception()
