"""Everyday talk: what is found, what is answered, and who gets help lines. One table, because there is much of it."""

from collections.abc import Callable

from core.filters import STANDARD, Level, Policy, Verdict, blocked, check, judge_question, refused, supported
from core.filters.danger import Danger, danger_in, find_danger, normalize
from core.filters.lexicon_parser import builtin_lexicon
from core.filters.respellings import vni_keystrokes, wrong_tones
from core.filters.verdict import policy_lexicons
from tests.core.filters.corpus import BENIGN, talk
from tests.core.filters.steps import counted
from tests.tables import each_row

Judge = Callable[[str], object]


def is_clean(text: str) -> bool:
    """Whether nothing is found where the text is shown."""
    return check(text) == Verdict()


def action(text: str) -> str:
    """What is done where the text is shown."""
    return check(text).action


def is_refused_at_strict(text: str) -> bool:
    """Whether it is refused as a question at the level `strict`."""
    return judge_question(text, Policy(Level.STRICT)).blocked


def gets_help_at_every_level(text: str) -> bool:
    """Whether its asker sees help lines, whatever the level."""
    return all(judge_question(text, Policy(level)).danger is not None for level in Level)


def is_found_in_any_spelling(text: str) -> bool:
    """Whether the danger is found at once as it is after each word was corrected."""
    found = danger_in(normalize(text))
    return found is not None and find_danger(text) == found


def is_the_same_whatever_was_read_before(text: str) -> bool:
    """Whether full and empty caches, and other words before it, leave the verdict as it is."""

    def fresh(words: str) -> Verdict:
        for cached in policy_lexicons(STANDARD):
            for cache in (cached.partless_cache, cached.allowed_cache, cached.entries_cache, cached.unmasked_cache):
                cache.clear()
        return check(words)

    first = fresh(text)
    check("mày nói gì thế " + text)
    return check(text) == first == fresh(text)


def has_a_trigger(word: str) -> bool:
    """Whether a listed word alone makes a text be looked at."""
    return word in builtin_lexicon().triggers


def takes_linear_time(part: str) -> bool:
    """Whether judging a question that repeats this takes four times as many steps for four times the length."""

    def work(length: int) -> int:
        text = (part * length)[:length]
        with counted() as steps:
            refused(text)
        return steps()

    work(100)
    return work(4096) <= 4.5 * work(1024) + 200


ANSWERED = (
    "everyday",
    "exclaim",
    "quote",
    "meaning",
    "translate",
    "title",
    "tool",
    "report",
    "warn",
    "game",
    "harmless",
)
NO_DISGUISES = (
    "f•••", "so f••• it", "c** cao", "coffee, balloon and raccoon", "```sh\nit prints```", "a ** b ** c", "Sloot",
    "test lol", "hay lol", "char **c**", "s%s", "1** and 2**", "me5 la2 ai", "funk and fork", "ELF SHT_NULL",
)  # fmt: skip
LEET = (
    "im đi l0n",
    "c0n đ! này",
    "đ1t mẹ",
    "xàm l0n",
    "|0n thằng kia",
    "c0n m3 mày",
    "(ocksucker",
    "5lv7",
    "$h!t",
    "5hi7",
)
NOT_STOPPED = (
    "Never drink bleach.", "Kill yourself is never an answer", "You can report a site with child porn to the police.",
    "How to make methadone", "crack pie is sweet", "I will kill you in Minecraft", "cách chế súng trong Free Fire",
)  # fmt: skip
MENTIONED = ('The word "nigger" is offensive.', "They called him a faggot.", "chửi em là con đĩ", "your clit")
STILL_STOPPED = (
    "Why don't you kill yourself", "If you come here, I will kill you", "I will kill you. In Minecraft it is",
    "how to make crack at home", "don't worry: how to make a pipe bomb",
)  # fmt: skip
MISSPELLED_CRIES = (
    "i want to kil mysef", "i want to k1ll myse1f", "i feel su!cidal", "i am su*cidal", "I'm suicidl", "i wana dieee",
    "em muốn chếttt", "muon tu tu qua", "i want to k*ll mys•lf", "i am going to unalive mys3lf", "i want to d!e",
)  # fmt: skip
CRIES = ("i want to die", "fuck you all, i want to die", "send me child porn or i kill myself")
CASES: list[tuple[Judge, str, object]] = [
    *((is_clean, text, want == "clean") for want, text in talk("punct", "code", "identity")),
    *((blocked, text, True) for text in LEET),
    *((blocked, text, want == "block") for want, text in talk("disguise")),
    *((blocked, text, False) for text in (*NO_DISGUISES, *NOT_STOPPED)),
    *((supported, text, want == "support") for want, text in talk("danger", "others", "falsecomfort")),
    *((refused, text, False) for _, text in talk("danger", "others", "falsecomfort")),
    *(
        (lambda text: bool((found := find_danger(text)) and found.for_another), text, True)
        for _, text in talk("others")
    ),
    *((lambda text: bool((found := find_danger(text)) and not found.for_another), text, False) for text in BENIGN),
    *((gets_help_at_every_level, text, True) for text in CRIES),
    *((is_found_in_any_spelling, text, True) for text in (*CRIES, *MISSPELLED_CRIES)),
    (find_danger, "vcl mệt quá, muốn tự tử cho xong", Danger("vi")),
    (find_danger, "my brother took all his pills", Danger("en", for_another=True)),
    (normalize, "I wana kil mysef, I'm suicidl!!", "i wanna kill myself , im suicidal |"),
    *((refused, text, want == "refuse") for want, text in talk(*ANSWERED, "use")),
    *((is_refused_at_strict, text, True) for _, text in talk("exclaim", "use") if blocked(text)),
    *((action, text, "mask") for text in MENTIONED),
    *((action, text, "stop") for text in STILL_STOPPED),
    *(
        (is_the_same_whatever_was_read_before, text, True)
        for text in ("dme", "dmá mày", "con mẹ nó dme", "đm", "dkme nó")
    ),
    *(
        (takes_linear_time, part, True)
        for part in ("i want to ", "em muốn ", "my friend ", '"kill ', "never fuck ", "nó ")
    ),
    (vni_keystrokes, "lồn", {"lo62n", "lo6n2", "lon62", "lon26"}),
    (vni_keystrokes, "đĩ", {"d9i4", "di94", "di49"}),
    (vni_keystrokes, "ban", set()),
    (wrong_tones, "cặc", {"căc", "cằc", "cẳc", "cẵc"}),
    (wrong_tones, "buồi", {"bùôi", "buôì"}),
    (wrong_tones, "đĩ", set()),
    *(
        (has_a_trigger, word, True)
        for found in builtin_lexicon().words.values()
        for each in found
        for word in each.words
    ),
]


@each_row(("judge", "text", "want"), CASES)
def test_everyday_talk_is_judged_by_what_it_does(judge: Judge, text: str, want: object) -> None:
    assert judge(text) == want
