"""What is asked in trials and what the fake model says to it: both sides know, so that every answer can be judged.

A question carries a token such as q17; its answer runs from q17a to q17z. Questions that were put together have all of
theirs in one answer. Other words ask for something special.
"""

import re

LONG = "long"
"""An answer of two Telegram messages."""
BOOM = "boom"
"""The engine dies of it."""
HANG = "hang"
"""Nothing comes, ever."""
ENDLESS = "endless"
"""It goes on to the token limit."""
ENDLESS_WORD = "forever"
"""What that consists of."""
HOSTILE = "hostile"
"""The model says the worst that it can. Nothing is expected of such an answer but that it harms nobody."""
MARKS = "marks"
"""The model opens 30 to 400 marks, links, brackets or the like, and closes none, before it answers."""
SWEAR = "swear"
"""The model says what the filter blocks. Nothing is expected of such an answer but that nobody sees that."""
BLOCKED = "fuck"
"""What that is."""
CANARY = "canary-of-what-people-say"
"""Stands in every question, and in no log from INFO on."""

_MARKS = ("**", "[a](", "`", "||", "<", "\\(", "__", "~~", "![", "```", "> ", "$$", "*", "\\")
_FEWEST, _MOST = 30, 400
_TOKEN = re.compile(r"\bq\d+\b")


def tokens(text: str) -> list[str]:
    """Those of the questions in a text, in order."""
    return _TOKEN.findall(text)


def answer(token: str, *, long: bool = False) -> str:
    """What is said to one question."""
    count = 330 if long else 6
    return " ".join([f"{token}a", *(f"something{number:04}" for number in range(count)), f"{token}z"])


def answers(question: str) -> str:
    """What is said to a question, or to several in one."""
    return "\n\n".join(answer(token, long=LONG in question.split()) for token in tokens(question)) or "Nothing to say."


def open_marks(token: str) -> str:
    """So many of a kind as the question's number has it."""
    number = int(token[1:])
    count = _FEWEST + number * 53 % (_MOST - _FEWEST + 1)
    return " ".join(f"{_MARKS[number % len(_MARKS)]}thing{each:03}" for each in range(count))
