"""Times chats at once, for peers that compute prompts and answers in the same steps. Runs in any Python."""

import time

from benchmarks.engine.speech import Answer, Workload, prompt

MAX_EARLY_TOKENS = 64
"""Tokens that a chat may decode while the prompt of another is computed."""


class ChatTimer:
    """Starts when it is made. Drawing counts from when every chat has a token, until each has so many more.

    `prompts`: the ids of each chat; `most_tokens`: what each must be able to draw.
    """

    def __init__(self, workload: Workload) -> None:
        chats, self.tokens = workload["chats"], workload["tokens"]
        self.prompts = [prompt(workload["prompt"], f"{workload['seed']}-{chat}") for chat in range(chats)]
        self.most_tokens = self.tokens + MAX_EARLY_TOKENS * chats
        self.drawn, self.goals = [0] * chats, list[int]()
        self.began = self.read = self.end = time.perf_counter()

    def count(self, new: list[int]) -> None:
        """Count the new tokens of each chat after a step."""
        self.drawn = [old + more for old, more in zip(self.drawn, new, strict=True)]
        self.end = time.perf_counter()
        if not self.goals and all(self.drawn):
            self.read, self.goals = self.end, [count + self.tokens for count in self.drawn]

    @property
    def done(self) -> bool:
        return bool(self.goals) and all(count >= goal for count, goal in zip(self.drawn, self.goals, strict=True))

    @property
    def answer(self) -> Answer:
        return {"prefill_s": self.read - self.began, "decode_s": self.end - self.read}
