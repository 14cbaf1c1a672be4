"""The settings panel and its form: the real library against a server that answers as Discord does."""

from core.i18n import t
from tests.bots.discord_bot.discord_running import running
from tests.bots.discord_bot.test_discord_slash import published
from tests.bots.settling import settled
from tests.platforms.discord_channels import Channel, Message
from tests.platforms.discord_interactions import Interaction
from tests.platforms.discord_server import DiscordServer
from tests.platforms.discord_world import Person
from tests.waiting import until


def chosen(panel: Message) -> dict[str, str]:
    """What each list of a panel shows, by the letter of its setting."""
    return {custom_id.split(":")[1]: "".join(picked) for custom_id, (_, picked) in panel.selects.items()}


async def open_panel(server: DiscordServer, person: Person, channel: Channel) -> Message:
    before = len(channel.messages)
    shown = server.slash(person, channel, "settings")
    assert (await shown.responded()).ephemeral
    return await channel.ended(before + 1)


async def test_the_panel(server: DiscordServer, database: str, ann: Person, bob: Person, channel: Channel) -> None:
    async with running(server, database) as bot:
        await published(server)
        panel = await open_panel(server, ann, channel)
        assert panel.content == "" and "**Temperature**" not in panel.display and "Temperature: 0.7" in panel.display
        assert chosen(panel) == {"t": "0.7", "k": "512", "m": "3", "l": "auto"}
        for letter, value in (("t", "0.2"), ("k", "1024"), ("m", "10"), ("l", "vi")):
            server.choose(ann, channel, f"p:{letter}", value, message=panel)
            await channel.until(lambda channel, letter=letter, value=value: chosen(channel.last).get(letter) == value)  # type: ignore[misc]
        channel.say("hello", bob, mention=True)
        await channel.ended(2)
        sampling = bot.model.samplings[-1]
        assert (sampling.temperature, sampling.max_tokens) == (0.2, 1024)
    async with running(server, database):  # it survives a restart
        server.choose(ann, channel, "p:m", "5", message=panel)
        await channel.until(lambda channel: chosen(panel)["m"] == "5")


async def test_a_value_that_is_no_tenth_is_a_choice_too(
    server: DiscordServer, database: str, ann: Person, channel: Channel
) -> None:
    async with running(server, database):
        await published(server)
        server.slash(ann, channel, "temp", value=0.35)
        await channel.ended()
        assert chosen(await open_panel(server, ann, channel))["t"] == "0.35"


async def test_a_member_looks_and_changes_nothing(
    server: DiscordServer, database: str, bob: Person, channel: Channel
) -> None:
    async with running(server, database):
        await published(server)
        panel = await open_panel(server, bob, channel)
        pressed = server.choose(bob, channel, "p:t", "0.2", message=panel)
        await told(pressed, t("vi", "refused.press"))
        opening = server.press(bob, channel, "✏️", message=panel)
        await told(opening, t("vi", "refused.press"))
        assert opening.modal is None and chosen(panel)["t"] == "0.7"


async def test_a_stale_panel_is_painted_anew(
    server: DiscordServer, database: str, ann: Person, channel: Channel
) -> None:
    async with running(server, database) as bot:
        await published(server)
        panel = await open_panel(server, ann, channel)
        stale = next(custom_id for custom_id in panel.selects if custom_id.startswith("p:t"))
        server.slash(ann, channel, "temp", value=0)
        await channel.ended(2)
        pressed = server.choose(ann, channel, stale, "0.2", message=panel)
        await told(pressed, t("en", "press.changed"))
        assert chosen(panel)["t"] in ("0", "0.0")
        forged = server.choose(
            ann,
            channel,
            next(each for each in panel.selects if each.startswith("p:m")),
            "99",
            message=panel,
            forged=True,
        )
        await forged.responded()
        await settled(bot)
        assert chosen(panel)["m"] == "3"


async def test_the_form_of_the_system_prompt(
    server: DiscordServer, database: str, ann: Person, bob: Person, channel: Channel
) -> None:
    async with running(server, database) as bot:
        await published(server)
        panel = await open_panel(server, ann, channel)
        opening = server.press(ann, channel, "✏️", message=panel)
        assert (await opening.responded()).type == 9
        server.submit(ann, opening, "You are a *pirate*.")
        await channel.until(lambda channel: "pirate" in panel.display)
        channel.say("hello", bob, mention=True)
        await channel.ended(2)
        assert bot.model.prompts[-1][0].content.startswith("You are a *pirate*.")
        opening = server.press(ann, channel, "✏️", message=panel)
        await opening.responded()
        assert "You are a *pirate*." in str(opening.modal)
        server.submit(ann, opening, "")
        await channel.until(lambda channel: "Be kind." in panel.display)


async def test_a_form_that_was_open_over_a_restart(
    server: DiscordServer, database: str, ann: Person, channel: Channel
) -> None:
    async with running(server, database):
        await published(server)
        panel = await open_panel(server, ann, channel)
        opening = server.press(ann, channel, "✏️", message=panel)
        await opening.responded()
    async with running(server, database):
        server.submit(ann, opening, "You are a pirate.")
        await channel.until(lambda channel: "pirate" in panel.display)


async def test_the_panel_in_private_and_in_words(
    server: DiscordServer, database: str, ann: Person, dm: Channel, channel: Channel
) -> None:
    async with running(server, database):
        await published(server)
        panel = await open_panel(server, ann, dm)
        server.choose(ann, dm, "p:m", "1", message=panel)
        await dm.until(lambda dm: chosen(panel)["m"] == "1")
        channel.say("/settings", ann, mention=True)
        shown = await channel.ended()
        assert not shown.ephemeral
        server.choose(ann, channel, "p:m", "2", message=shown)
        await channel.until(lambda channel: chosen(channel.last)["m"] == "2")


async def test_a_very_long_system_prompt_fits(
    server: DiscordServer, database: str, ann: Person, channel: Channel
) -> None:
    async with running(server, database):
        await published(server)
        server.slash(ann, channel, "system", text="*" * 1990)
        await channel.until(lambda channel: len(channel.messages) >= 2)
        server.slash(ann, channel, "settings")
        await channel.until(lambda channel: bool(channel.last.selects))
        server.choose(ann, channel, "p:m", "1")
        await channel.until(lambda channel: chosen(channel.last)["m"] == "1")


async def told(interaction: Interaction, text: str) -> None:
    """Wait until the presser alone is told so."""
    await until(lambda: interaction.followups)
    assert [(each.content, each.ephemeral) for each in interaction.followups] == [(text, True)]
