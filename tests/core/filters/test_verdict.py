"""Verdicts on whole texts: what the filter finds, and what it lets through."""

from hypothesis import given
from hypothesis import strategies as st

from core.filters import FilterAction, Level, Policy, Verdict, blocked, check, normalize_word
from tests.core.filters.corpus import BENIGN, DISGUISES, RUDE
from tests.core.filters.steps import counted
from tests.tables import each_row

STRICT, OFF = Policy(Level.STRICT), Policy(Level.OFF)


@each_row("text", BENIGN)
def test_harmless_texts_pass(text: str) -> None:
    assert check(text) == Verdict()


@each_row("disguise", DISGUISES)
@each_row("text", RUDE)
def test_a_disguise_hides_nothing(text: str, disguise: str) -> None:
    assert check(DISGUISES[disguise](text)).blocked


@each_row(
    "text",
    ["f*ck", "sh1t", "$h!t", "fuuuuck", "fvck off", "w*nk*r", "c*cksucker", "l*n mẹ mày", "ditme", "concac", "địtmẹmày",
     "dit me may", "vcl", "dkm mày nói gì thế", "loonf", "ddijt mej"],
)  # fmt: skip
def test_other_spellings(text: str) -> None:
    assert check(text).blocked


@each_row(
    ("text", "category", "action", "severity"),
    [
        ("oh fuck", "profanity", FilterAction.MASK, 2),
        ("damn it", "", FilterAction.PASS, 0),
        ("you nigger", "slur", FilterAction.STOP, 2),
        ("địt mẹ", "profanity", FilterAction.MASK, 2),
        ("show me child porn", "sexual_minors", FilterAction.STOP, 3),
        ("i want to kill myself", "self_harm", FilterAction.SUPPORT, 2),
        ("mình muốn tự tử", "self_harm", FilterAction.SUPPORT, 2),
        ("tell me how to make a pipe bomb", "weapons", FilterAction.STOP, 2),
        ("how do i cook meth", "drugs", FilterAction.STOP, 2),
        ("i will kill you", "violence", FilterAction.STOP, 2),
    ],
)
def test_categories(text: str, category: str, action: FilterAction, severity: int) -> None:
    found = check(text)
    assert (found.category, found.action, found.severity) == (category, action, severity)


@each_row(
    ("text", "levels"),
    [
        ("goddamn it", {Level.STRICT}),
        ("oh fuck", {Level.STANDARD, Level.STRICT}),
        ("porn", {Level.STRICT}),  # the first word of a phrase, too
        ("show me child porn", set(Level)),
        ("a nice day", set()),
    ],
)
def test_levels(text: str, levels: set[Level]) -> None:
    assert {level for level in Level if check(text, Policy(level)).blocked} == levels


@each_row("text", ["fuck" * 20, "x" * 61 + "fuck ok", "x" * 90 + "nigger ok", "ok " + "địtmẹ" * 30])
def test_a_word_that_is_too_long_hides_nothing(text: str) -> None:
    found = check(text)
    assert found.blocked and all(text[start:end] for start, end in found.spans)


def test_a_person_in_danger_gets_support_at_every_level_and_despite_rude_words() -> None:
    assert all(check("i want to kill myself", Policy(level)).support for level in Level)
    rude = check("i fucking want to kill myself")
    assert rude.support and rude.action is FilterAction.MASK


def test_the_worst_hit_decides() -> None:
    assert check("fuck you nigger").category == "slur"
    assert check("fuck, show me child porn").category == "sexual_minors"


@each_row(
    ("text", "found"),
    [
        ("oh fuck", ["fuck"]),
        ("oh f\u200bu\u200bck!", ["f\u200bu\u200bck"]),
        ("so f u c k it", ["f u c k"]),
        ("cái **địt** mẹ", ["địt** mẹ"]),
        ("🙂 đi\u0323t me\u0323", ["đi\u0323t me\u0323"]),
    ],
)
def test_spans_are_positions_in_the_text_itself(text: str, found: list[str]) -> None:
    assert sorted({text[start:end] for start, end in check(text).spans}, key=len)[-1:] == found


# A conversation's own words


@each_row(
    ("words", "text", "hit"),
    [
        (["banana"], "I like BANANA", True),
        (["banana"], "b.a.n.a.n.a", True),
        (["banana"], "b a n a n a", True),
        (["banana"], "bananas", False),
        (["banana*"], "bananas", True),
        (["*banana"], "superbanana", True),
        (["quả táo"], "một quả táo to", True),
        (["quả táo"], "qua tao", False),
        (["qua tao"], "quả táo", False),
        (["foo bar"], "foo   bar", True),
        (["foo bar"], "foo baz bar", False),
        (["nội*"], "nội dung, nộidung", True),
        (["*nội"], "hànội", True),
        (["nội*"], "noidung", False),
        (["*bàn*"], "xbànx", True),
    ],
)
def test_own_words(words: list[str], text: str, hit: bool) -> None:
    found = check(text, Policy(words=tuple(words)))
    assert (found.category == "custom") is hit and found.blocked is hit


def test_own_words_count_at_level_off_too() -> None:
    assert check("a banana", Policy(Level.OFF, ("banana",))).blocked


@each_row(
    ("allowed", "text", "hit"),
    [
        ("fuck", "oh fuck", False),
        ("fuck", "oh f u c k", True),  # disguised words are not allowed
        ("fuck", "oh fuck you cunt", True),
        ("fuck*", "fucking", False),
        ("địt", "địt", False),
        ("download child porn", "download child porn", True),  # that is blocked at every level
    ],
)
def test_allowed_words(allowed: str, text: str, hit: bool) -> None:
    assert check(text, Policy(allowed=(allowed,))).blocked is hit


@each_row(
    ("written", "found"),
    [
        ("Banana", "banana"), ("  foo   BAR ", "foo bar"), ("t-shirt", "t shirt"), ("Quả Táo", "quả táo"),
        ("ban*", "ban*"), ("*ana", "*ana"), ("**ana**", "*ana*"), ("", ""), ("*", ""), ("a*", ""), ("ab*", ""),
        ("a", ""), ("!!!", ""), ("f**k", ""),
        ("a b c d e f g", ""), ("foo bar*", "foo bar"), ("#", ""), ("[allow]", "allow"), ("a = b", "a b"),
        ("f\u200boo", "foo"),
    ],
)  # fmt: skip
def test_the_stored_form_of_a_word(written: str, found: str) -> None:
    assert normalize_word(written) == found


@given(st.text(max_size=60))
def test_a_stored_word_is_found(written: str) -> None:
    word = normalize_word(written)
    if word:
        assert normalize_word(word) == word and check(word.strip("*"), Policy(Level.OFF, (word,))).blocked


# Any text

PIECES = st.sampled_from(
    [*RUDE, *"aeiđịẹ\u0323\u200b*_.-@1!|0 \n`<>[]()", "**", "~~", "fu", "ck", "con ", "mẹ ", "how to make a "]
)
ANYTHING = st.one_of(st.text(max_size=80), st.lists(PIECES, max_size=30).map("".join))


@given(ANYTHING, st.sampled_from(Level))
def test_no_text_raises_and_every_span_is_in_it(text: str, level: Level) -> None:
    found = check(text, Policy(level))
    assert all(0 <= start < end <= len(text) for start, end in found.spans)
    assert found.blocked is (found.action in (FilterAction.MASK, FilterAction.STOP)) and bool(found.category) is bool(
        found.rule
    )


HEAVY = ["<", "x.y.z.", "a ", "f u c k ", "f*", "@4!", "ngu ", "**", "a\u200b", "đ.ị.", "1l!|", "pussy willow ",
         "fuck ", "ass ", "f.u.c.k ", "aaab", "f_u_", "how to make a ", "sh1t.", "*f* ", "_k*c", "dkm ",
         "f##k ", "fu*k ", "ﷺ", "fuuuuck ", "dick d*m ", "c*n c*c ", "b*tch f*ck ", "n****r ",
         "ffuucckk ", "fukc ", "d9i5t me5 ", "never kill yourself ", "fu\nck ", "l0n ", "du me "]  # fmt: skip


@each_row("part", HEAVY)
def test_the_work_is_linear_in_the_length(part: str) -> None:
    def work(length: int) -> int:
        text = (part * length)[:length]
        blocked(text)
        with counted() as steps:
            blocked(text)
        return steps()

    assert work(4096) <= 4.5 * work(1024) + 100
