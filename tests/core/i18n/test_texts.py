"""Both languages have the same keys and placeholders, and the code uses all of these keys and no other."""

import re
from pathlib import Path

import pytest

from core.commands.registry import COMMANDS
from core.domain.settings import SETTING_NAMES, Source
from core.i18n import LANGUAGES, catalogue, placeholders, t
from core.i18n.person_language import choose_language
from tests.tables import each_row

SOURCES = [*Path("core").rglob("*.py"), *Path("bots").rglob("*.py")]
ASKED = re.compile(r"""(?:\bt|Refused|Unanswered|notice=|_help_line)\(?\s*(?:\w+, )?["']([a-z]+\.[a-z_]+)["']""")


def test_equal_keys() -> None:
    assert catalogue("en").keys() == catalogue("vi").keys()


@each_row("key", sorted(catalogue("en")))
def test_equal_placeholders(key: str) -> None:
    assert placeholders(catalogue("en")[key]) == placeholders(catalogue("vi")[key])
    assert all(catalogue(language)[key] for language in LANGUAGES)


def test_every_key_that_is_asked_for_is_there() -> None:
    asked = {key for source in SOURCES for key in ASKED.findall(source.read_text("utf-8"))}
    assert len(asked) > 30
    assert asked <= catalogue("en").keys()


def test_every_command_setting_and_source_has_its_texts() -> None:
    wanted = {f"{group}.{command.name}" for command in COMMANDS for group in ("about", "more")}
    wanted |= {f"slash.{command.name}" for command in COMMANDS}
    wanted |= {f"{group}.{name}" for name in SETTING_NAMES for group in ("name", "value", "bad")}
    wanted |= {f"source.{source}" for source in Source}
    assert wanted <= catalogue("en").keys()


def test_no_text_is_left_over() -> None:
    code = "\n".join(source.read_text("utf-8") for source in SOURCES)
    built = (
        "about.",
        "more.",
        "name.",
        "value.",
        "source.",
        "language.",
        "role.",
        "bad.",
        "retry.",
        "undo.",
        "continue.",
        "button.",
        "busy.",
        "slash.",
        "option.",
        "field.",
        "blocked.",
        "category.",
        "filter.",
    )
    assert [key for key in catalogue("en") if key not in code and not key.startswith(built)] == []


@each_row(
    ("wanted", "locale", "language"),
    [("en", "vi", "en"), ("vi", "", "vi"), ("auto", "vi", "vi"), ("auto", "vi-VN", "vi"), ("auto", "vi_VN.UTF-8", "vi"),
     ("auto", "en-US", "en"), ("auto", "", "en"), ("auto", "fr", "en"), ("auto", "C", "en"), ("auto", "vie", "en")],
)  # fmt: skip
def test_the_language_of_a_person(wanted: str, locale: str, language: str) -> None:
    assert choose_language(wanted, locale) == language


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(KeyError):
        t("en", "bad.memory")
    with pytest.raises(KeyError):
        t("en", "no.such")
