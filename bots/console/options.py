"""What the command line asks of `qwentin console`, checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from core.domain.errors import ChatError, SetupError
from core.domain.settings import SETTING_PARSERS
from core.i18n import t

SHORT = {"temp": "temperature", "maxtokens": "max_tokens", "reply": "reply_language"}


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for. `settings` are texts by name, checked."""

    settings: Mapping[str, str] = field(default_factory=dict)
    resume: bool = False


def parse_options(options: Sequence[str], system: str | None, resume: bool) -> Options:
    """Check `-o name=value` and `--system`. Raises SetupError with a line for each mistake."""
    pairs = [option.partition("=") for option in options]
    settings = {SHORT.get(name.strip(), name.strip()): value.strip() for name, _, value in pairs}
    if system is not None:
        settings["system"] = system
    if mistakes := [mistake for name, value in settings.items() if (mistake := _mistake(name, value))]:
        raise SetupError("\n".join(mistakes))
    return Options(settings, resume)


def _mistake(name: str, value: str) -> str | None:
    if name not in SETTING_PARSERS:
        return f"-o {name}: there is no such setting; there are {', '.join(SETTING_PARSERS)}"
    try:
        SETTING_PARSERS[name](value)
    except ChatError as error:
        return f"-o {name}: {t('en', error.key, **error.values)}"
    return None
