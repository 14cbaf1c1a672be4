"""Addresses that stand for themselves: where they end, and what of their signs are marks."""

import re

from markdown_it.rules_inline import StateInline, autolink

from core.markdown.emphasis import count_open

_ADDRESS = re.compile(r"(?:https?://|www\.)[^\s<>`|，。！？；：、（）《》「」『』【】“”]+", re.IGNORECASE)
_TAGGED_ADDRESS = re.compile(r"<(?:[a-z][a-z0-9+.-]*://|(?:mailto|tel|sms|xmpp|magnet):|[^\s<>:/]+@)", re.IGNORECASE)
"""The beginning of an address between < and >. Others are code: vector<std::string>."""
_TRAILING = ".,:;!?'\""
_ASTERISKS = re.compile(r"\*+")
_MAX_STRUCK_CHARACTERS = 500
"""Before an address within "~~"."""


def bare_address(state: StateInline, silent: bool) -> bool:
    """An address that stands for itself: no underscore in it is a mark. Those at its end are, where one is open."""
    found = _ADDRESS.match(state.src, state.pos, state.posMax)
    if found is None or (found[0][0] in "wW" and state.pos and state.src[state.pos - 1].isalnum()):
        return False
    address = _without_punctuation(_before_asterisks(found[0], count_open(state, "*")))
    while len(address) > (end := len(address.rstrip(address[-1]))) > 0 and _may_be_marks(state, address[end:]):
        address = _without_punctuation(address[:end])
    if not silent:
        state.push("address", "", 0).content = address
    state.pos += len(address)
    return True


def _before_asterisks(address: str, opened: int) -> str:
    """An address up to asterisks that close some before it: "**https://a.b**(x)"."""
    found = _ASTERISKS.search(address) if opened else None
    return address[: found.start()] if found and len(found[0]) <= opened else address


def _may_be_marks(state: StateInline, signs: str) -> bool:
    """Whether all of the same signs behind an address may close marks before it."""
    if signs[0] == "~":
        return signs == "~~" and "~~" in state.src[max(state.pos - _MAX_STRUCK_CHARACTERS, 0) : state.pos]
    return signs[0] == "_" and len(signs) <= count_open(state, "_")


def tagged_address(state: StateInline, silent: bool) -> bool:
    """An address between < and >."""
    return _TAGGED_ADDRESS.match(state.src, state.pos) is not None and autolink(state, silent)


def _without_punctuation(address: str) -> str:
    """An address without the punctuation of the sentence that ends with it."""
    end, extra = len(address), {")": "(", "]": "["}
    surplus = {closing: address.count(closing) - address.count(opening) for closing, opening in extra.items()}
    while end > 1 and (address[end - 1] in _TRAILING or surplus.get(address[end - 1], 0) > 0):
        if address[end - 1] in surplus:
            surplus[address[end - 1]] -= 1
        end -= 1
    return address[:end]
