"""The time that the content filter takes: for a message, for the worst texts, and for an answer in pieces.

`benchmarks.filter` prints it. The worst texts are looked for: from fixed patterns, and by hill climbing over fragments,
which are changed one at a time and kept where the text then takes longer.
"""

import random
import statistics
import time
from collections.abc import Callable, Sequence

from core.filters import blocked, refused, stream_guard
from core.filters.lexicon import GAP
from core.filters.lexicon_parser import builtin_lexicon
from tests.core.filters.disguises import DISGUISES

LENGTH = 4096
"""The characters of a worst text: as long as a message may be."""
PIECE_CHARACTERS = 4
SLOW_PATTERNS = (
    "<", "x.y.z.", "a ", "f u c k ", "f*", "@4!", "ngu ", "\u0323", "**", "a\u200b", "con ", "|_|", "đ.ị.", "((((",
    "1l!|", "pussy willow ", "cock ", "_k*c", "f##k ", "fu*k ", "l*n ", "ﷺ", "fuuuuck ",
    "fuck ", "f.u.c.k ", "aaab", "f_u_", "how to make a ", "sh1t.",
     "\U0001d41f", "a\u0301\u0323", "*f* ", "fu-", "dick d*m ", "c*n c*c ", "con c*c ", "b*tch f*ck ", "em muốn ch*t ",
    "ffuucckk ", "fukc ", "l0n ", "wh0re d1ck ", "an cac ", "du me ", "ngu l*n ", "f*** ", "n****r ", "d9i5t me5 ",
    "never kill yourself ", "\"kill ", "i want to die ", "my friend wants ", "fu\nck ",
)  # fmt: skip


def processor_seconds(work: Callable[[str], object], text: str, tries: int = 3) -> float:
    """The least processor time of several tries."""
    least = float("inf")
    for _ in range(tries):
        began = time.process_time()
        work(text)
        least = min(least, time.process_time() - began)
    return least


def stream(text: str) -> None:
    """Let a guard release the text in pieces."""
    guard = stream_guard()
    for at in range(0, len(text), PIECE_CHARACTERS):
        guard.feed(text[at : at + PIECE_CHARACTERS])
    guard.finish()


def fragments() -> list[str]:
    """What the search puts texts together of: the patterns, listed entries, and both in disguise."""
    lexicon, rng = builtin_lexicon(), random.Random(5)
    listed = [*lexicon.words.values(), *lexicon.phrases_by_first.values()]
    words = sorted({" ".join(word for word in entry.words if word != GAP) for each in listed for entry in each})
    allowed = [" ".join(phrase) for phrases in lexicon.allowed_phrases.values() for phrase in phrases]
    disguises = [disguise for each in DISGUISES.values() for disguise in each.values()]
    changed = [rng.choice(disguises)(word, rng) for word in rng.sample(words, 400)]
    masked = [word[:1] + "*" + word[2:] for word in words if 2 < len(word) < 6]
    return [*SLOW_PATTERNS, *(f"{text} " for text in [*words, *allowed, *changed, *masked])]


def worst_found(work: Callable[[str], object], seed: int, steps: int) -> tuple[float, str]:
    """The longest time, in seconds, that hill climbing from one seed finds for LENGTH characters, and its text."""
    rng, pool = random.Random(seed), fragments()
    patterns = SLOW_PATTERNS if rng.random() < 0.5 else pool
    chosen = [rng.choice(patterns) for _ in range(rng.choice((1, 2, 4, 16, 200)))]
    best, text = 0.0, ""
    for _ in range(steps):
        changed = _changed(chosen, pool, rng)
        candidate = _of_length("".join(changed))
        seconds = processor_seconds(work, candidate, 2)
        if seconds > best:
            best, text, chosen = seconds, candidate, changed
    return processor_seconds(work, text, 5), text


def _changed(chosen: Sequence[str], pool: Sequence[str], rng: random.Random) -> list[str]:
    """The fragments with one of them changed, put in, or taken out, or all of them in another order."""
    changed, at = list(chosen), rng.randrange(len(chosen))
    way = rng.randrange(4)
    if way == 0:
        changed[at] = rng.choice(pool)
    elif way == 1:
        changed.insert(at, rng.choice(pool))
    elif way == 2 and len(changed) > 1:
        del changed[at]
    else:
        rng.shuffle(changed)
    return changed


def _of_length(text: str) -> str:
    return (text * (LENGTH // len(text) + 1))[:LENGTH]


def report_times(texts: Sequence[str], harmless: Sequence[str], seeds: int, steps: int) -> None:
    """Print the time for a message, for the worst texts, and for an answer in pieces, which a slur would end."""
    for name, work in (("an answer", blocked), ("a question", refused)):
        for text in texts[:200]:
            work(text)
        times = sorted(processor_seconds(work, text) for text in texts)
        median, high = statistics.median(times) * 1e6, times[int(len(times) * 0.99)] * 1e6
        print(f"time: {name}: median {median:.0f} us, 99th percentile {high:.0f} us")
        known = max((processor_seconds(work, text), text) for text in map(_of_length, SLOW_PATTERNS))
        found = max(worst_found(work, seed, steps) for seed in range(seeds))
        for origin, (seconds, text) in (("patterns", known), (f"a search with {seeds} seeds", found)):
            print(f"time: {name}: worst {LENGTH} characters of {origin} {seconds * 1e3:.1f} ms ({text[:24]!r})")
    ordinary = _of_length(" ".join(harmless))
    print(f"time: ordinary text in pieces of {PIECE_CHARACTERS} takes {ratio(ordinary):.1f} times one check")
    worst = max(map(_of_length, SLOW_PATTERNS), key=lambda text: processor_seconds(stream, text, 1))
    seconds = processor_seconds(stream, worst)
    print(f"time: the worst pattern in pieces takes {seconds * 1e3:.0f} ms, {ratio(worst):.1f} times one check of it "
          f"({worst[:16]!r})")  # fmt: skip


def ratio(text: str) -> float:
    """How many times as long as one check of the whole a text takes in pieces."""
    return processor_seconds(stream, text) / processor_seconds(blocked, text)
