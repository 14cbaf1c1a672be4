"""Logging: standard, to stderr, with one filter that keeps secrets out at every level."""

import logging
import re
from collections.abc import Iterable

_TOKENS = re.compile(r"\d{6,}:[A-Za-z0-9_-]{30,}|[\w-]{23,28}\.[\w-]{6,7}\.[\w-]{27,}|hf_[A-Za-z0-9]{20,}")
"""Bot tokens of Telegram and Discord, and the model hub's, by their shape."""
_KEYS = re.compile(r"(/(?:webhooks|interactions)/\d+/)[^\s/?'\"]+")
"""Discord's keys to an interaction, in the addresses that its library tells of."""
_QUOTING = ("telegram",)
"""Libraries that quote messages at any level; what matters of their errors is logged where they are caught."""
_CHATTY = ("httpx", "httpx2", "httpcore", "httpcore2", "discord", "aiohttp", "huggingface_hub", "alembic",
           "transformers", "asyncio", "aiosqlite", "filelock", "urllib3", "markdown_it")  # fmt: skip
"""Libraries whose INFO would quote requests, tokens or messages."""


class RedactingFormatter(logging.Formatter):
    """Formats, then replaces every secret: also in tracebacks and in what libraries log."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._secrets = [secret for secret in secrets if secret]

    def format(self, record: logging.LogRecord) -> str:
        """The line, without secrets."""
        line = super().format(record)
        for secret in self._secrets:
            line = line.replace(secret, "[secret]")
        return _KEYS.sub(r"\1[secret]", _TOKENS.sub("[secret]", line))


def set_up_logging(level: str, secrets: Iterable[str]) -> None:
    """Log to stderr at `level`; chatty libraries from WARNING on, those that quote messages not at all."""
    handler = logging.StreamHandler()
    handler.setFormatter(RedactingFormatter(secrets))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in _QUOTING:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
