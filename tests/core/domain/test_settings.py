"""Ranges, defaults, sources and caps."""

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.conversation import OptionValue, Setting
from core.domain.errors import Refused
from core.domain.settings import MAX_MEMORY_TURNS, MAX_SYSTEM_CHARACTERS, SETTING_NAMES, SETTING_PARSERS, Rules, Source
from core.i18n import t
from tests.conftest import DEFAULTS
from tests.tables import each_row

GOOD = [
    ("temperature", "0", 0.0), ("temperature", "1", 1.0), ("temperature", "0.7", 0.7), ("temperature", "0,25", 0.25),
    ("temperature", ".5", 0.5), ("temperature", "1.0", 1.0),
    ("max_tokens", "256", 256), ("max_tokens", "512", 512), ("max_tokens", "1024", 1024),
    *(("memory", str(n), n) for n in range(1, 11)),
    ("system", "x", "x"), ("system", "  Be brief.\nAlways.  ", "Be brief.\nAlways."), 
    ("system", "é" * 2000, "é" * 2000),
    ("reply_language", "auto", "auto"), ("reply_language", "EN", "en"), ("reply_language", "vi", "vi"),
]  # fmt: skip
BAD = [
    ("temperature", text) for text in ("", "1.1", "-0.1", "2", "abc", "0.7.1", "1e-1", "nan", "inf", "0x1", "٠", "1,01")
] + [
    ("max_tokens", text) for text in ("", "0", "255", "257", "2048", "512.0", " 512", "lots")
] + [
    ("memory", text) for text in ("", "0", "11", "-1", "3.0", "three", "03")
] + [
    ("system", text) for text in ("", "   ", "x" * (MAX_SYSTEM_CHARACTERS + 1), "bell\x07", "\x1b[31m")
] + [
    ("reply_language", text) for text in ("", "fr", "english", "vn")
]  # fmt: skip


@each_row(("name", "text", "value"), GOOD)
def test_good(name: str, text: str, value: object) -> None:
    assert SETTING_PARSERS[name](text) == value


@each_row(("name", "text"), BAD)
def test_bad_names_the_range_and_an_example(name: str, text: str) -> None:
    with pytest.raises(Refused) as caught:
        SETTING_PARSERS[name](text)
    for language in ("en", "vi"):
        words = t(language, caught.value.key, **caught.value.values)
        assert "`/" in words and (":" in words)


TYPED = [
    ("temperature", 0.3, 0.3), ("temperature", 0, 0.0), ("temperature", 1, 1.0), ("temperature", 0.123456, 0.12),
    ("max_tokens", 512, 512), ("memory", 1, 1), ("memory", 5, 5), ("memory", MAX_MEMORY_TURNS, 10),
    ("system", "Be brief.", "Be brief."), ("reply_language", "vi", "vi"), ("filter", "strict", "strict"),
]  # fmt: skip
BAD_TYPED: list[tuple[str, OptionValue]] = [
    ("temperature", 1.01), ("temperature", -0.01), ("temperature", 2), ("temperature", inf), ("temperature", nan),
    ("max_tokens", 513), ("max_tokens", 512.0), ("max_tokens", 10**30),
    ("memory", 0), ("memory", 11), ("memory", 3.0),
    ("system", 7), ("reply_language", 1), ("filter", 2),
    *((name, value) for name in SETTING_NAMES for value in (True, False)),
]  # fmt: skip


@each_row(("name", "typed", "value"), TYPED)
def test_a_typed_value_is_read_as_its_text_is(name: str, typed: OptionValue, value: object) -> None:
    found = SETTING_PARSERS[name](typed)
    assert found == value and type(found) is type(value)
    assert SETTING_PARSERS[name](str(found)) == value


@each_row(("name", "typed"), BAD_TYPED)
def test_a_bad_typed_value_is_refused_as_its_text_is(name: str, typed: OptionValue) -> None:
    with pytest.raises(Refused) as caught:
        SETTING_PARSERS[name](typed)
    with pytest.raises(Refused) as of_text:
        SETTING_PARSERS[name]("\x07")
    assert caught.value.key == of_text.value.key
    assert caught.value.values.keys() == of_text.value.values.keys()


@given(st.sampled_from(SETTING_NAMES), st.text() | st.integers() | st.floats() | st.booleans())
def test_no_value_breaks_a_parser_and_what_it_reads_it_reads_again(name: str, text: OptionValue) -> None:
    try:
        value = SETTING_PARSERS[name](text)
    except Refused:
        return
    assert SETTING_PARSERS[name](str(value)) == value


def test_a_conversation_that_sets_nothing_has_the_deployments_settings() -> None:
    rules = Rules(DEFAULTS, {"memory": 2}, owner_wordlist=("blorg*",))
    assert rules.settings({}) == rules.settings({"unknown": Setting("9", "Ann", 5)})


def test_the_conversation_comes_before_the_deployment() -> None:
    rules = Rules(DEFAULTS)
    settings = rules.settings({"memory": Setting("9", "Ann", 5)})
    assert (settings.temperature, settings.max_tokens, settings.memory) == (0.7, 512, 9)
    assert (settings.system, settings.reply_language) == ("Be kind.", "auto")
    memory = settings.values["memory"]
    assert (memory.source, memory.by, memory.at, memory.clamped) == (Source.CONVERSATION, "Ann", 5, False)
    assert settings.values["temperature"].source is Source.DEPLOYMENT


@each_row(
    ("name", "text", "cap", "value"),
    [("temperature", "0.9", 0.5, 0.5), ("temperature", "0.3", 0.5, 0.3), ("max_tokens", "1024", 256, 256),
     ("memory", "10", 2, 2), ("memory", "2", 2, 2)],
)  # fmt: skip
def test_caps_clamp(name: str, text: str, cap: float, value: object) -> None:
    rules = Rules(DEFAULTS, {name: cap})
    found = rules.value(name, Setting(text, "Ann", 1))
    assert (found.value, found.clamped) == (value, str(found.requested) != str(value))
    assert type(found.value) is type(found.requested)
