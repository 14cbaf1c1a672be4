"""What is done about what a guard model says: every label and category at every level."""

from core.domain.filter_policy import Level
from core.filters import Danger, FilterAction, Verdict
from core.filters.assessment import (
    ACTS_FROM,
    GUARD_RULE,
    Assessment,
    GuardLabel,
    add_assessment,
    likely_language,
    needs_category,
)
from core.i18n import LANGUAGES, catalogue
from core.llm.guard_families import FAMILIES
from tests.tables import each_row

HERE = Danger("vi")
ALWAYS, STANDARD, STRICT, NEVER = "off standard strict", "standard strict", "strict", ""
SEEN_BY_THE_LIST = Verdict(FilterAction.SUPPORT, "self_harm", 2, (), "en:self_harm", True, Danger("en", True))


@each_row(
    ("category", "unsafe", "controversial"),
    [
        ("self_harm", ALWAYS, STRICT), ("sexual_minors", ALWAYS, STRICT),
        ("violence", STANDARD, STRICT), ("weapons", STANDARD, STRICT), ("drugs", STANDARD, STRICT),
        ("illegal", STANDARD, STRICT), ("sexual", STANDARD, STRICT), ("hate", STANDARD, STRICT),
        ("privacy", STRICT, STRICT), ("jailbreak", STRICT, STRICT),
        ("politics", NEVER, NEVER), ("copyright", NEVER, NEVER), ("", NEVER, NEVER),
    ],
)  # fmt: skip
def test_from_which_level_on_a_question_is_acted_on(category: str, unsafe: str, controversial: str) -> None:
    acts = {GuardLabel.SAFE: NEVER, GuardLabel.CONTROVERSIAL: controversial, GuardLabel.UNSAFE: unsafe}
    for level in Level:
        for label, levels in acts.items():
            verdict = add_assessment(Verdict(), Assessment(label, category), level, HERE)
            if level not in levels.split():
                assert verdict == Verdict(), f"{label} at {level}"
                continue
            assert needs_category(label, level), "it must have been asked for"
            assert (verdict.category, verdict.rule) == (category, GUARD_RULE), f"{label} at {level}"
            assert (verdict.danger, verdict.support) == ((HERE, True) if category == "self_harm" else (None, False))
            assert verdict.blocked == (category != "self_harm")


def test_what_the_word_list_has_found_stays() -> None:
    harm = add_assessment(SEEN_BY_THE_LIST, Assessment(GuardLabel.UNSAFE, "self_harm"), Level.STANDARD, HERE)
    assert harm == SEEN_BY_THE_LIST, "it knows whom the lines are for"
    threat = add_assessment(SEEN_BY_THE_LIST, Assessment(GuardLabel.UNSAFE, "violence"), Level.STANDARD, HERE)
    assert (threat.category, threat.danger, threat.support) == ("violence", SEEN_BY_THE_LIST.danger, True)
    masked = Verdict(FilterAction.MASK, "profanity", 1, (), "en:blast", True, Danger("en"))
    assert add_assessment(masked, Assessment(GuardLabel.UNSAFE, "self_harm"), Level.STRICT, HERE) == masked


def test_every_category_of_every_family_has_its_texts() -> None:
    for family in FAMILIES:
        assert set(family.labels.values()) == set(GuardLabel)
        assert set(family.categories.values()) <= set(ACTS_FROM), family.name
    acted_on = {category for category, level in ACTS_FROM.items() if level is not None}
    for language in LANGUAGES:
        texts = catalogue(language)
        assert all(f"category.{category}" in texts for category in acted_on)
        assert all(f"blocked.{category}" in texts for category in acted_on - {"self_harm"})


@each_row(
    ("text", "language"),
    [("no way out", "en"), ("không còn gì", "vi"), ("KHÔNG CÒN GÌ", "vi"), ("kho\u0302ng", "vi"), ("muon chet", "en")],
)
def test_the_language_of_a_question(text: str, language: str) -> None:
    assert likely_language(text, "en") == language
    assert likely_language(text, "vi") == "vi"
