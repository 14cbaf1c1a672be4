"""The format of word lists, and the built-in lists."""

import re
from importlib.resources import files

import pytest

from core.domain.filter_policy import Policy
from core.filters import check, tokenize
from core.filters.lexicon import LANGUAGES, MAX_PHRASE_WORDS, Lexicon
from core.filters.lexicon_parser import (
    CONVERSATION_CACHE_ENTRIES,
    add_derived_forms,
    builtin_lexicon,
    conversation_lexicon,
    parse_wordlist,
)
from core.filters.respellings import telex_keystrokes
from core.filters.tokenize import fold
from tests.tables import each_row

CATEGORIES = {"profanity", "slur", "sexual", "sexual_minors", "self_harm", "violence", "weapons", "drugs", "allow"}


def list_lines(language: str) -> list[str]:
    """The lines of a built-in list."""
    return files("core.filters").joinpath("words", f"{language}.txt").read_text("utf-8").splitlines()


def test_entries_are_indexed_by_how_they_are_found() -> None:
    made = Lexicon()
    parse_wordlist(
        ["# a comment", "[profanity 2]", "foo", "*bar*", "baz*  # why", "one two", "[allow]", "foolish"], "en", made
    )
    add_derived_forms(made)
    assert [entry.rule for entry in made.words["foo"]] == ["en:foo"]
    assert made.substrings["bar"].severity == 2 and "baz" in made.prefixes
    assert made.phrases_by_first["one"][0].words == ("one", "two") and made.allowed == {"foolish"}


@each_row(
    ("list_", "mistake"),
    [
        (["foo"], "line 1: an entry before the first section"),
        (["[profanity 2]", "foo", "[nonsense 9]"], r"line 3: \[nonsense 9\] is no section"),
        (["[profanity]", "foo"], "line 1"),
        (["[profanity 2 loud]", "foo"], "line 1"),
        (["[profanity 2]", "foo* bar"], "must begin with a whole word"),
        (["[profanity 2]", "a b c d e f"], "line 2"),
        (["[profanity 2]", "*"], "line 2"),
    ],
)
def test_mistakes_in_a_list_are_reported_with_their_line(list_: list[str], mistake: str) -> None:
    with pytest.raises(ValueError, match=mistake):
        parse_wordlist(list_, "en", Lexicon())


@each_row("language", LANGUAGES)
def test_the_built_in_lists_are_well_formed(language: str) -> None:
    sections = {re.split(r"[\[ \]]", line)[1] for line in list_lines(language) if line.startswith("[")}
    assert sections == CATEGORIES
    entries = [line.split("#")[0].strip() for line in list_lines(language) if line.strip() and line[0] not in "#["]
    assert all(len(entry.split("=")[0].split()) <= MAX_PHRASE_WORDS for entry in entries)
    assert all(fold(entry, markup=False).accented == entry.casefold() for entry in entries if "*" not in entry)


def test_the_built_in_lists_have_all_categories() -> None:
    made = builtin_lexicon()
    found = {
        (entry.rule[:2], entry.category)
        for entries in [*made.words.values(), *made.phrases_by_first.values()]
        for entry in entries
    }
    assert found == {(language, category) for language in LANGUAGES for category in CATEGORIES - {"allow"}}


@each_row(
    ("word", "typed"),
    [("lồn", {"loonf", "loofn"}), ("địt", {"ddijt", "dditj"}), ("được", {"dduwowcj", "dduwowjc"}), ("mẹ", {"mej"}),
     ("ăn", {"awn"}), ("ban", {"ban"})],
)  # fmt: skip
def test_telex_keystrokes(word: str, typed: set[str]) -> None:
    assert telex_keystrokes(word) == typed


@pytest.mark.slow
def test_no_cache_grows_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenize, "_CACHE_ENTRIES", 50)
    lexicon, words = (
        conversation_lexicon(("blorg",), ()),
        [f"{chr(97 + n % 26)}{chr(0x4E00 + n)}x" for n in range(3000)],
    )
    policy = Policy(words=("blorg",))
    for word in words:
        check(f"{word} {word}\u0301\u0309", policy)
    assert check("blorg", policy).blocked
    sizes = [len(each) for each in (lexicon.allowed_cache, lexicon.entries_cache, lexicon.partless_cache)]
    assert max(sizes) <= CONVERSATION_CACHE_ENTRIES and len(lexicon.unmasked_cache) <= CONVERSATION_CACHE_ENTRIES
    assert len(tokenize._decomposed) <= 51 and len(tokenize._composed) <= 51
