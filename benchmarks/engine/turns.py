"""A conversation: its prompts turn by turn, with a window of the last turns, as the bot builds them."""

import random
from collections.abc import Iterator
from pathlib import Path

from core.answering.prompt import QuestionPrompt, build_prompt
from core.checkpoints import inspect_checkpoint
from core.domain.conversation import Turn
from core.domain.settings import Settings
from core.llm.tokenizer import Tokenizer

HISTORY_TURNS, TURN_WORDS, QUESTION_WORDS = 3, 250, 25
"""Turns in the window; words of a turn, question and answer; words of a question. A word is about one token."""
WORDS = [word for line in (
    "the of and to in is you that it he was for on are as with his they at be this from have or by one had not but",
    "what all were when we there can an your which their said if do will each about how up out them then she many some",
    "so these would other into has more her two like him see time could no make than first been its who now people my",
    "made over did down only way find use may water long little very after words called just where most know",
) for word in line.split()]  # fmt: skip

SYSTEM = "You are a helpful AI assistant. Your answers are concise and to the point."
SETTINGS = Settings({}, system=SYSTEM)


class Conversation:
    """Makes prompts with the tokenizer and chat template of a model's folder."""

    def __init__(self, folder: Path) -> None:
        checkpoint = inspect_checkpoint(folder)
        self.tokenizer = Tokenizer(checkpoint.folder, checkpoint.chat_template)

    def prompts(self, turns: int, seed: str) -> Iterator[tuple[int, list[int], list[int]]]:
        """For each turn, from 1 on: its number, the prefix without the question, and the whole prompt."""
        draw = random.Random(seed)
        past: list[Turn] = []
        for number in range(1, turns + 1):
            question = random_text(draw, QUESTION_WORDS)
            prompt = build_prompt(SETTINGS, past[-HISTORY_TURNS:], QuestionPrompt(question))
            yield number, self.tokenizer.encode_before_question(prompt[:-1]), self.tokenizer.encode(prompt)
            past.append(Turn(question, random_text(draw, TURN_WORDS - QUESTION_WORDS)))


def random_text(draw: random.Random, words: int) -> str:
    return " ".join(draw.choices(WORDS, k=words))
