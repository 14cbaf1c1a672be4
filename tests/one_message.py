"""A text as one message of a platform, however long."""

from bots.discord_bot import formatting as discord
from bots.telegram_bot import formatting as telegram


def on_telegram(markdown: str) -> telegram.Rendered:
    """The message, with all of its entities."""
    size = 4 * len(markdown) + 1000
    [message] = telegram.messages(markdown, size, size)
    return message


def on_discord(markdown: str, *, bare: bool = False) -> str:
    """What is sent. Of a text of several messages all of them, a line each."""
    return "\n".join(message.content for message in discord.messages(markdown, bare=bare))
