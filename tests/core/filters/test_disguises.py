"""Disguises that a reader still sees through are found: each way at least as often as the filter promises."""

import random

from core.filters import blocked
from tests.core.filters.disguises import DISGUISES, WORDS
from tests.tables import each_row

SENTENCES = {"en": "you are such a {} ok", "vi": "sao mày thế {} vậy"}
LEAST_SHARE = 0.6


@each_row(("language", "name"), [(language, name) for language in DISGUISES for name in DISGUISES[language]])
def test_each_way_to_disguise_a_word_is_found(language: str, name: str) -> None:
    rng = random.Random(3)
    written = [(word, DISGUISES[language][name](word, rng)) for word in WORDS[language] for _ in range(8)]
    found = [blocked(SENTENCES[language].format(disguise)) for word, disguise in written if disguise != word]
    assert sum(found) >= LEAST_SHARE * len(found) > 0
