"""What commands and buttons work with."""

from collections.abc import Callable
from dataclasses import dataclass

from core.commands.role_lookup import RoleLookup
from core.delivery.reply_control import ReplyControl
from core.domain.settings import Rules
from core.domain.store import Store
from core.filters import Filter
from core.i18n.person_language import PersonLanguages


@dataclass(frozen=True, slots=True)
class CommandServices:
    """The collaborators that the executor and the buttons share."""

    store: Store
    control: ReplyControl
    roles: RoleLookup
    languages: PersonLanguages
    rules: Rules
    filter: Filter
    now: Callable[[], int]
    """The time in milliseconds UTC."""
