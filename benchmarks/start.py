"""Seconds from the command to the first streamed word with the built-in model, on the first start and on later ones;
and processor seconds of `qwentin --version`.

The console runs in a pseudo-terminal, as for a person. The clock stops at the answer's first word.
Usage: python -m benchmarks.start [RUNS]
"""

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pexpect

from benchmarks.messages.start import version_once

ROOT = Path(__file__).parents[1]
QUESTION, FIRST_WORD = "Write a story about a dragon.", "Once"
"""What the built-in model begins with at temperature 0. The terminal's echo of the question does not have that word."""
FIRST_START_LIMIT_S, LATER_START_LIMIT_S = 30.0, 10.0
"""What the project promises on two cores."""


def time_first_word(data: str) -> tuple[float, float]:
    """Seconds to the prompt, and to the first word of an answer. `data` is the data folder."""
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
    """Measure, print a table, and write the same as a flat JSON object to build/bench-start.json."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as data:
        _, first = time_first_word(data)
        after = [time_first_word(data) for _ in range(runs)]
    words = [word for _, word in after]
    figures = {
        "first_word_first_time_s": round(first, 1),
        "first_word_after_s_median": round(statistics.median(words), 1),
        "first_word_after_s_worst": round(max(words), 1),
        "prompt_after_s_median": round(statistics.median(prompt for prompt, _ in after), 1),
        "version_cpu_s_median": round(statistics.median(version_once(ROOT)[1] for _ in range(runs)), 2),
    }
    for name, figure in figures.items():
        print(f"{name:28} {figure:6.2f}")
    (ROOT / "build").mkdir(exist_ok=True)
    (ROOT / "build" / "bench-start.json").write_text(json.dumps(figures) + "\n")
    if first > FIRST_START_LIMIT_S or statistics.median(words) > LATER_START_LIMIT_S:
        sys.exit(
            f"too slow: at most {FIRST_START_LIMIT_S} s the first time and {LATER_START_LIMIT_S} s after are promised"
        )


if __name__ == "__main__":
    main()
