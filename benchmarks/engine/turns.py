"""A conversation: its prompts turn by turn, with a window of the last turns, as the bot builds them."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.answering.prompt import QuestionPrompt, build_prompt
from core.answering.window import max_turns, window
from core.checkpoints import inspect_checkpoint
from core.domain.conversation import Turn
from core.domain.prompt import Message
from core.domain.settings import Settings
from core.llm.tokenizer import Tokenizer

HISTORY_TURNS, TURN_WORDS, QUESTION_WORDS = 3, 250, 25
"""Turns that a prompt holds at least; words of a turn, question and answer; words of a question. A word is about one
token."""
WORDS = [word for line in (
    "the of and to in is you that it he was for on are as with his they at be this from have or by one had not but",
    "what all were when we there can an your which their said if do will each about how up out them then she many some",
    "so these would other into has more her two like him see time could no make than first been its who now people my",
    "made over did down only way find use may water long little very after words called just where most know",
) for word in line.split()]  # fmt: skip

SYSTEM = "You are a helpful AI assistant. Your answers are concise and to the point."
SETTINGS = Settings({}, system=SYSTEM)


Window = Callable[[Sequence[Turn]], Sequence[Turn]]
"""The turns for a prompt, of all that were before."""


def in_steps(past: Sequence[Turn]) -> Sequence[Turn]:
    """HISTORY_TURNS or up to two more, as the bot does it."""
    return window(past[-max_turns(HISTORY_TURNS) :], HISTORY_TURNS, len(past))


def exact(past: Sequence[Turn]) -> Sequence[Turn]:
    """Always HISTORY_TURNS, where there are as many."""
    return past[-HISTORY_TURNS:]


@dataclass(frozen=True, slots=True)
class Asked:
    """One turn's ids. `opening`: the prompt without its question. `answered`: the prompt and its answer, which an
    engine holds once it has drawn that."""

    opening: list[int]
    prompt: list[int]
    answered: list[int]


class Conversation:
    """Makes prompts with the tokenizer and chat template of a model's folder."""

    def __init__(self, folder: Path) -> None:
        checkpoint = inspect_checkpoint(folder)
        self.tokenizer = Tokenizer(checkpoint.folder, checkpoint.chat_template)

    def prompts(self, turns: int, seed: str) -> Iterator[tuple[int, list[int], list[int]]]:
        """For each turn, from 1 on: its number, the prefix without the question, and the whole prompt."""
        for number, asked in enumerate(self.turns(turns, seed), 1):
            yield number, asked.opening, asked.prompt

    def turns(self, count: int, seed: str, held: Window = in_steps) -> Iterator[Asked]:
        """So many turns, whose texts depend on the seed alone."""
        draw = random.Random(seed)
        before_question = self.tokenizer.encode_before_question
        past: list[Turn] = []
        for index in range(count):
            question, answer = random_text(draw, QUESTION_WORDS), random_text(draw, TURN_WORDS - QUESTION_WORDS)
            prompt = build_prompt(SETTINGS, held(past), QuestionPrompt(question))
            answered = before_question((*prompt, Message("assistant", answer)))
            yield Asked(before_question(prompt[:-1]), self.tokenizer.encode(prompt), answered)
            past.append(Turn(question, answer, index=index))


def random_text(draw: random.Random, words: int) -> str:
    return " ".join(draw.choices(WORDS, k=words))
