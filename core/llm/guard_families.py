"""Guard models by family: how each is asked, and what its words mean. Another family is another entry of FAMILIES."""

from collections.abc import Mapping
from dataclasses import dataclass

from core.domain.errors import SetupError
from core.filters.assessment import GuardLabel


@dataclass(frozen=True, slots=True)
class GuardFamily:
    """How the models of one family are asked, and what they say.

    A guard model's chat template has its instructions: it is given the question as a person's only message. The answer
    begins with `label_start` and one of `labels`, then comes `category_start` and one of `categories`.
    """

    name: str
    marks: tuple[str, ...]
    """What every chat template of the family has in its text, and no other model's has."""
    delimiters: tuple[str, ...]
    """What the template puts around the question in plain words; a question must not forge them."""
    speakers: tuple[str, ...]
    """What the template calls those who speak, with a colon behind. A question that names them so would look like
    several turns, and the last one alone is judged."""
    label_start: str
    labels: Mapping[str, GuardLabel]
    """By the model's word."""
    category_start: str
    categories: Mapping[str, str]
    """By the model's words, a key of ACTS_FROM in core/filters/assessment.py."""


QWEN3_GUARD = GuardFamily(
    name="Qwen3Guard-Gen",
    marks=("Safety: Controversial", "Suicide & Self-Harm"),
    delimiters=("<BEGIN CONVERSATION>", "<END CONVERSATION>", "<BEGIN SAFETY POLICY>", "<END SAFETY POLICY>",
                "<BEGIN UNSAFE CONTENT CATEGORIES>", "<END UNSAFE CONTENT CATEGORIES>"),
    speakers=("USER", "ASSISTANT"),
    label_start="Safety: ",
    labels={"Safe": GuardLabel.SAFE, "Controversial": GuardLabel.CONTROVERSIAL, "Unsafe": GuardLabel.UNSAFE},
    category_start="\nCategories: ",
    categories={
        "Violent": "violence",
        "Non-violent Illegal Acts": "illegal",
        "Sexual Content or Sexual Acts": "sexual",
        "PII": "privacy",
        "Suicide & Self-Harm": "self_harm",
        "Unethical Acts": "hate",
        "Politically Sensitive Topics": "politics",
        "Copyright Violation": "copyright",
        "Jailbreak": "jailbreak",
    },
)  # fmt: skip
"""Qwen/Qwen3Guard-Gen-0.6B, -4B and -8B: labels and categories as in their model cards, and the words of their chat
template. It has no category for children: what is unsafe and sexual is refused, whoever it is about."""

FAMILIES = (QWEN3_GUARD,)


def family_of(chat_template: str, name: str) -> GuardFamily:
    """The family of the model with this chat template. Raises SetupError where it is no guard model that is known here;
    `name`: the model's, for that line."""
    for family in FAMILIES:
        if all(mark in chat_template for mark in family.marks):
            return family
    known = ", ".join(family.name for family in FAMILIES)
    raise SetupError(
        f"GUARD_MODEL: {name} is no guard model that Qwentin knows ({known}), or its chat template is not the "
        "original one: choose another, or leave GUARD_MODEL empty"
    )
