"""The last check of a text, as a person will read it: formatting can join what was apart, and commands repeat what
people wrote."""

from typing import Protocol

from core.filters import Filter, Policy
from core.i18n.markdown import escape


class Preview(Protocol):
    """How a text will look on its platform."""

    def allows(self, text: str) -> bool:
        """Whether every message of it may be shown as it will be formatted."""

    def rendered(self, text: str) -> str:
        """`text` as a person would read it, without markup."""


class FinalCheck:
    """Judges texts by the content filter of one deployment."""

    def __init__(self, content_filter: Filter) -> None:
        self._filter = content_filter

    def allows(self, policy: Policy, rendered: str) -> bool:
        """Whether a message that reads as `rendered` may be shown."""
        return not self._filter.check(rendered, policy).blocked

    def permitted(self, text: str, preview: Preview, policy: Policy) -> str:
        """`text` if it may be shown, else what may be shown of it: plain text, masked where that is enough; or ""."""
        if preview.allows(text):
            return text
        guard, rendered = self._filter.guard(policy), preview.rendered(text)
        plain = escape(guard.feed(rendered) + guard.finish())
        self._filter.count("gate", guard.verdict)
        return "" if guard.blocked or not preview.allows(plain) else plain
