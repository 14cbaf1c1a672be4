"""A press on a button, and what comes of it."""

from dataclasses import dataclass, field

from core.commands.button_payloads import ButtonPayload
from core.domain.conversation import Author, ChatId
from core.domain.settings import Settings


@dataclass(frozen=True, slots=True)
class Press:
    """Somebody used a button, a list or a form of one of the bot's messages.

    `id` is the platform's, unique for a bot. `payload` is what the button carries; None where no button of ours ever
    carried that. `value` is what was chosen in a list or typed into a form. `reply_token` as in Incoming. `at` is in
    milliseconds UTC. `message_text` is what the message shows, where the platform says so and the message is the bot's.
    """

    id: str
    chat: ChatId
    message_id: str
    author: Author
    private: bool
    bot: str
    at: int
    payload: ButtonPayload | None
    value: str = ""
    seq: int = 0
    reply_token: str = field(default="", repr=False)
    message_text: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class PressResult:
    """What the adapter shows after a press.

    `text` is for the person who pressed alone; "" says nothing. `alert`: they must notice it. `remove_message`: the
    message under the button belongs to no reply and is deleted. `panel`: the settings that the panel shows from now on;
    an adapter that paints it later reads them again (ButtonActions.settings). `form`: the settings for a form that is
    to be opened.
    """

    text: str = ""
    alert: bool = False
    remove_message: bool = False
    panel: Settings | None = None
    form: Settings | None = None


NO_RESULT = PressResult()
"""Nothing to show."""
