"""What Discord refuses, and what a careful bot never sends."""

import re
from typing import Any

from simcord.components import ComponentValidationError, validate_components, validate_modal

from tests.platforms.discord_channels import SUPPRESS_EMBEDS, V2
from tests.platforms.discord_world import Payload

LONGEST = 2000


class Refusal(Exception):
    """A call that Discord does not do."""

    def __init__(self, status: int, code: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.more = status, code, message, more

    @property
    def body(self) -> Payload:
        """What the caller reads."""
        return {"message": self.message, "code": self.code, **self.more}


def unknown(what: str) -> Refusal:
    """There is no such thing."""
    codes = {"Channel": 10003, "Guild": 10004, "Member": 10007, "Message": 10008, "User": 10013, "Webhook": 10015,
             "interaction": 10062, "Application": 10002}  # fmt: skip
    return Refusal(404, codes[what], f"Unknown {what}")


def invalid(*why: str) -> Refusal:
    """A form that Discord does not take."""
    errors = {"_errors": [{"code": "INVALID", "message": each} for each in why]}
    return Refusal(400, 50035, "Invalid Form Body", errors=errors)


def width(text: str) -> int:
    """Length in UTF-16 code units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def malformed(content: str, components: list[Payload], flags: int) -> list[str]:
    """Why Discord takes no message like this."""
    found = [f"content of {width(content)} UTF-16 units"] if width(content) > LONGEST else []
    try:
        validate_components(components, flags=flags)
    except ComponentValidationError as error:
        found.append(str(error))
    if flags & V2 and content:
        found.append("content in a message of components v2")
    return found


def malformed_modal(modal: Payload) -> list[str]:
    """Why Discord takes no modal like this."""
    try:
        validate_modal(modal)
    except ComponentValidationError as error:
        return [str(error)]
    return []


def mentions(body: Payload) -> list[str]:
    """Whom it could ring."""
    allowed = body.get("allowed_mentions")
    if not isinstance(allowed, dict):
        return ["no allowed_mentions"]
    harmless = allowed.get("parse") == [] and not any(allowed.get(key) for key in ("users", "roles", "replied_user"))
    return [] if harmless else [f"allowed_mentions {allowed}"]


def previews(body: Payload, flags: int) -> list[str]:
    """Whether links would unfold."""
    suppressed = (body.get("flags") or 0) & SUPPRESS_EMBEDS
    return [] if suppressed or flags & V2 else ["no SUPPRESS_EMBEDS"]


def links(content: str) -> list[str]:
    """Links that would unfold, where nothing can be said against it but < and >."""
    rest = re.sub(r"(`{1,3}).*?\1", " ", content, flags=re.DOTALL)
    rest = re.sub(r"<https?://[^\s<>]+>", " ", rest)
    return [f"a bare link {each}" for each in re.findall(r"https?://\S+", rest)]


def nonces(body: Payload) -> list[str]:
    """Whether a repetition would be noticed."""
    nonce = body.get("nonce")
    if nonce is None or not body.get("enforce_nonce"):
        return ["no nonce, or one that is not enforced"]
    return [f"nonce {nonce!r}"] if len(str(nonce)) > 25 else []


def choices(options: list[Payload]) -> list[str]:
    """What is wrong with answers to an autocompletion."""
    found = ["more than 25 choices"] if len(options) > 25 else []
    names = [str(each.get("name", "")) for each in options]
    return found + [f"choice {name!r}" for name in names if not 1 <= len(name) <= 100]
