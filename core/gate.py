"""The last gate: it judges a text as a person will read it. Rendering can join what was apart, and commands repeat what
people wrote."""

from core.filters import Filter, Policy
from core.live_message import LiveMessage
from core.markup import escape


class Gate:
    """Of one deployment."""

    def __init__(self, content_filter: Filter) -> None:
        self._filter = content_filter

    def opens(self, policy: Policy, rendered: str) -> bool:
        """Whether a message may be shown."""
        return not self._filter.check(rendered, policy).blocked

    def shown(self, text: str, live: LiveMessage, policy: Policy) -> str:
        """`text`, or what may be shown of it: what may be masked comes as masked plain text. "" where nothing may."""
        if live.allows(text):
            return text
        guard, rendered = self._filter.guard(policy), live.rendered(text)
        plain = escape(guard.feed(rendered) + guard.finish())
        self._filter.count("gate", guard.verdict)
        return "" if guard.blocked or not live.allows(plain) else plain
