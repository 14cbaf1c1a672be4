"""Logging: the standard library's, to stderr; a formatter keeps secrets out at every level."""

import logging
import re
from collections.abc import Iterable

_TOKEN_SHAPES = re.compile(r"\d{6,}:[A-Za-z0-9_-]{30,}|[\w-]{23,28}\.[\w-]{6,7}\.[\w-]{27,}|hf_[A-Za-z0-9]{20,}")
"""Bot tokens of Telegram and Discord, and the model hub's, by their shape."""
_DISCORD_PATHS = re.compile(r"(/(?:webhooks|interactions)/\d+/)[^\s/?'\"]+")
"""Discord's tokens of interactions and webhooks, in the addresses that its library logs."""
_QUOTING_LIBRARIES = ("telegram",)
"""Libraries that quote messages at any level, and are never logged. Their errors are logged where they are caught."""
_CHATTY_LIBRARIES = ("httpx", "httpx2", "httpcore", "httpcore2", "discord", "aiohttp", "huggingface_hub", "alembic",
           "transformers", "asyncio", "filelock", "urllib3", "markdown_it")  # fmt: skip
"""Libraries that quote requests, tokens or messages below WARNING."""


class RedactingFormatter(logging.Formatter):
    """Formats a record, traceback included, then replaces every secret by "[secret]".

    Secrets are the given texts and whatever has the shape of a token.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._secrets = [secret for secret in secrets if secret]

    def format(self, record: logging.LogRecord) -> str:
        """The record as text, without secrets."""
        line = super().format(record)
        for secret in self._secrets:
            line = line.replace(secret, "[secret]")
        return _DISCORD_PATHS.sub(r"\1[secret]", _TOKEN_SHAPES.sub("[secret]", line))


def set_up_logging(level: str, secrets: Iterable[str]) -> None:
    """Log to stderr from `level` on: chatty libraries from WARNING on, those that quote messages never."""
    handler = logging.StreamHandler()
    handler.setFormatter(RedactingFormatter(secrets))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _CHATTY_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in _QUOTING_LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
