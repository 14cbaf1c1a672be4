"""Incoming messages as they are stored: ids of any shape, texts that every database takes."""

from dataclasses import replace
from math import inf, nan

from hypothesis import given
from hypothesis import strategies as st

from core.domain.conversation import Author, ChatId, Incoming, OptionValue, fit_id
from tests.tables import each_row

MESSAGE = Incoming(ChatId("fake", "1", "2"), "bot", "m:1", 1, Author("ann", "Ann", "en"), "hello", True, 0)
IDS = st.text(st.characters(exclude_categories=()), max_size=300)


@each_row("id", ["", "1", "-100", "C024BE91L", "@ann:example.org", " " + "x" * 254, "\u00e9" * 255])
def test_an_id_that_fits_is_kept(id: str) -> None:
    assert fit_id(id) == id


@each_row("length", [256, 300, 10_000])
def test_a_long_id_keeps_its_beginning_and_fills_the_column(length: int) -> None:
    fitted = fit_id("@ann:" + "x" * (length - 5))
    assert len(fitted) == 255 and fitted.startswith("@ann:xxx") and fitted != fit_id("@ann:" + "x" * (length - 4))


def test_long_ids_that_differ_at_the_end_stay_apart() -> None:
    assert len({fit_id("x" * 300 + end) for end in "abcdefgh"}) == 8


@each_row(("one", "other"), [("a\0b", "ab"), ("a\ud800", "a\udfff"), ("\0", "")])
def test_ids_that_no_database_takes_stay_apart(one: str, other: str) -> None:
    assert fit_id(one) != fit_id(other)
    fit_id(one).encode()


@given(IDS)
def test_what_is_fitted_fits_and_stays(id: str) -> None:
    fitted = fit_id(id)
    assert len(fitted) <= 255 and "\0" not in fitted and fit_id(fitted) == fitted
    fitted.encode()


@given(IDS, IDS)
def test_different_ids_stay_different(one: str, other: str) -> None:
    assert (fit_id(one) == fit_id(other)) == (one == other)


def test_every_id_of_a_message_fits() -> None:
    long = "x" * 300
    message = replace(MESSAGE, chat=ChatId("fake", long, long), bot=long, external_id=long, author=Author(long, "A"))
    cleaned = message.cleaned()
    fitted = fit_id(long)
    assert cleaned.chat == ChatId("fake", fitted, fitted) and cleaned.author.id == fitted
    assert cleaned.key == ("fake", fitted, fitted) and cleaned.cleaned() == cleaned


def test_an_author_has_a_name_and_no_more_than_is_stored() -> None:
    assert Author("7", " \0 ").fitted() == Author("7", "7")
    assert Author("7", "n" * 300, "l" * 300).fitted() == Author("7", "n" * 255, "l" * 32)


WRITTEN = st.text(st.characters(exclude_categories=()), max_size=40) | st.sampled_from(
    ["a", "a\r\nb", "a\rb", " a", "a\0", "\r\n", "cha\u0300o", "n" * 256, "l" * 33, "l" * 32]
)


@given(WRITTEN, WRITTEN, WRITTEN, IDS | st.just("1"))
def test_what_needs_no_cleaning_is_what_cleaning_would_not_change(text: str, name: str, locale: str, id: str) -> None:
    """A message without options may be returned as it is; one with options is made anew."""
    message = replace(
        MESSAGE, chat=ChatId("fake", "1", id), bot=id, external_id=id, author=Author(id, name, locale), text=text
    )
    made = replace(message, options={"count": 1}).cleaned()
    assert replace(message.cleaned(), options={"count": 1}) == made


def test_texts_and_text_options_are_cleaned() -> None:
    options: dict[str, OptionValue] = {"text": "xin cha\u0300o\0", "value": 0.3, "count": 5, "on": True}
    cleaned = replace(MESSAGE, text=" cha\u0300o\ud800 ", options=options).cleaned()
    assert cleaned.text == "ch\u00e0o"
    assert cleaned.options == {"text": "xin ch\u00e0o", "value": 0.3, "count": 5, "on": True}
    assert [type(value) for value in cleaned.options.values()] == [str, float, int, bool]


@each_row(("value", "text"), [(nan, "nan"), (inf, "inf"), (-inf, "-inf")])
def test_an_option_that_is_no_number_becomes_text(value: float, text: str) -> None:
    assert replace(MESSAGE, options={"value": value}).cleaned().options == {"value": text}
