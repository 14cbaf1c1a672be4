"""The last gate: it judges a text as a person will read it. Rendering can join what was apart, and commands repeat what
people wrote."""

from typing import Protocol

from core.filters import Filter, Policy
from core.i18n.markdown import escape


class Preview(Protocol):
    """Where a text will be shown."""

    def allows(self, text: str) -> bool:
        """Whether every message of it may be shown as it will be rendered."""

    def rendered(self, text: str) -> str:
        """As a person would read it."""


class FinalCheck:
    """Of one deployment."""

    def __init__(self, content_filter: Filter) -> None:
        self._filter = content_filter

    def opens(self, policy: Policy, rendered: str) -> bool:
        """Whether a message may be shown."""
        return not self._filter.check(rendered, policy).blocked

    def shown(self, text: str, page: Preview, policy: Policy) -> str:
        """`text`, or what may be shown of it: what may be masked comes as masked plain text. "" where nothing may."""
        if page.allows(text):
            return text
        guard, rendered = self._filter.guard(policy), page.rendered(text)
        plain = escape(guard.feed(rendered) + guard.finish())
        self._filter.count("gate", guard.verdict)
        return "" if guard.blocked or not page.allows(plain) else plain
