"""From the command to the first streamed word, with the built-in model: the very first time, and every time after.

A terminal is what a person has, so the console runs in one (a pseudo-terminal); the clock stops at the answer's first
word. Usage: python -m benchmarks.start [RUNS]
"""

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pexpect

ROOT = Path(__file__).parents[1]
QUESTION, FIRST_WORD = "Write a story about a dragon.", "Once"
"""Greedy, the built-in model begins a story as stories begin; the word is not in the question's echo."""
FIRST_LIMIT, AFTER_LIMIT = 30.0, 10.0
"""Seconds that the project promises itself on two cores."""


def first_word(data: str) -> tuple[float, float]:
    """Seconds to the prompt, and to the first word of the answer to a question that is typed ahead."""
    environment = {**os.environ, "DATA_DIR": data, "MODEL": "builtin", "PROMPT_TOOLKIT_NO_CPR": "1", "LANG": "C.UTF-8"}
    start = time.perf_counter()
    child = pexpect.spawn(
        sys.executable, ["-m", "bots", "console", "-o", "temperature=0"], env=environment, cwd=str(ROOT),
        encoding="utf-8", timeout=120, dimensions=(40, 100),
    )  # fmt: skip
    child.expect("Hello! Qwentin")
    child.expect("> ")
    prompt = time.perf_counter() - start
    child.sendline(QUESTION)
    child.expect(FIRST_WORD)
    word = time.perf_counter() - start
    child.close(force=True)
    return prompt, word


def main() -> None:
    """Measure and print one table, and the same as a flat JSON object in build/bench-start.json."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as data:
        _, first = first_word(data)
        after = [first_word(data) for _ in range(runs)]
    words = [word for _, word in after]
    figures = {
        "first_word_first_time_s": round(first, 1),
        "first_word_after_s_median": round(statistics.median(words), 1),
        "first_word_after_s_worst": round(max(words), 1),
        "prompt_after_s_median": round(statistics.median(prompt for prompt, _ in after), 1),
    }
    for name, figure in figures.items():
        print(f"{name:28} {figure:5.1f}")
    (ROOT / "build").mkdir(exist_ok=True)
    (ROOT / "build" / "bench-start.json").write_text(json.dumps(figures) + "\n")
    if first > FIRST_LIMIT or statistics.median(words) > AFTER_LIMIT:
        sys.exit(f"too slow: at most {FIRST_LIMIT} s the first time and {AFTER_LIMIT} s after are promised")


if __name__ == "__main__":
    main()
