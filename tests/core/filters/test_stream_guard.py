"""The stream guard never releases blocked text, and never changes harmless text."""

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.filters import Level, Policy, blocked, check
from core.filters.deobfuscate import WINDOW_CHARACTERS
from core.filters.stream_guard import StreamGuard
from tests.core.filters.corpus import BENIGN, DISGUISES, RUDE
from tests.core.filters.steps import counted
from tests.tables import each_row

TEXTS = [f"so {DISGUISES[disguise](text)} it is" for disguise in DISGUISES for text in RUDE]


def shown(pieces: list[str], policy: Policy = Policy()) -> list[str]:  # noqa: B008
    """The text shown after each piece, and after the end of the answer."""
    guard, text, seen = StreamGuard(policy), "", []
    for piece in pieces:
        text += guard.feed(piece)
        seen.append(text)
    return [*seen, text + guard.finish()]


def pieces(text: str, size: int) -> list[str]:
    """`text` in pieces of `size` characters."""
    return [text[at : at + size] for at in range(0, len(text), size)]


@each_row("text", TEXTS)
def test_nothing_blocked_is_ever_shown(text: str) -> None:
    for size in (1, 2, 3, 5, len(text)):
        assert not any(map(blocked, shown(pieces(text, size))))


GAMES = ["so I will kill you in Minecraft tonight, ok", "tao giết mày trong Liên Quân nhé bạn"]


@each_row("text", [*BENIGN, *GAMES])
def test_harmless_text_is_not_changed(text: str) -> None:
    for size in (1, 3, len(text)):
        assert shown(pieces(text, size))[-1] == text


@each_row("text", ["so fuck it", "ôi vãi lồn thật", "pussy willow and spic and span"])
def test_every_split_into_three(text: str) -> None:
    last = shown([text])[-1]
    for first, second in itertools.combinations(range(len(text) + 1), 2):
        seen = shown([text[:first], text[first:second], text[second:]])
        assert seen[-1] == last and not any(map(blocked, seen))


PIECES = st.sampled_from(
    [*RUDE, *"aeđịẹ\u0323\u200b*_.-@1! \n`", "**", "fu", "ck", "con ", "mẹ", " mẹ ", "pussy ", "willow ", "spic ",
     "and ", "span ", "vãi ", "lon ", "bia ", "how to make a ", "bomb ", " vcl ", "dm ", "xin chào ", "hello there "]
)  # fmt: skip


@settings(max_examples=400)
@given(st.lists(PIECES, max_size=25), st.sampled_from(Level))
@example(["im đi đyt mẹ"], Level.STANDARD)  # the mask of one word left another
def test_any_mixture_of_pieces(said: list[str], level: Level) -> None:
    policy = Policy(level)
    seen = shown(said, policy)
    assert not any(check(text, policy).blocked for text in seen)
    assert all(after.startswith(before) for before, after in itertools.pairwise(seen))
    whole = "".join(said)
    if not check(whole, policy).blocked:
        assert seen[-1] == whole
        assert all(len("".join(said[: at + 1])) - len(text) <= WINDOW_CHARACTERS for at, text in enumerate(seen[:-1]))


@given(st.text(max_size=100), st.integers(1, 7))
def test_any_text(text: str, size: int) -> None:
    seen = shown(pieces(text, size))
    assert not any(map(blocked, seen))
    if not blocked(text):
        assert seen[-1] == text


@each_row(
    ("text", "level"),
    [
        ("b u y     h e r o i n     o n l i n e", Level.STANDARD),  # the phrase's later word comes letter by letter
        ("d i r t y     d y k e and", Level.STANDARD),
        ("where of http://a.b x@y.z child porns, ok", Level.STANDARD),  # an address is one word, or many
        ("sexual story b http://a.b a t child ", Level.STANDARD),
        ("dcmn nigger", Level.STANDARD),  # what the end of an answer leaves stands alone
        ("quan cho de nigger", Level.STANDARD),
        ("vll, polack", Level.STRICT),
        ("tôi dm c # cam ", Level.STANDARD),
        ("tits are small birds" + "•" * 64 + ". ", Level.STANDARD),  # more is held than may be
        ("liem cac " + "p" * 70 + " x", Level.STANDARD),
        ("fuck" * 40 + " ok", Level.STANDARD),
    ],
)
def test_texts_that_were_once_shown_though_blocked(text: str, level: Level) -> None:
    policy = Policy(level)
    for size in (1, 2, 4, 7, len(text)):
        assert not any(check(seen, policy).blocked for seen in shown(pieces(text, size), policy))


@each_row("text", ["vãi1 l b u t t. ", "pussy willow and spic and span, dm3 "])
def test_texts_that_were_once_changed_though_harmless(text: str) -> None:
    for size in (1, 2, 4, 7):
        assert shown(pieces(text, size))[-1] == text


@pytest.mark.slow
@each_row(
    ("text", "last"),
    [
        ("oh fuck, well then it is **fine** now", "oh f•••, well then it is **fine** now"),  # masked before it is read
        ("so f u c k it", "so f••• it"),  # letters one by one: each of them is an ordinary word
        ("p" * 70 + " c o n o o. ", "p" * 70 + " c o n o o. "),
    ],
)
def test_whatever_the_pieces_are_the_same_is_shown(text: str, last: str) -> None:
    for size in (1, 2, 3, 4, 7, 16, len(text)):
        seen = shown(pieces(text, size))
        assert seen[-1] == last and not any(map(blocked, seen))
        assert all(len(text[: (at + 1) * size]) - len(each) <= WINDOW_CHARACTERS for at, each in enumerate(seen[:-1]))


def test_the_work_of_a_long_piece_is_linear() -> None:
    def work(length: int) -> int:
        with counted() as steps:
            StreamGuard().feed(("f##k " * length)[:length])
        return steps()

    work(100)
    assert work(4000) <= 4.5 * work(1000) + 1000

    def work_of_pieces(text: str) -> int:
        guard = StreamGuard()
        with counted() as steps:
            for piece in pieces(text, 4):
                guard.feed(piece)
        return steps()

    text = "the quiet river runs past seven old houses with green doors near our small harbour "
    work_of_pieces(text * 4)  # ordinary words are read once, however much was released before
    assert work_of_pieces(text * 40) <= min(11 * work_of_pieces(text * 4), 60 * len(pieces(text * 40, 4)))


def test_profanity_is_masked_and_the_answer_goes_on() -> None:
    guard = StreamGuard()
    assert guard.feed("oh fuck, well ") + guard.feed("then") + guard.finish() == "oh f•••, well then"
    assert guard.masked and not guard.blocked and guard.verdict.category == "profanity"


def test_a_slur_ends_the_answer() -> None:
    guard = StreamGuard()
    assert guard.feed("he said nigger and mo") + guard.feed("re and more ") + guard.finish() == "he said "
    assert guard.blocked and guard.verdict.category == "slur"


def test_own_words_are_masked_too() -> None:
    guard = StreamGuard(Policy(words=("banana",)))
    assert guard.feed("a banana ") + guard.finish() == "a b••• "
