"""The figures as Markdown, for docs/performance.md."""

from collections.abc import Mapping, Sequence

from benchmarks.messages.platforms import FRONTS

CASES = tuple((platform, database) for platform in FRONTS for database in ("sqlite", "postgresql"))
TITLES = {"telegram": "Telegram", "discord": "Discord", "store": "store alone", "sqlite": "SQLite",
          "postgresql": "PostgreSQL"}  # fmt: skip
ROWS = {
    "cpu_ms_question": "CPU a question, ms",
    "transactions_question": "transactions a question",
    "statements_question": "statements a question",
    "cpu_ms_token": "CPU a streamed token, ms",
    "questions_s": "questions a second, busy",
    "busy_cpu_share": "CPU of the bot meanwhile, cores",
    "busy_load_cpu_share": "CPU of servers and load meanwhile, cores",
    "busy_cpu_ms_question": "CPU a question meanwhile, ms",
    "first_text_ms_p50": "update to first text, median, ms",
    "first_text_ms_p99": "update to first text, 99 %, ms",
    "final_edit_ms_p50": "last token to final edit, median, ms",
    "final_edit_ms_p99": "last token to final edit, 99 %, ms",
    "memory_mib_1000_chats": "memory for 1,000 chats, MiB",
}
STARTS = {
    "version_s": "`qwentin --version`, s",
    "version_cpu_s": "`qwentin --version`, CPU s",
    "console_prompt_s": "`qwentin console` to the prompt, s",
    "console_prompt_cpu_s": "`qwentin console` to the prompt, CPU s of its process",
}


def tables(here: Mapping[str, float], base: Mapping[str, float] | None) -> str:
    """A table of the figures of messages, and one of those of starts. With `base`: "here, ratio to base"."""
    cases = [case for case in CASES if any(key.startswith("_".join(case)) for key in here)]
    parts = []
    if cases:
        rows = [["", *(f"{TITLES[platform]}, {TITLES[database]}" for platform, database in cases)]]
        for key, title in ROWS.items():
            cells = [_cell(f"{platform}_{database}_{key}", here, base) for platform, database in cases]
            rows += [[title, *cells]] if any(cells) else []
        parts.append(_markdown(rows))
    if starts := [[title, _cell(key, here, base)] for key, title in STARTS.items() if key in here]:
        parts.append(_markdown([["start", ""], *starts]))
    return "\n\n".join(parts)


def _cell(key: str, here: Mapping[str, float], base: Mapping[str, float] | None) -> str:
    if key not in here:
        return ""
    value = here[key]
    text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{text} (x {value / base[key]:.2f})" if base and base.get(key) else text


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])
